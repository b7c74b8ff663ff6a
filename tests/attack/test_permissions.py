"""What the system refuses (no permission, a name too long) is one error and one hint, and never our bug."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Root may do everything; without its capabilities it is a user like others.
AS_A_USER = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
LONG = "x" * 300
LIVE = ["--source", "test:64x64@30", "--matte", "none", "--model", "none", "--no-window", "--frames", "2"]
IMAGE = ["image", "picture.png", "--mask", "mask.png"]
PLAIN = ["image", "picture.png", "--mask", "mask.png", "-o", "o.png"]
WAYS = {
    "read a picture": ["image", "{shut}/a.png", "--mask", "mask.png", "-o", "o.png"],
    "read a mask": ["image", "picture.png", "--mask", "{shut}/a.png", "-o", "o.png"],
    "read a file that is shut": ["image", "{file}", "--mask", "mask.png", "-o", "o.png"],
    "read a background": ["image", "picture.png", "--mask", "mask.png", "--bg", "{shut}/a.png", "-o", "o.png"],
    "read a folder": ["image", "{shut}", "--mask", "mask.png", "-o", "o/"],
    "write a picture": [*IMAGE, "-o", "{shut}/o.png"],
    "write below": [*IMAGE, "-o", "{shut}/deeper/o.png"],
    "read settings": [*PLAIN, "--config", "{shut}/s.toml"],
    "read a model": [*PLAIN, "--model", "{shut}/m.onnx"],
    "read a video": ["process", "{shut}/a.mp4", "--bg", "#102030", "-o", "o.mp4"],
    "read a video that is shut": ["process", "{file}", "--bg", "#102030", "-o", "o.mp4"],
    "read a plate": ["stream", *LIVE[:2], "--matte", "plate", "--plate", "{shut}/a.png", *LIVE[4:], "--bg", "#102030"],
    "record": ["stream", *LIVE, "--bg", "#102030", "-o", "{shut}/o.mp4"],
    "record pictures": ["stream", *LIVE, "--bg", "#102030", "-o", "{shut}/o/"],
    "background of a stream": ["stream", *LIVE, "--bg", "{shut}/a.png"],
    "backgrounds of a stream": ["stream", *LIVE, "--bg", "{shut}"],
    "a source": ["stream", "--source", "{shut}/a.mp4", *LIVE[2:], "--bg", "#102030"],
    "figures": ["benchmark", "--seconds", "1", "--json", "{shut}/f.json"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("permissions")
    cv2.imwrite(str(folder / "picture.png"), np.full((64, 64, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "mask.png"), np.full((64, 64), 255, np.uint8))
    (folder / "shut").mkdir()
    shutil.copy(folder / "picture.png", folder / "shut" / "a.png")
    (folder / "file.png").write_bytes(b"")
    (folder / "file.png").chmod(0)
    (folder / "shut").chmod(0)
    yield folder
    (folder / "shut").chmod(0o700)


def outcome(words: list[str], folder: Path, user: bool) -> list[str]:
    done = subprocess.run(
        [*(AS_A_USER if user else []), sys.executable, "-m", "edge_harmony", *words],
        cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode in (1, 2), done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("error:", "hint:", "Traceback"))]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
@pytest.mark.parametrize("way", WAYS)
def test_no_permission(way: str, folder: Path) -> None:
    lines = outcome([word.format(shut="shut", file="file.png") for word in WAYS[way]], folder, user=True)
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], lines
    assert "this is a bug" not in lines[1], lines
    assert "unexpected" not in lines[0], lines


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_name_too_long(way: str, folder: Path) -> None:
    lines = outcome([word.format(shut=LONG, file=LONG + ".png") for word in WAYS[way]], folder, user=False)
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], lines
    assert "this is a bug" not in lines[1], lines
    assert "unexpected" not in lines[0], lines
