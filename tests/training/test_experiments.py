"""Lists of experiments: read, run for real on tiny pictures, resumed, put into a table."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_harmony.errors import ConfigError
from training import experiments
from training.config import read_config
from training.experiment_list import read_experiments, to_toml
from training.experiment_table import mean_and_spread

ROOT = Path(__file__).resolve().parents[2]
LIST = """\
seeds = [3, 4]
base = "tiny.toml"
[common]
steps = 6
stages = [[0.0, 64]]
[[run]]
group = "fusion"
name = "none"
set = { "generator.fusion" = "none" }
[[run]]
group = "fusion"
name = "external + contrast"
[[run]]
group = "seam"
name = "as above"
"""


@pytest.fixture
def listing(tmp_path: Path, config_file: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(config_file.read_text())
    (tmp_path / "list.toml").write_text(LIST)
    return tmp_path / "list.toml"


def test_rows_with_every_seed(listing: Path) -> None:
    made = read_experiments(listing, {"batch": 2})
    assert [e.folder for e in made] == [
        "fusion-none-seed3",
        "fusion-external-plus-contrast-seed3",
        "fusion-external-plus-contrast-seed3",
        "fusion-none-seed4",
        "fusion-external-plus-contrast-seed4",
        "fusion-external-plus-contrast-seed4",
    ]
    assert {(e.config.steps, e.config.batch) for e in made} == {(6, 2)}
    assert made[0].config.generator.fusion == "none"
    assert made[1].config.generator.fusion == "external"
    assert len({e.digest for e in made}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = [1]\n", "unknown key seed"),
        ("[[run]]\ngroup = 'a'\n", "no name"),
        ("[[run]]\nname = 'a'\nsets = {}\n", "unknown key sets"),
        ("[[run]]\nname = 'a'\nset = { 'loss.contrst' = 1.0 }\n", "unknown setting loss.contrst"),
        ("[[run]]\nname = 'a'\n[[run]]\nname = 'A'\n", "share a name"),
        ("seeds = [0]\n", "lists no runs"),
        ("seeds = \n", "not valid TOML"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_experiments(path, {})


def test_configuration_survives_as_toml(tmp_path: Path, listing: Path) -> None:
    for experiment in read_experiments(listing, {}):
        path = tmp_path / "written.toml"
        path.write_text(to_toml(experiment.config))
        assert read_config(path, {}) == experiment.config


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("ablation", {"fusion", "design", "head", "disturbances"}),
        ("contrast", {"contrast"}),
        ("mix", {"mix"}),
    ],
)
def test_shipped_lists_are_valid_and_their_rows_differ(name: str, groups: set[str]) -> None:
    made = read_experiments(ROOT / f"training/configs/{name}.toml", {}, seeds=1)
    assert {e.group for e in made} == groups
    for group in {e.group for e in made}:
        assert len({e.digest for e in made if e.group == group}) == sum(e.group == group for e in made)
    assert len({(e.config.steps, e.config.batch, e.config.stages) for e in made}) == 1  # one budget


def test_runs_resumes_and_writes_the_table(listing: Path, photos: Path, bench: Path, capsys) -> None:
    out = listing.parent / "out"
    command = [
        str(listing),
        "--data",
        str(photos),
        "--bench",
        str(bench),
        "--list",
        "list.txt",
        "--out",
        str(out),
        "--seeds",
        "1",
    ]
    assert experiments.main(command) == 0
    table = (out / "table.md").read_text()
    assert "| fusion | none | 1 |" in table
    assert "| fusion | external + contrast | 1 |" in table
    assert (out / "curves.png").stat().st_size > 1000
    assert "| seam | as above | 1 |" in table
    assert len((out / "table.csv").read_text().splitlines()) == 4
    result = json.loads((out / "fusion-none-seed3" / "result.json").read_text())
    assert 5 < result["benches"][bench.name]["model"]["psnr"] < 60
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*/last.safetensors")}
    assert len(stamps) == 2  # rows of equal settings share a run
    capsys.readouterr()
    assert experiments.main(command) == 0  # all done: nothing is trained again
    assert "2 runs are done, 0 to go" in capsys.readouterr().out
    assert stamps == {p: p.stat().st_mtime_ns for p in out.glob("*/last.safetensors")}
    with pytest.raises(ConfigError, match="other settings"):
        experiments.main([*command, "--set", "lr=0.5"])


def test_a_signal_to_the_list_alone_stops_its_runs_where_they_can_go_on(
    listing: Path, photos: Path, bench: Path
) -> None:
    out = listing.parent / "out"
    words = [sys.executable, "-m", "training.experiments", str(listing), "--data", str(photos), "--bench", str(bench)]
    words += ["--list", "list.txt", "--out", str(out), "--seeds", "1", "--parallel", "2", "--set", "steps=1000000"]
    running = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        outputs = [out / name / "log.csv" for name in ("fusion-none-seed3", "fusion-external-plus-contrast-seed3")]
        deadline = time.monotonic() + 120
        while not all(path.exists() and path.read_text().count("\n") > 1 for path in outputs):
            assert time.monotonic() < deadline
            assert running.poll() is None
            time.sleep(0.2)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 128 + signal.SIGTERM
    assert "the same command again goes on" in said
    for path in outputs:
        assert (path.parent / "last.safetensors").exists()
        assert "stopped at step" in (path.parent / "output.txt").read_text()
        assert not (path.parent / "result.json").exists()


def test_spread_is_half_the_range() -> None:
    assert mean_and_spread([30.0, 31.0], 2) == "30.50 ± 0.50"
    assert mean_and_spread([30.0], 1) == "30.0"
