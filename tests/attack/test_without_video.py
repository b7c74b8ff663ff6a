"""Without PyAV pictures and frames work, and what needs it says so: an embedder may leave it out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[2]
FRAMES = """
import numpy as np, sys
from edge_harmony import Compositor, load_harmonizer
frame, alpha = np.full((96, 128, 3), 90, np.uint8), np.zeros((96, 128), np.uint8)
alpha[20:70, 30:90] = 255
background = np.full((96, 128, 3), 30, np.uint8)
assert load_harmonizer("nano")(frame, alpha).shape == frame.shape
assert Compositor(load_harmonizer("nano")).process(frame, alpha, background).shape == frame.shape
assert "av" not in sys.modules
"""


@pytest.fixture
def without(tmp_path: Path) -> Path:
    """A folder in which Python finds no PyAV, with a picture and its mask."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "av.py").write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')\n")
    cv2.imwrite(str(tmp_path / "a.png"), np.full((96, 128, 3), 90, np.uint8))
    mask = np.zeros((96, 128), np.uint8)
    mask[20:70, 30:90] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    (tmp_path / "a.mp4").write_bytes(b"whatever is in it")
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(folder / "hidden"), str(REPOSITORY)))
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip


def test_pictures_and_frames_work(without: Path) -> None:
    done = run(without, "-c", FRAMES)
    assert done.returncode == 0, done.stderr
    for name, given in (("one", ("--mask", "m.png")), ("two", ("--alpha", "m.png", "--bg", "#204060"))):
        done = run(without, "-m", "edge_harmony", "image", "a.png", *given, "-o", f"{name}.png")
        assert done.returncode == 0, done.stderr
        assert (without / f"{name}.png").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("process", "a.mp4", "--bg", "#102030", "-o", "o.mp4"),
        ("process", "test:64x64,frames=3", "--bg", "#102030", "-o", "o.mp4"),
        ("stream", "--source", "rtsp://127.0.0.1:9/a", "--bg", "#102030", "--no-window", "-o", "o.mp4"),
        ("stream", "--source", "test:64x64", "--bg", "#102030", "--no-window", "-o", "o.mp4", "--frames", "2"),
    ],
)
def test_what_needs_it_says_so(words: tuple[str, ...], without: Path) -> None:
    done = run(without, "-m", "edge_harmony", *words)
    lines = [line for line in done.stderr.splitlines() if line.startswith(("error:", "hint:", "Traceback"))]
    assert done.returncode == 1, done.stderr
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], done.stderr
    assert "needs PyAV" in lines[0], lines
    assert "pip install" in lines[1], lines


def test_the_list_without_it_is_the_package_s_own() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    listed = [line for line in (REPOSITORY / "requirements-light.txt").read_text().splitlines() if line[:1] != "#"]
    assert listed == [one for one in project["dependencies"] if not one.startswith("av")]
    assert project["optional-dependencies"]["video"] == [one for one in project["dependencies"] if one[:2] == "av"]
