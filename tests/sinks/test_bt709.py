"""Pictures to planes: held to the formulas of BT.709, and to what reading makes of them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from edge_harmony.capture.yuv import PixelReader
from edge_harmony.sinks.bt709 import YuvConverter, even, tag

RED, BLUE = 0.2126, 0.0722


def planes_of(frame: av.VideoFrame) -> list[np.ndarray]:
    rows = ((p, np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)) for p in frame.planes)
    return [values[: plane.height, : plane.width] for plane, values in rows]


def by_formula(image: np.ndarray) -> list[np.ndarray]:
    """Luma; chroma of each pair of rows, at each even column from a quarter, half and quarter of its three."""
    height, width = even(image.shape[:2])
    pad = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
    b, g, r = np.moveaxis(np.pad(image, pad, mode="edge").astype(np.float64), 2, 0)
    y = RED * r + (1 - RED - BLUE) * g + BLUE * b
    planes = [16 + y * 219 / 255]
    for difference in ((b - y) / (2 * (1 - BLUE)), (r - y) / (2 * (1 - RED))):
        rows = (difference[::2] + difference[1::2]) / 2
        wide = np.concatenate([rows[:, :1], rows], 1)
        planes.append(128 + 224 / 255 * (wide[:, 0:-1:2] / 4 + wide[:, 1::2] / 2 + wide[:, 2::2] / 4))
    return planes


@pytest.mark.parametrize("size_hw", [(2, 32), (64, 96), (65, 97), (31, 7), (1, 1), (50, 334)])
def test_every_sample_is_what_the_formulas_say(size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size_hw, 3), np.uint8)
    frame = YuvConverter()(image)
    assert (frame.height, frame.width) == even(size_hw)
    for got, expected in zip(planes_of(frame), by_formula(image), strict=True):
        assert np.abs(got - expected).max() < 0.6  # half a code value is rounding


@pytest.mark.parametrize("layout", ["mirrored", "every other row", "rgb"])
def test_any_layout_of_memory_is_read(layout: str) -> None:
    image = np.random.default_rng(2).integers(0, 256, (64, 96, 3), np.uint8)
    view = {"mirrored": image[:, ::-1], "every other row": image[::2], "rgb": image[:, :, ::-1]}[layout]
    convert = YuvConverter()
    plain = planes_of(convert(np.ascontiguousarray(view)))
    assert all((a == b).all() for a, b in zip(planes_of(convert(view)), plain, strict=True))


def test_grey_has_no_colour() -> None:
    _, u, v = planes_of(YuvConverter()(np.arange(64 * 96, dtype=np.uint8).reshape(64, 96)))
    assert (u == 128).all()
    assert (v == 128).all()


def test_colours_come_back_where_they_were(tmp_path: Path) -> None:
    # A slanting ramp between two colours of the same luma, ten codes of blue a pixel: half a pixel would be five.
    across = np.clip((np.arange(96)[None] + np.arange(64)[:, None] / 3 - 50) / 8, -1, 1)
    image = np.stack([128 + 80 * across, 128 - 8 * across, 128 + 0 * across], 2).round().astype(np.uint8)
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.options = {"qp": "0", "preset": "ultrafast"}
        tag(stream.codec_context)
        out.mux(stream.encode(YuvConverter()(image)))
        out.mux(stream.encode())
    with av.open(str(tmp_path / "a.mkv")) as back:
        got = PixelReader().read_colour(next(back.decode(video=0)), "a")[0]
    inside = np.abs(across) < 0.7
    assert np.abs((got.astype(int) - image)[inside].mean(0)).max() < 0.5
    assert np.abs(got.astype(int) - image)[inside].max() <= 3
