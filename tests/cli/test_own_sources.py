"""No command replaces what its result is made from, whatever it is called and however it is linked."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.capture.scenes import write_clip
from tests.cli.runner import run


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder with pictures, masks and a video."""
    rng = np.random.default_rng(0)
    mask = np.zeros((96, 128), np.uint8)
    mask[30:70, 40:90] = 255
    for folder in ("shots", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("000000.png", "000001.png"):
        cv2.imwrite(str(tmp_path / "shots" / name), rng.integers(0, 256, (96, 128, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / name), mask)
    cv2.imwrite(str(tmp_path / "bg.png"), rng.integers(0, 256, (96, 128, 3), np.uint8))
    write_clip(tmp_path / "talk.mp4", 2)
    write_clip(tmp_path / "mask.mp4", 2)
    os.link(tmp_path / "talk.mp4", tmp_path / "hard.mp4")
    (tmp_path / "soft.mp4").symlink_to("talk.mp4")
    (tmp_path / "soft.png").symlink_to("bg.png")
    (tmp_path / "again").symlink_to("shots")
    return tmp_path


COMMANDS = {
    "image, its picture": "image shots/000000.png --mask masks/000000.png -o shots/000000.png",
    "image, its mask": "image shots/000000.png --mask masks/000000.png -o masks/000000.png",
    "image, its background by a link": "image shots/000000.png --alpha masks/000000.png --bg bg.png -o soft.png",
    "image, the originals of a folder": "image shots --mask masks -o shots",
    "image, the originals by a link": "image shots --mask masks -o again",
    "image, the masks of a folder": "image shots --mask masks -o masks",
    "image, its plate": "image shots/000000.png --matte plate --plate bg.png --bg #203a5c -o bg.png",
    "process, its mask": "process talk.mp4 --alpha mask.mp4 --bg bg.png -o mask.mp4",
    "process, a hard link": "process talk.mp4 --alpha mask.mp4 --bg bg.png -o hard.mp4",
    "stream, its source": "stream --source talk.mp4 --matte mask.mp4 --bg bg.png --no-window -o talk.mp4",
    "stream, a hard link": "stream --source talk.mp4 --matte none --bg bg.png --no-window -o hard.mp4",
    "stream, a link": "stream --source talk.mp4 --alpha mask.mp4 --bg bg.png --no-window -o soft.mp4",
    "stream, its mask": "stream --source talk.mp4 --matte file:mask.mp4 --bg bg.png --no-window -o mask.mp4",
    "stream, its background": "stream --source mask.mp4 --matte none --bg talk.mp4 --no-window -o talk.mp4",
    "stream, the originals of a folder": "stream --source shots --matte none --bg bg.png --no-window -o shots/",
    "stream, the originals by number": "stream --source shots --matte none --bg bg.png --no-window -o again/%06d.png",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_source_is_never_replaced(there: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    monkeypatch.chdir(there)
    done = run(*command.split(), "--overwrite")
    assert done.code == 1
    assert "source of this very result" in done.error
    assert {path: path.read_bytes() for path in there.rglob("*") if path.is_file()} == before


def test_another_picture_of_the_folder_may_be_replaced(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(there)
    (there / "result.png").write_bytes(b"old")
    done = run("image", "shots/000000.png", "--mask", "masks/000000.png", "-o", "result.png", "--overwrite")
    assert done.code == 0, done.err
    assert cv2.imread(str(there / "result.png")).shape == (96, 128, 3)
