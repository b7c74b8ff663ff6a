"""HEVC with an alpha layer, as a phone writes it: two x265 streams, put together as annex F of H.265 has it."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

ALPHA, VIEWS = 1 << 12, 1 << 14  # masks of scalability: an auxiliary layer, a second view
_VPS, _NOT_PICTURES = 32, 32


def write_hevc_alpha(
    path: Path,
    colours: list[np.ndarray],
    alphas: list[np.ndarray],
    *,
    x265: str = "keyint=1:bframes=0",
    message: tuple[int, int, int] | None = (0, 0, 255),
    mask: int = ALPHA,
    dependent: bool = False,
) -> Path:
    """Write a video.

    Args:
        path: its suffix says the container.
        colours: uint8 (H, W, 3) BGR, all of a size.
        alphas: uint8 (H, W), the codes of the second layer's luma.
        x265: how both are encoded.
        message: use (1: premultiplied), clear and opaque code; None leaves it out.
        mask: what the second layer is said to be.
        dependent: whether it is said to be made out of the first.
    """
    first, second = (_encoded(pictures, x265) for pictures in (colours, alphas))
    height, width = colours[0].shape[:2]
    base = Fraction(1, 25)
    raw = b""
    times: list[tuple[int, int]] = []
    for index, (colour, alpha) in enumerate(zip(first, second, strict=True)):
        units = [
            _layered_vps(unit, width, height, mask, dependent) if _kind(unit) == _VPS else unit
            for unit in _units(bytes(colour))
        ]  # fmt: skip
        if message is not None and index == 0:
            units.insert(3, _message(*message))
        units += [
            bytes([u[0] & 0xFE, 1 << 3 | (u[1] & 7)]) + u[2:]
            for u in _units(bytes(alpha)) if _kind(u) < _NOT_PICTURES
        ]  # fmt: skip
        raw += b"".join(b"\0\0\0\1" + unit for unit in units)
        times.append((round(colour.pts * colour.time_base / base), round(colour.dts * colour.time_base / base)))
    plain = path.with_suffix(".h265")
    plain.write_bytes(raw)
    with av.open(str(plain), format="hevc") as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        stream.time_base = base
        packets = [packet for packet in given.demux() if packet.size]
        earliest = min(dts for _, dts in times)
        for packet, (pts, dts) in zip(packets, times, strict=True):
            packet.pts, packet.dts, packet.duration, packet.time_base = pts - earliest, dts - earliest, 1, base
            packet.stream = stream
            made.mux(packet)
    plain.unlink()
    return path


def _encoded(pictures: list[np.ndarray], x265: str) -> list[Any]:
    context = av.CodecContext.create("libx265", "w")
    context.height, context.width = pictures[0].shape[:2]
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), 25
    params = f"log-level=none:info=0:repeat-headers=1:pools=none:frame-threads=1:qp=4:{x265}"
    context.options = {"x265-params": params, "preset": "ultrafast"}
    made: list[Any] = []
    for index, picture in enumerate(pictures):
        if picture.ndim == 3:
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        else:
            frame = av.VideoFrame(context.width, context.height, "yuv420p")
            grey = np.full_like(picture[::2, ::2], 128)
            for plane, values in zip(frame.planes, (picture, grey, grey), strict=True):
                padded = np.zeros((values.shape[0], plane.line_size), np.uint8)
                padded[:, : values.shape[1]] = values
                plane.update(padded.tobytes())
        frame.pts, frame.time_base = index, Fraction(1, 25)
        made += context.encode(frame)
    return made + context.encode(None)


def _units(data: bytes) -> list[bytes]:
    return [unit for unit in re.split(b"\0?\0\0\1", data) if unit]


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def put(self, count: int, value: int) -> _Bits:
        self.text += format(value, f"0{count}b")
        return self

    def golomb(self, *values: int) -> _Bits:
        for value in values:
            code = format(value + 1, "b")
            self.text += "0" * (len(code) - 1) + code
        return self

    def align(self) -> _Bits:
        self.text += "1" * (-len(self.text) % 8)
        return self

    def escaped(self, end: bool = True) -> bytes:
        text = self.text + ("1" if end else "")
        data = int(text + "0" * (-len(text) % 8), 2).to_bytes(-(-len(text) // 8), "big")
        made, zeros = bytearray(), 0
        for byte in data:
            if zeros >= 2 and byte <= 3:
                made.append(3)
                zeros = 0
            made.append(byte)
            zeros = 0 if byte else zeros + 1
        return bytes(made)


def _layered_vps(unit: bytes, width: int, height: int, mask: int, dependent: bool) -> bytes:
    """The video parameter set of one layer as one of two: same profile."""
    profile = unit[2:].replace(b"\0\0\3", b"\0\0")[4:16]
    bits = _Bits().put(4, 0).put(2, 3).put(6, 1).put(3, 0).put(1, 1).put(16, 0xFFFF)
    bits.put(96, int.from_bytes(profile, "big")).put(1, 1).golomb(5, 2, 0)
    bits.put(6, 1).golomb(1).put(2, 3).put(1, 0).put(1, 1).align()  # two sets of layers; an extension follows
    bits.put(8, profile[11]).put(1, 0).put(16, mask).put(3, 0).put(1, 0).put(1, 1)  # of kind, or view, 1
    bits.put(4, 0).put(1, int(dependent)).golomb(*([] if dependent else [0]))
    bits.put(1, 0).put(1, 0).put(1, 1).golomb(1, 0).put(2, 0).put(2, 3).golomb(0)
    bits.put(16, width).put(16, height).put(1, 1).put(2, 1).put(8, 0).put(1, 0)
    bits.put(1, 1).put(1, 0).put(int(not dependent), int(not dependent)).put(1, 0)
    bits.golomb(5, 5, 2, 0, 0).put(1, 0).golomb(0).put(1, 0).put(1, 0)
    return unit[:2] + bits.escaped()


def _message(use: int, clear: int, opaque: int) -> bytes:
    body = _Bits().put(1, 0).put(3, use).put(3, 0).put(9, clear).put(9, opaque).put(1, 0).put(1, 0).escaped()
    return bytes([39 << 1, 1 << 3 | 1, 165, len(body)]) + body + b"\x80"
