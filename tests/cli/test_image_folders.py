"""Folders and patterns of pictures: one bad picture costs no other, and a second run does what is left."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.runner import run


@pytest.fixture
def there(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    mask = np.zeros((96, 128), np.uint8)
    mask[30:70, 40:90] = 255
    for name in ("a", "b", "c"):
        for folder, picture in (("shots[1]", rng.integers(0, 256, (96, 128, 3), np.uint8)), ("masks", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), picture)
    return tmp_path


def _run(there: Path, *more: object, pictures: str = "shots[1]", masks: str = "masks"):
    return run("image", there / pictures, "--mask", there / masks, "-o", there / "out", *more)


def test_one_bad_picture_does_not_end_the_rest(there: Path) -> None:
    (there / "shots[1]" / "b.png").write_text("no picture")
    done = _run(there)
    assert done.code == 1
    assert "1 of 3 pictures" in done.err
    assert "b.png" in done.err
    assert sorted(path.name for path in (there / "out").glob("*.png")) == ["a.png", "c.png"]


def test_a_second_run_does_what_is_missing_or_no_longer_current(there: Path) -> None:
    (there / "shots[1]" / "b.png").write_text("no picture")
    assert _run(there).code == 1
    before = {name: (there / "out" / f"{name}.png").stat().st_mtime_ns for name in "ac"}
    cv2.imwrite(str(there / "shots[1]" / "b.png"), np.full((96, 128, 3), 90, np.uint8))
    again = _run(there)
    assert again.code == 0, again.err
    assert "2 of 3 are done already" in again.out
    assert {name: (there / "out" / f"{name}.png").stat().st_mtime_ns for name in "ac"} == before
    cv2.imwrite(str(there / "shots[1]" / "a.png"), np.full((96, 128, 3), 30, np.uint8))  # changed since
    assert "a.png exists already" in _run(there).err
    third = _run(there, "--overwrite")
    assert third.code == 0, third.err
    assert "2 of 3 are done already" in third.out
    assert (cv2.imread(str(there / "out" / "a.png"))[0, 0] == 30).all()
    assert "are done already" not in _run(there, "--overwrite", "--strength", 0.5).out  # other settings, other results


def test_patterns_work_as_folders_do(there: Path) -> None:
    done = _run(there, pictures="shots[1]/[ab].png", masks="masks/*.png")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (there / "out").glob("*.png")) == ["a.png", "b.png"]
    assert "matches no file" in _run(there, pictures="shots[1]/x*.png").err


def test_a_mask_of_half_the_size_is_scaled(there: Path) -> None:
    small = np.zeros((48, 64), np.uint8)
    small[15:35, 20:45] = 255
    cv2.imwrite(str(there / "half.png"), small)
    done = run("image", there / "shots[1]" / "a.png", "--mask", there / "half.png", "-o", there / "o.png")
    assert done.code == 0, done.err
    before, after = cv2.imread(str(there / "shots[1]" / "a.png")), cv2.imread(str(there / "o.png"))
    assert (before[:24] == after[:24]).all()
    assert os.path.getsize(there / "o.png") > 0
