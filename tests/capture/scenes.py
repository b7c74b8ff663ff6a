"""Small exact videos and pictures for the tests of sources and sinks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

PATCHES_BGR = (
    (255, 255, 255), (0, 0, 0), (128, 128, 128), (0, 0, 255), (0, 255, 0), (255, 0, 0), (30, 144, 200), (200, 60, 90),
)  # fmt: skip
LUMA_WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}
MATRIX_TAGS = {"bt709": 1, "bt601": 6, None: 2}
CELL = 32  # pixels, side of a colour patch


def yuv_of(bgr: Sequence[int], matrix: str, full: bool) -> tuple[int, int, int]:
    """The 8-bit Y'CbCr code of a colour by the formulas of BT.601/709, independent of any library."""
    kr, kb = LUMA_WEIGHTS[matrix]
    b, g, r = (v / 255 for v in bgr)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    codes = (255 * y, 255 * cb + 128, 255 * cr + 128) if full else (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)
    return tuple(int(np.clip(round(c), 0, 255)) for c in codes)  # type: ignore[return-value]


def patch_planes(matrix: str, full: bool, height: int = 64) -> list[np.ndarray]:
    """Y, Cb, Cr planes (4:2:0) of a row of ``PATCHES_BGR``."""
    codes = np.array([yuv_of(c, matrix, full) for c in PATCHES_BGR], np.uint8)
    planes = []
    for plane, cell in zip(range(3), (CELL, CELL // 2, CELL // 2), strict=True):
        row = np.repeat(codes[:, plane], cell)
        planes.append(np.repeat(row[None], height * cell // CELL, 0))
    return planes


def write_yuv(
    path: Path,
    frames: Sequence[list[np.ndarray]],
    *,
    matrix: str | None = None,
    full: bool | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    transfer: int | None = None,
    rotation: float | None = None,
    audio_s: float = 0.0,
    audio_codec: str = "aac",
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write planes as they are, losslessly by default, with exactly the tags asked for."""
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=1 / time_base if pts is None else 25)
        stream.height, stream.width = frames[0][0].shape
        stream.pix_fmt = pixel_format
        stream.options = options if options is not None else {"qp": "0", "preset": "ultrafast"}
        context = stream.codec_context
        context.time_base = time_base
        if matrix:
            context.colorspace = MATRIX_TAGS[matrix]
        if full is not None:
            context.color_range = 2 if full else 1
        if transfer is not None:
            context.color_trc = transfer
        if rotation is not None:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation; 18 can")
            stream.set_display_rotation(rotation)
        sound = out.add_stream(audio_codec, rate=48000) if audio_s else None
        for index, planes in enumerate(frames):
            frame = av.VideoFrame(stream.width, stream.height, pixel_format)
            for plane, values in zip(frame.planes, planes, strict=True):
                padded = np.zeros((values.shape[0], plane.line_size // values.itemsize), values.dtype)
                padded[:, : values.shape[1]] = values
                plane.update(padded.tobytes())
            frame.pts = pts[index] if pts else index
            frame.time_base = time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if sound is not None:
            _write_beeps(out, sound, audio_s)
    return path


def pictures_in_cycles(read: Callable[[], object]) -> int:
    """How many decoded pictures stay in memory after ``read`` until Python looks for cycles."""
    gc.collect()
    gc.disable()
    try:
        read()
        return sum(type(kept) is av.VideoFrame and kept.width > 16 for kept in gc.get_objects())
    finally:
        gc.enable()


def write_clip(path: Path, count: int = 12, size_hw: tuple[int, int] = (96, 128), **kwargs: object) -> Path:
    """A clip whose frame ``i`` is evenly grey of luma code ``20 + 10 i`` (again from 20 after 22 frames)."""
    height, width = size_hw
    frames = [
        [
            np.full((height, width), 20 + 10 * i % 220, np.uint8),
            *(np.full((height // 2, width // 2), 128, np.uint8),) * 2,
        ]
        for i in range(count)
    ]
    return write_yuv(path, frames, **kwargs)  # type: ignore[arg-type]


def _write_beeps(out: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    """Silence with a click at every half second, in packets of 1024 samples."""
    samples = np.zeros((1, int(48000 * seconds)), np.float32)
    samples[:, ::24000] = 0.9
    kind = sound.codec_context.format.name if sound.codec_context.format else "fltp"
    for start in range(0, samples.shape[1], 1024):
        block = samples[:, start : start + 1024]
        if kind.startswith("s16"):
            block = (block * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format=kind, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        out.mux(sound.encode(frame))
    out.mux(sound.encode())
