"""Backgrounds of a stream: every kind, their clocks, and what happens when their files vanish."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.backgrounds.live import LiveBackground, expand
from edge_harmony.errors import ConfigError, SourceError
from edge_harmony.sinks.video import VideoOptions, VideoSink
from tests.live.scenes import SIZE_HW, own_threads, picture, wait_until

FRAME, ALPHA = picture(5)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> object:
    before = own_threads()
    yield
    wait_until(lambda: len(own_threads()) <= len(before))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames at 10 a second, each of its own grey: 20, 40, ... 200."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    sink = VideoSink(path, SIZE_HW, Fraction(1, 10), Fraction(10), VideoOptions(crf=1, preset="ultrafast"))
    for index in range(10):
        sink.write(np.full((*SIZE_HW, 3), 20 * (index + 1), np.uint8), index, 1)
    sink.close()
    return path


def shown(background: LiveBackground, time_s: float) -> int:
    """Which grey of the film is shown, as the number of its frame."""
    return round(float(background.at(time_s, FRAME, ALPHA).mean()) / 20) - 1


def test_colour_and_array() -> None:
    background = LiveBackground("#102030", SIZE_HW)
    one = background.at(0.0, FRAME, ALPHA)
    assert one[0, 0].tolist() == [0x30, 0x20, 0x10]
    assert background.at(1.0, FRAME, ALPHA) is one
    assert not one.flags.writeable
    assert background.at(2.0, np.zeros((70, 80, 3), np.uint8), ALPHA).shape == (70, 80, 3)
    background.close()
    mine = np.full((70, 70, 3), 7, np.uint8)
    background = LiveBackground(mine, SIZE_HW)
    mine[:] = 9  # the caller's array stays the caller's
    assert background.at(0.0, FRAME, ALPHA).max() == 7
    background.close()


def test_blur_keeps_the_subject_out() -> None:
    background = LiveBackground("blur:60", SIZE_HW)
    seen = background.at(0.0, FRAME, ALPHA)[ALPHA == 0]
    assert np.abs(seen.astype(int) - (60, 90, 40)).max() <= 6  # the square is red, what is around it is not
    background.close()


@pytest.mark.parametrize("spec", ["blur:0", "blur:x", "#12345"])
def test_specs_that_mean_nothing(spec: str) -> None:
    with pytest.raises((ConfigError, SourceError)) as caught:
        LiveBackground(spec, SIZE_HW)
    assert caught.value.hint


def test_a_video_keeps_its_own_clock_and_loops(film: Path) -> None:
    background = LiveBackground(str(film), SIZE_HW, exact=True)
    times = [0.0, 0.04, 0.1, 0.35, 0.36, 0.95, 1.0, 1.25, 2.0, 9.95]
    assert [shown(background, t) for t in times] == [0, 0, 1, 3, 3, 9, 0, 2, 0, 9]
    background.close()


def test_a_live_background_never_waits_and_catches_up(film: Path) -> None:
    background = LiveBackground(str(film), SIZE_HW)
    assert shown(background, 0.0) == 0
    wait_until(lambda: shown(background, 0.5) == 5)
    background.close()


def test_after_a_pause_it_goes_on_where_it_was(film: Path) -> None:
    background = LiveBackground(str(film), SIZE_HW)
    shown(background, 0.0)
    wait_until(lambda: shown(background, 0.3) == 3)
    first = shown(background, 600.0)  # ten minutes are not decoded to catch up
    assert first in (3, 4, 5)
    background.close()


def test_a_file_that_is_deleted_in_use_leaves_its_last_picture(film: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    said: list[str] = []
    background = LiveBackground(str(copy), SIZE_HW, exact=True, say=said.append)
    assert shown(background, 0.0) == 0
    copy.unlink()
    assert shown(background, 0.9) == 9
    assert [shown(background, t) for t in (1.0, 1.5, 5.0, 9.0)] == [9, 9, 9, 9]
    assert len(said) == 1
    assert "copy.mp4" in said[0]
    background.close()


def test_a_picture_that_is_deleted_in_use_stays(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), np.full((90, 160, 3), 77, np.uint8))
    background = LiveBackground(str(path), SIZE_HW)
    path.unlink()
    assert background.at(0.0, FRAME, ALPHA).min() == 77
    assert background.at(0.0, np.zeros((128, 128, 3), np.uint8), ALPHA).min() == 77  # another size, from memory
    background.close()


def test_change_happens_in_the_background(film: Path) -> None:
    said: list[str] = []
    background = LiveBackground("#000000", SIZE_HW, say=said.append)
    background.at(0.0, FRAME, ALPHA)
    background.change("no/such.jpg")
    wait_until(lambda: background.at(1.0, FRAME, ALPHA) is not None and background.refused)
    assert background.spec == "#000000"
    assert background.generation == 0
    assert len(said) == 1
    background.change(str(film))
    assert background.wanted == str(film)
    wait_until(lambda: background.at(5.0, FRAME, ALPHA).max() > 0)
    assert background.generation == 1
    assert shown(background, 5.05) == 0  # its clock starts when it appears
    background.change("#ffffff")
    background.change("#808080")  # asked again before the first is shown
    wait_until(lambda: background.spec == "#808080" or background.at(6.0, FRAME, ALPHA).mean() == 128)
    background.close()


def test_folders_are_stepped_through(tmp_path: Path) -> None:
    for name in ("b2.png", "b10.png", "a.jpg", "notes.txt", ".hidden.png", "c.mp4"):
        (tmp_path / name).write_bytes(b"")
    found = [Path(p).name for p in expand([str(tmp_path)])]
    assert found == ["a.jpg", "b2.png", "b10.png", "c.mp4"]
    assert expand(["#000000", "blur"]) == ["#000000", "blur"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError):
        expand([str(empty)])
