"""A command that makes models ends in one line of error and one of hint where a package that it needs is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for package in ("training", "export", "calibration")
    for path in (REPOSITORY / package).rglob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
NEED_NEITHER = {"calibration.collect", "training.matte.teacher"}


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Python finds neither torch nor onnx."""
    hidden = tmp_path_factory.mktemp("hidden")
    for name in ("torch", "onnx"):
        (hidden / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(hidden), str(REPOSITORY)))}


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_missing_is_said(command: str, without: dict[str, str]) -> None:
    done = run(without, "-m", command, "--help")
    if command in NEED_NEITHER:
        assert done.returncode == 0, done.stderr
        return
    extra = "train" if command.startswith("training.") else "export"
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith(f"error: {command} needs ")
    assert error.split()[3].rstrip(",") in ("torch", "onnx")
    assert f"[{extra}]" in hint


@pytest.mark.parametrize(
    ("words", "command"), [("train", "training.train"), ("calibrate ranges", "calibration.ranges")]
)
def test_the_same_words_from_edge_harmony(words: str, command: str, without: dict[str, str]) -> None:
    code = "import sys; from edge_harmony.cli import main; sys.exit(main())"
    done = run(without, "-c", code, *words.split())
    assert done.returncode == 2
    assert done.stderr == run(without, "-m", command).stderr


def test_a_traceback_on_demand(without: dict[str, str]) -> None:
    done = run({**without, "EDGE_HARMONY_DEBUG": "1"}, "-m", "training.train")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-2].startswith("error: ")


def test_a_mistake_of_ours_is_no_missing_package(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text((REPOSITORY / "training" / "__init__.py").read_text())
    (tmp_path / "training" / "wrong.py").write_text("import training.there_is_none\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(REPOSITORY)))}
    done = subprocess.run(
        [sys.executable, "-m", "training.wrong"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_importing_leaves_the_interpreter_as_it_is(without: dict[str, str]) -> None:
    code = "import sys, training, export, calibration; assert sys.excepthook is sys.__excepthook__"
    done = run(without, "-c", code)
    assert done.returncode == 0, done.stderr
