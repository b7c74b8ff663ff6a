"""The training configuration: files, overrides, and unknown settings."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from edge_harmony.errors import ConfigError
from training.config import TrainConfig, from_dict, read_config
from training.train import overrides, parse


def test_file_under_overrides(config_file: Path) -> None:
    config = read_config(config_file, {"loss.contrast": 0.5, "batch": 6})
    assert config.generator.widths == (8, 16, 16, 16)
    assert config.loss.contrast == 0.5
    assert config.loss.l1 == TrainConfig().loss.l1
    assert config.batch == 6
    assert config.stages == ((0.0, 64), (0.5, 96))


def test_config_survives_its_dictionary(config_file: Path) -> None:
    config = read_config(config_file, {})
    assert from_dict(TrainConfig, config.to_dict()) == config


@pytest.mark.parametrize(
    ("name", "near"), [("stepz", "steps"), ("loss.contrst", "loss.contrast"), ("generator.width", "generator.widths")]
)
def test_unknown_setting_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=name) as error:
        read_config(None, {name: 1})
    assert near in error.value.hint


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_config(tmp_path / "none.toml", {})
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_config(tmp_path / "bad.toml", {})


def test_values_on_the_command_line() -> None:
    assert overrides(["steps=10", "lr=2e-3", "generator.attention=false", "generator.fusion=internal"]) == {
        "steps": 10, "lr": 0.002, "generator.attention": False, "generator.fusion": "internal",
    }
    with pytest.raises(ConfigError, match="no value"):
        overrides(["steps"])


def test_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    config = TrainConfig(steps=1000, warmup=100, cooldown=0.4, lr=1.0)
    rates = [config.learning_rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[100:600] == [1.0] * 500
    assert all(b <= a for a, b in pairwise(rates[600:]))
    assert rates[-1] < 1e-4


def test_sizes_follow_the_stages() -> None:
    config = TrainConfig(steps=100, stages=((0.0, 128), (0.5, 192), (0.9, 256)))
    assert [config.size(step) for step in (0, 49, 50, 89, 90, 99)] == [128, 128, 192, 192, 256, 256]


@pytest.mark.parametrize("arguments", [[], ["--data", "a", "--bench", "b", "--list", "c"], ["--bench", "b"]])
def test_data_must_be_named_once(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["--out", "x", *arguments])
    assert stopped.value.code == 2
    assert "--data" in capsys.readouterr().err
