"""The training configuration: files, overrides, and unknown settings."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from edge_harmony.errors import ConfigError
from training.config import TrainConfig, read_config
from training.settings import overridden, overrides
from training.train import parse


def test_file_under_overrides(config_file: Path) -> None:
    config = read_config(config_file, {"loss.contrast": 0.5, "batch": 6})
    assert config.generator.widths == (8, 16, 16, 16)
    assert config.loss.contrast == 0.5
    assert config.loss.l1 == TrainConfig().loss.l1
    assert config.batch == 6
    assert config.stages == ((0.0, 64), (0.5, 96))


def test_config_survives_its_dictionary(config_file: Path) -> None:
    config = read_config(config_file, {})
    assert overridden(config.to_dict(), {}, TrainConfig) == config


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
        "steps": 10,
        "lr": 0.002,
        "generator.attention": False,
        "generator.fusion": "internal",
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


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("batch=abc", "whole number"), ("batch=0", "1 or more"), ("lr=-1", "0 or more"), ("augment=3", "group"),
        ("generator.widths=16", "list"), ("generator.widths=[16, 32]", "as many depths"), ("steps=1.5", "whole number"),
        ("augment.cutouts=1.2", "0 .. 1"), ("generator.head=grid", "affine"), ("generator.fusion=all", "external"),
        ("stages=[[0.1, 128]]", "from share 0"), ("stages=[[0.0, 100]]", "multiples of 32"),
        ("muon=1", "true or false"), ("batch.size=3", "set batch itself"), ("lr=nan", "0 or more"),
        ("augment.films=0.9", "lower one"),
    ],
)  # fmt: skip
def test_bad_values_are_one_line_and_a_hint(pair: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(None, {"batch": 8} | overrides([pair]))
    assert says in error.value.hint
    assert pair.split("=")[0].split(".")[0] in error.value.message
    assert "\n" not in error.value.message + error.value.hint


def test_several_settings_after_one_set() -> None:
    args = parse(["--data", "a", "--out", "x", "--set", "loss.log=0.08", "loss.l2=3.0", "--set", "steps=7"])
    config = read_config(None, overrides(args.set))
    assert (config.loss.log, config.loss.l2, config.steps) == (0.08, 3.0, 7)


@pytest.mark.parametrize(
    "name",
    sorted(
        p.name
        for p in (Path(__file__).parents[2] / "training/configs").glob("*.toml")
        if "[[run]]" not in p.read_text()
    ),
)
def test_the_configurations_at_hand_are_valid(name: str) -> None:
    read_config(Path(__file__).parents[2] / "training" / "configs" / name, {})
