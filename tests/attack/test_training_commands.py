"""Training, calibration and export end in one line of error and one of hint, whatever they are given."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.run.arguments import Parser

torch = pytest.importorskip("torch", reason="the training extra is not installed")

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
OWN_ENVIRONMENT = "training.matte.teacher"  # runs where nothing of ours is installed
TINY = ["batch=2", "stages=[[0.0,64]]", "generator.stem=8", "generator.widths=[8,8]", "generator.depths=[0,0]",
        "generator.context=[]", "generator.decoder_depths=[0]", "generator.code_size=8"]  # fmt: skip


def commands() -> Iterator[str]:
    for package in ("training", "export", "calibration"):
        folder = REPOSITORY / package
        for found in pkgutil.walk_packages([str(folder)], f"{package}."):
            if not found.ispkg and "def main(" in (REPOSITORY / f"{found.name.replace('.', '/')}.py").read_text():
                yield found.name


COMMANDS = sorted(set(commands()) - {OWN_ENVIRONMENT})


def parser_of(command: str, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    made: list[Parser] = []

    def note(self: Parser, *_: object) -> None:
        made.append(self)
        raise SystemExit(0)

    with monkeypatch.context() as patched:
        patched.setattr(Parser, "parse_args", note)
        with contextlib.suppress(SystemExit):
            importlib.import_module(command).main([])
    return made[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_numbers_out_of_range(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = parser_of(command, monkeypatch)
    assert parser.prog == f"python -m {command}"
    for action in parser._actions:
        if "." in action.dest:  # a setting, which is held against its table when it is used
            continue
        assert action.type not in (int, float), f"{action.option_strings}: give it a range"
        if not action.option_strings or action.type in (None, Path):
            continue
        for value in ("-1", "nan", "inf", "1e99", "9" * 30, "x", "", "0x"):
            with pytest.raises(SystemExit) as stop:
                parser.parse_args([f"{action.option_strings[-1]}={value}"])
            assert stop.value.code == 2
            lines = capsys.readouterr().err.splitlines()
            assert [line.partition(":")[0] for line in lines] == ["error", "hint"], lines
            assert action.option_strings[-1] in lines[0] or "required" in lines[0] or value == "-1", lines


def test_at_least_the_commands_of_the_documents_are_looked_at() -> None:
    assert {"training.train", "training.evaluate", "export.to_onnx", "export.build_engine", "calibration.collect",
            "calibration.quantize", "training.matte.train", "export.verify"} <= set(COMMANDS)  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for name in ("real_images", "masks"):
        (root / name).mkdir()
    rng = np.random.default_rng(1)
    for i in range(4):
        coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(str(root / "real_images" / f"{i}.png"), cv2.resize(coarse, (96, 96)))
        mask = cv2.ellipse(np.zeros((96, 96), np.uint8), (48, 48), (30, 20), 0, 0, 360, 255, -1)
        cv2.imwrite(str(root / "masks" / f"{i}.png"), mask)
    return root


def words(photos: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "training.train", "--data", str(photos), "--out", str(out), "--threads", "1",
            "--log-every", "1", *more, "--set", *TINY]  # fmt: skip


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def assert_two_lines(done: subprocess.CompletedProcess[str], code: int, part: str) -> None:
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code, done.stderr
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], done.stderr
    assert part in lines[0], lines
    assert "this is a bug" not in lines[1], lines


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cuda:x", "gpu", ""])
def test_a_device_that_is_not_there(device: str) -> None:
    from edge_harmony.errors import BackendUnavailableError, ConfigError
    from training.device import choose_device

    with pytest.raises((BackendUnavailableError, ConfigError)) as error:
        choose_device(device)
    assert error.value.hint
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


def signalled(process: subprocess.Popen[str], number: int, at_work: Callable[[], bool]) -> str:
    """Send a signal to all processes of a group once they are at work; what they said to stderr until their end."""
    ends = time.monotonic() + 240
    try:
        while not at_work():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < ends
            time.sleep(0.1)
        os.killpg(process.pid, number)
        return process.communicate(timeout=120)[1]
    finally:
        process.kill()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals to a group of processes are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_processes_of_a_run(number: int, photos: Path, tmp_path: Path) -> None:
    def child() -> None:  # neither nohup nor a shell in the background is the test's concern
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    process = subprocess.Popen(
        words(photos, tmp_path, "--workers", "2"), cwd=REPOSITORY, env=ENVIRONMENT, text=True,
        stderr=subprocess.PIPE, start_new_session=True, preexec_fn=child,
    )  # fmt: skip
    log = tmp_path / "log.csv"
    errors = signalled(process, number, lambda: log.exists() and log.read_text().count("\n") > 2)
    assert process.returncode == 128 + number, errors
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert "the same command goes on" in lines[0]
    with pytest.raises(ProcessLookupError):  # the workers are gone, too
        os.killpg(process.pid, 0)
    assert (tmp_path / "last.safetensors").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals to a group of processes are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_measurement(number: int, tmp_path: Path) -> None:
    picture, mask = np.full((1000, 1000, 3), 90, np.uint8), np.zeros((1000, 1000), np.uint8)
    mask[200:700, 200:700] = 255
    for folder, name, image in (("composite_images", "a_1_1", picture), ("masks", "a_1", mask),
                                ("real_images", "a", picture)):  # fmt: skip
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f"{name}.png"), image)
    (tmp_path / "l.txt").write_text("a_1_1.png\n" * 2000)
    process = subprocess.Popen(
        [sys.executable, "-m", "training.evaluate", "--bench", str(tmp_path), "--list", "l.txt", "--workers", "2",
         "--save", str(tmp_path / "saved")],
        cwd=REPOSITORY, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )  # fmt: skip
    errors = signalled(process, number, lambda: any((tmp_path / "saved").glob("*.png")))
    assert process.returncode == 128 + number, errors
    assert [line.partition(":")[0] for line in errors.strip().splitlines()] == ["error", "hint"], errors


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file may grow beyond 100 kB: what a full disk is to a program, but for the number of the error."""
    resource = pytest.importorskip("resource", reason="limits on files are POSIX's")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_the_checkpoint_before_stays(tmp_path: Path, no_room: None) -> None:
    from edge_harmony.errors import SinkError
    from training import checkpoint

    path = tmp_path / "last.safetensors"
    state = {"config": {}, "step": 1}
    checkpoint.save(path, {"a": torch.zeros(2_000)}, state)
    before = path.read_bytes()
    with pytest.raises(SinkError, match="File too large") as error:
        checkpoint.save(path, {"a": torch.ones(200_000)}, state)
    assert "limit on the size of files" in error.value.hint
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.slow
def test_a_damaged_photo_is_named_by_a_worker_as_by_none(photos: Path, tmp_path: Path) -> None:
    for name in ("real_images", "masks"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "photos" / "real_images" / "a.png").write_bytes(b"no picture")
    (tmp_path / "photos" / "masks" / "a.png").write_bytes(b"no picture")
    for workers in ("0", "1"):
        command = words(tmp_path / "photos", tmp_path / "run", "--workers", workers)
        assert_two_lines(run(command), 1, "a.png is missing or no picture")
