"""The training loop, run for real on tiny pictures: resume, kill, and several processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edge_harmony.errors import ConfigError, SinkError
from training import checkpoint, train

ROOT = Path(__file__).resolve().parents[2]
TERMS = (
    "loss",
    "l1",
    "l2",
    "log",
    "smooth",
    "excess",
    "contrast",
    "critic",
    "found",
    "grad_norm",
    "fg_psnr",
    "lr",
    "samples_per_s",
)

# Runs the loop as `python -m training.train` does, then writes what this process ended with, heads included.
RANK = """
import os, sys
from safetensors.torch import save_file
from training import train
made = []
class Kept(train.Objective):
    def __init__(self, config):
        super().__init__(config)
        made.append(self)
train.Objective = Kept
code = train.main(sys.argv[2:])
held = {k: v.contiguous() for k, v in made[0].state_dict().items()}
save_file(held, f"{sys.argv[1]}/rank{os.environ['RANK']}.safetensors")
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """The loop sets signal handlers and thread counts of its process: put them back."""
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name, handler in handlers.items():
        signal.signal(name, handler)


def arguments(photos: Path, config_file: Path, out: Path, *more: str) -> list[str]:
    return [
        "--data",
        str(photos),
        "--config",
        str(config_file),
        "--out",
        str(out),
        "--device",
        "cpu",
        "--threads",
        "1",
        "--workers",
        "0",
        "--log-every",
        "2",
        *more,
    ]


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as f:
        return [{k: v for k, v in row.items() if k != "samples_per_s"} for row in csv.DictReader(f)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def whole(photos: Path, config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    assert train.main(arguments(photos, config_file, out, "--preview-every", "12")) == 0
    return out


def assert_same_run(one: Path, two: Path) -> None:
    a, b = load_file(one / "last.safetensors"), load_file(two / "last.safetensors")
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert rows(one) == rows(two)


def test_run_logs_every_term_and_leaves_what_it_says(whole: Path) -> None:
    log = rows(whole)
    assert [int(row["step"]) for row in log] == list(range(2, 25, 2))
    with (whole / "log.csv").open() as f:
        assert f.readline().strip().split(",") == ["step", *TERMS]
    assert all(float(v) == float(v) for row in log for v in row.values())  # no NaN
    assert any((whole / "tensorboard").iterdir())
    assert sorted(p.name for p in (whole / "preview").iterdir()) == ["0000012.png", "0000024.png"]
    assert not list(whole.glob("*.part*"))


def test_run_learns_and_averages(whole: Path) -> None:
    tensors, state = checkpoint.load(whole / "last.safetensors")
    assert state["step"] == 24
    raw = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    average = {k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")}
    assert raw.keys() == average.keys()
    assert any(not torch.equal(raw[k], average[k]) for k in raw)
    model, _ = checkpoint.load_generator(whole / "last.safetensors")
    assert not [name for name in model.state_dict() if "contrast" in name]


def test_same_command_again_does_nothing_more(photos: Path, config_file: Path, whole: Path) -> None:
    before = load_file(whole / "last.safetensors")
    log = rows(whole)
    assert train.main(arguments(photos, config_file, whole)) == 0
    after = load_file(whole / "last.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert rows(whole) == log


def test_stopped_run_goes_on_exactly(photos: Path, config_file: Path, whole: Path, tmp_path: Path) -> None:
    for stop in ("8", "14", "24"):  # 8 and 14 lie before and behind the change of size
        assert train.main(arguments(photos, config_file, tmp_path, "--stop-after", stop)) == 0
    assert_same_run(whole, tmp_path)


def test_killed_run_goes_on_exactly(photos: Path, config_file: Path, whole: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.train", *arguments(photos, config_file, tmp_path, "--save-every", "2")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE)
    try:
        limit = time.monotonic() + 120
        while not (tmp_path / "last.safetensors").exists() and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.002)
        process.kill()
    finally:
        error = process.communicate()[1].decode()
    assert process.returncode == -signal.SIGKILL, error
    step = checkpoint.load(tmp_path / "last.safetensors")[1]["step"]
    assert 0 < step < 24
    assert train.main(arguments(photos, config_file, tmp_path)) == 0
    assert_same_run(whole, tmp_path)


def test_interrupted_run_saves_and_goes_on_exactly(
    photos: Path, config_file: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = train.Log.write

    def interrupt(self: train.Log, step: int, values: dict[str, float]) -> None:
        write(self, step, values)
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(train.Log, "write", interrupt)
    assert train.main(arguments(photos, config_file, tmp_path)) == 130
    assert checkpoint.load(tmp_path / "last.safetensors")[1]["step"] == 6
    monkeypatch.undo()
    assert train.main(arguments(photos, config_file, tmp_path)) == 0
    assert_same_run(whole, tmp_path)


def test_two_processes_end_with_the_same_weights(photos: Path, config_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    run = arguments(photos, config_file, tmp_path / "run", "--stop-after", "6")
    done = subprocess.run([*command, str(tmp_path), *run], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2))
    last_seen = ("contrast.bank", "contrast.filled", "contrast.level.")  # rank 0's, handed to all before the next step
    weights = [name for name in first if not name.startswith(last_seen)]
    assert [name for name in weights if not torch.equal(first[name], second[name])] == []
    assert any(name.startswith("contrast.heads") for name in weights)
    saved = load_file(tmp_path / "run" / "last.safetensors")
    for name, value in first.items():
        stored = name.replace("generator.", "model.", 1) if name.startswith("generator.") else name
        assert torch.equal(saved[stored], value)


def test_batch_must_divide_over_processes(
    photos: Path, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.dist, "init_process_group", lambda backend: None)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="does not divide"):
        train.main(arguments(photos, config_file, tmp_path))


def test_without_the_contrastive_term(photos: Path, config_file: Path, tmp_path: Path) -> None:
    more = ("--set", "loss.contrast=0", "--stop-after", "2")
    assert train.main(arguments(photos, config_file, tmp_path, *more)) == 0
    tensors, _ = checkpoint.load(tmp_path / "last.safetensors")
    assert not [name for name in tensors if "contrast" in name]


def test_training_on_pairs_from_given_weights(bench: Path, config_file: Path, whole: Path, tmp_path: Path) -> None:
    run = arguments(
        bench,
        config_file,
        tmp_path,
        "--list",
        "list.txt",
        "--init",
        str(whole / "last.safetensors"),
        "--set",
        "lr=0.0",
        "--stop-after",
        "2",
    )
    run[0] = "--bench"
    assert train.main(run) == 0
    kept, _ = checkpoint.load_generator(tmp_path / "last.safetensors")
    start, _ = checkpoint.load_generator(whole / "last.safetensors")
    assert checkpoint.weights_digest(kept) == checkpoint.weights_digest(start)


def test_another_generator_in_the_same_folder_is_refused(photos: Path, config_file: Path, whole: Path) -> None:
    with pytest.raises(ConfigError, match="another generator"):
        train.main(arguments(photos, config_file, whole, "--set", "generator.stem=16"))


def test_folder_that_cannot_be_made(photos: Path, config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError) as error:
        train.main(arguments(photos, config_file, tmp_path / "file"))
    assert error.value.hint


def test_command_line_reports_in_two_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
