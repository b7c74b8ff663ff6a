"""The compiled conversion from planes to BGR, held to the formulas and to FFmpeg's own."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from edge_harmony.capture.yuv import PixelReader
from tests.capture.scenes import LUMA_WEIGHTS, write_yuv

LEFT, BETWEEN = 0, 1  # x264's chromaloc, and the chroma's distance from the left pixel of a pair in half pixels
_LOSSLESS = {"qp": "0", "preset": "ultrafast"}


def random_planes(size_hw: tuple[int, int], low: int = 0, high: int = 255) -> list[np.ndarray]:
    rng = np.random.default_rng(size_hw[1])
    height, width = size_hw
    sizes = (size_hw, (height // 2, width // 2), (height // 2, width // 2))
    return [rng.integers(low, high + 1, size, np.uint8) for size in sizes]


def decoded(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def written(path: Path, planes: list[np.ndarray], location: int, matrix: str = "bt709", full: bool = False):  # type: ignore[no-untyped-def]
    options = {**_LOSSLESS, "x264-params": f"chromaloc={location}"}
    return decoded(write_yuv(path, [planes], matrix=matrix, full=full, options=options))


def upsampled(plane: np.ndarray, location: int) -> np.ndarray:
    """Twice the size, linearly; rows lie in between, columns where the location says."""
    values = plane.astype(np.float64)
    rows = np.clip((np.arange(2 * plane.shape[0]) - 0.5) / 2, 0, plane.shape[0] - 1)
    columns = np.clip((np.arange(2 * plane.shape[1]) - 0.5 * location) / 2, 0, plane.shape[1] - 1)
    for axis, at in ((0, rows), (1, columns)):
        before = np.floor(at).astype(int)
        after = np.minimum(before + 1, values.shape[axis] - 1)
        share = (at - before).reshape((-1, 1) if axis == 0 else (1, -1))
        values = (1 - share) * values.take(before, axis) + share * values.take(after, axis)
    return values


def by_formula(planes: list[np.ndarray], matrix: str, full: bool, location: int) -> np.ndarray:
    red, blue = LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    gain, black, stretch = (1, 0, 1) if full else (255 / 219, 16, 255 / 224)
    y = (planes[0].astype(np.float64) - black) * gain
    cb, cr = ((upsampled(plane, location) - 128) * stretch for plane in planes[1:])
    b, r = y + 2 * (1 - blue) * cb, y + 2 * (1 - red) * cr
    return np.clip(np.stack([b, (y - red * r - blue * b) / green, r], 2), 0, 255)


@pytest.mark.parametrize("size_hw", [(2, 32), (64, 96), (66, 98), (50, 334)])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("location", [LEFT, BETWEEN])
def test_every_pixel_is_what_the_formulas_say(
    tmp_path: Path, size_hw: tuple[int, int], matrix: str, full: bool, location: int
) -> None:
    planes = random_planes(size_hw)
    frame = written(tmp_path / "a.mkv", planes, location, matrix, full)
    got, alpha = PixelReader().read_colour(frame, "a")
    assert alpha is None
    assert got.shape == (*size_hw, 3)
    assert np.abs(got - by_formula(planes, matrix, full, location)).max() < 0.6  # half a code value is rounding


@pytest.mark.parametrize("location", [LEFT, BETWEEN])
def test_it_is_what_ffmpeg_makes_of_it(tmp_path: Path, location: int) -> None:
    frame = written(tmp_path / "a.mkv", random_planes((120, 160), 100, 156), location)
    reader = PixelReader()
    slow = reader._convert(frame, "bgr24")
    fast = reader.read_colour(frame, "a")[0]
    assert reader._siting is not None
    assert np.abs(fast.astype(int) - slow).max() <= 1


def test_chroma_that_lies_elsewhere_is_left_to_ffmpeg(tmp_path: Path) -> None:
    frame = written(tmp_path / "a.mkv", random_planes((64, 96), 100, 156), location=2)  # on the upper left pixel
    reader = PixelReader()
    got = reader.read_colour(frame, "a")[0]
    assert reader._siting is None
    assert (got == reader._convert(frame, "bgr24")).all()


@pytest.mark.parametrize(("size_hw", "kind"), [((48, 30), "yuv420p"), ((48, 64), "yuv422p"), ((48, 64), "yuv444p")])
def test_other_frames_are_left_to_ffmpeg(size_hw: tuple[int, int], kind: str) -> None:
    frame = av.VideoFrame(size_hw[1], size_hw[0], kind)
    for index, plane in enumerate(frame.planes):
        plane.update(np.full(plane.buffer_size, 100 + 20 * index, np.uint8).tobytes())
    reader = PixelReader()
    assert (reader.read_colour(frame, "a")[0] == reader._convert(frame, "bgr24")).all()


def test_real_footage_is_what_ffmpeg_makes_of_it(shared_dir: Path) -> None:
    frame = decoded(shared_dir / "media" / "clip" / "foreground.mp4")
    reader = PixelReader()
    fast = reader.read_colour(frame, "a")[0]
    assert reader._siting == (0, 2)
    assert np.abs(fast.astype(int) - reader._convert(frame, "bgr24")).max() <= 1
