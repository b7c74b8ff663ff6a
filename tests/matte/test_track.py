"""Masks held against their video before the work: by number, by time, or refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.capture.file import open_file
from edge_harmony.errors import MatteError
from edge_harmony.matte.track import MaskTrack, fit_mask, nearest, pair
from tests.capture.scenes import write_clip, write_yuv

MASK_HW = (96, 128)


def _grey(values: list[int], size_hw: tuple[int, int] = MASK_HW) -> list[list[np.ndarray]]:
    """Frames of even luma, full range."""
    height, width = size_hw
    flat = np.full((height // 2, width // 2), 128, np.uint8)
    return [[np.full(size_hw, value, np.uint8), flat, flat] for value in values]


def _masks(path: Path, values: list[int], rate: int = 25, **kwargs: object) -> Path:
    return write_yuv(path, _grey(values), full=True, time_base=Fraction(1, rate), pts=range(len(values)), **kwargs)


def _found(video: Path, masks: Path) -> list[int]:
    source = open_file(video)
    track = MaskTrack(masks, source)
    try:
        return [int(track.at(frame)[0, 0]) for frame in source]
    finally:
        track.close()


def test_as_many_masks_as_frames_go_by_number_whatever_their_rate(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "v.mp4", 5)
    assert _found(video, _masks(tmp_path / "m.mp4", [10, 20, 30, 40, 50], rate=50)) == [10, 20, 30, 40, 50]


def test_another_rate_goes_by_time(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "v.mp4", 10, pts=range(10), time_base=Fraction(1, 20))  # half a second
    masks = _masks(tmp_path / "m.mp4", [10 * i for i in range(20)], rate=40)
    assert _found(video, masks) == [10 * (2 * i + 1) for i in range(10)]  # the mask in the middle of each frame's time


def test_a_constant_rate_made_of_a_variable_one_goes_by_time(tmp_path: Path) -> None:
    shown = [0, 1, 2, 6, 7, 9, 12]  # in 25ths; the tool repeated what stood still
    video = write_clip(tmp_path / "v.mkv", len(shown), pts=shown, time_base=Fraction(1, 25))
    values = [10 * next(i for i in reversed(range(len(shown))) if shown[i] <= at) for at in range(13)]
    assert _found(video, _masks(tmp_path / "m.mkv", values)) == [10 * i for i in range(len(shown))]


@pytest.mark.parametrize(("frames", "masks", "rate"), [(10, 9, 25), (10, 11, 25), (10, 5, 25), (10, 40, 30)], ids=str)
def test_masks_that_cannot_belong_are_refused_when_opened(tmp_path: Path, frames: int, masks: int, rate: int) -> None:
    source = open_file(write_clip(tmp_path / "v.mp4", frames))
    path = _masks(tmp_path / "m.mp4", [5] * masks, rate)
    with pytest.raises(MatteError) as caught:
        MaskTrack(path, source)
    assert str(masks) in caught.value.message
    assert str(frames) in caught.value.message
    assert "this very video" in caught.value.hint


def test_a_colour_video_is_no_mask_also_after_a_black_beginning(tmp_path: Path) -> None:
    colour = _grey([0] * 2 + [120] * 18)
    for planes in colour[2:]:
        planes[1] = np.full((48, 64), 60, np.uint8)
    source = open_file(write_clip(tmp_path / "v.mp4", 20))
    with pytest.raises(MatteError, match="colour"):
        MaskTrack(write_yuv(tmp_path / "m.mp4", colour, options={"qp": "0", "preset": "ultrafast", "g": "4"}), source)


def test_zeros_and_ones_are_stretched_for_the_whole_video(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = write_clip(tmp_path / "v.mp4", 3)
    assert _found(video, _masks(tmp_path / "m.mp4", [0, 1, 1])) == [0, 255, 255]
    assert "only 0 and 1" in caplog.text
    assert _found(video, _masks(tmp_path / "fade.mp4", [0, 1, 200])) == [0, 1, 200]  # it fades in: nothing is stretched


def test_a_folder_needs_a_mask_for_every_frame(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "v.mp4", 3)
    (tmp_path / "masks").mkdir()
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), np.full(MASK_HW, 50 * number, np.uint8))
    assert _found(video, tmp_path / "masks") == [50, 100, 150]
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(MatteError, match="2 masks"):
        MaskTrack(tmp_path / "masks", open_file(video))


def test_one_picture_serves_every_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "m.png"), np.full(MASK_HW, 77, np.uint8))
    assert _found(write_clip(tmp_path / "v.mp4", 3), tmp_path / "m.png") == [77, 77, 77]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_mask_of_half_or_double_size_is_scaled(tmp_path: Path, scale: float) -> None:
    mask = np.zeros((int(96 * scale), int(128 * scale)), np.uint8)
    mask[:, : mask.shape[1] // 2] = 255
    fitted = fit_mask(mask, (96, 128), tmp_path)
    assert fitted.shape == (96, 128)
    assert (fitted[:, :62] == 255).all()
    assert (fitted[:, 66:] == 0).all()


def test_another_shape_is_refused_and_padding_of_odd_sides_cut_off(tmp_path: Path) -> None:
    with pytest.raises(MatteError, match="64 x 64"):
        fit_mask(np.zeros((64, 64), np.uint8), (96, 128), tmp_path)
    padded = np.arange(98 * 130, dtype=np.uint8).reshape(98, 130)
    assert (fit_mask(padded, (97, 129), tmp_path) == padded[:97, :129]).all()


def test_nearest_and_pair_of_plain_times() -> None:
    times = [Fraction(i, 10) for i in range(5)]
    assert [nearest(times, t) for t in (Fraction(-1), Fraction(14, 100), Fraction(16, 100), Fraction(9))] == [
        0,
        1,
        2,
        4,
    ]
    assert pair(times, times, "a", "b") == [0, 1, 2, 3, 4]
