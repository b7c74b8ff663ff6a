"""The alpha channel of HEVC (H.265, annex F): a second layer of pictures, which FFmpeg leaves out unless it is asked.

PyAV before 19 cannot ask, and none tells whether colours are multiplied by it. But the layer of alpha depends on no
other, so it is a video of its own once its units are said to be of the first layer: a second decoder reads it, and its
pictures go with those of the first by their times.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.container import import_av

_VPS, _SPS, _PPS, _SEI = 32, 33, 34, 39  # kinds of units
_FIRST_NOT_PICTURE: Final = 32
_ALPHA_SEI: Final = 165
_AUXILIARY: Final = 1 << (15 - 3)  # in the mask of scalability
_MULTIVIEW: Final = 1 << (15 - 1)
_DEPENDENT: Final = 2  # of ``declares_alpha``
_ALPHA: Final = 1  # kind of auxiliary layer
_MULTILAYER: Final = 7  # in place of a layer's number of sub-layers: most of its header is elsewhere


@dataclass(frozen=True)
class AlphaFrame:
    """A decoded frame with the alpha that came in another layer; all else is asked of the frame.

    Attributes:
        colour: PyAV's frame.
        alpha: uint8 (H, W), 255 is opaque.
        premultiplied: whether the colours are multiplied by it already.
    """

    colour: Any
    alpha: NDArray[np.uint8]
    premultiplied: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.colour, name)


class AlphaLayer:
    """Decodes the alpha of one stream beside its colours; ``of`` makes it."""

    def __init__(self, stream: Any, extradata: bytes) -> None:
        av = import_av("reading video")
        self._av = av
        self._base = stream.time_base
        self._length = _length_size(extradata)
        self._sets = [unit for unit in units_of(extradata) if _kind(unit) in (_VPS, _SPS, _PPS)]
        self._meaning = next((m for unit in units_of(extradata) if (m := _alpha_meaning(unit))), (0, 0, 255))
        self._decoder = av.CodecContext.create("hevc", "r")
        self._decoder.thread_count = 1  # its pictures come no later than the colours
        self._started = False
        self._waiting: deque[Any] = deque()
        self._alphas: dict[int | None, NDArray[np.uint8]] = {}

    @classmethod
    def of(cls, stream: Any) -> AlphaLayer | None:
        """The alpha layer of a stream; None where it has none, or one that depends on the layer of colours.

        ``is_dependent`` tells which.
        """
        extradata = _extradata(stream)
        if not any(_kind(unit) == _VPS and declares_alpha(unit) for unit in units_of(extradata)):
            return None
        return None if cls.is_dependent(stream) else cls(stream, extradata)

    @staticmethod
    def is_dependent(stream: Any) -> bool:
        """Whether a stream has an alpha layer that is not a video of its own, and so cannot be read."""
        found = units_of(_extradata(stream))
        headers = [unit for unit in found if _kind(unit) == _VPS and declares_alpha(unit)]
        layered = [unit for unit in found if _kind(unit) == _SPS and _layer(unit) == 1]
        elsewhere = any(unit[2] >> 1 & 7 == _MULTILAYER for unit in layered)
        return bool(headers) and (elsewhere or any(declares_alpha(unit) == _DEPENDENT for unit in headers))

    def join(self, packet: Any, frames: list[Any]) -> list[Any]:
        """Take a packet, and the frames that the colours' decoder made of it; give those that are complete."""
        self._waiting += frames
        frames.clear()
        for alpha in self._decode(packet):
            self._alphas[alpha.pts] = self._plane(alpha)
        ready: list[Any] = []
        while self._waiting and (not packet.size or self._waiting[0].pts in self._alphas):
            frame = self._waiting.popleft()
            alpha = self._alphas.pop(frame.pts, None)
            if alpha is None:  # lost on the way: the picture is there, and whole
                alpha = np.full((frame.height, frame.width), 255, np.uint8)
            ready.append(AlphaFrame(frame, alpha, self._meaning[0] == 1))
        return ready

    def _decode(self, packet: Any) -> list[Any]:
        if not packet.size:
            return list(self._decoder.decode(None)) if self._started else []
        found = list(units_in(bytes(packet), self._length))
        for unit in found:
            self._meaning = _alpha_meaning(unit) or self._meaning
        kept = [u for u in found if _kind(u) in (_SPS, _PPS) or (_layer(u) == 1 and _kind(u) < _FIRST_NOT_PICTURE)]
        if not self._started:
            kept = self._sets + kept
        self._started = True
        alone = self._av.Packet(b"".join(b"\0\0\0\1" + bytes([u[0] & 0xFE, u[1] & 7]) + u[2:] for u in kept))
        alone.pts, alone.dts, alone.time_base = packet.pts, packet.dts, packet.time_base
        try:
            return list(self._decoder.decode(alone))
        except self._av.error.FFmpegError:
            return []

    def _plane(self, frame: Any) -> NDArray[np.uint8]:
        """The luma, as the message about alpha says it is to be taken."""
        plane, bits = frame.planes[0], frame.format.components[0].bits
        kind = np.uint8 if bits == 8 else np.dtype("<u2")
        rows = np.frombuffer(plane, kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)
        luma = rows[: frame.height, : frame.width]
        clear, opaque = self._meaning[1:]
        if bits == 8 and (clear, opaque) == (0, 255):
            return luma.copy()
        codes = np.arange(1 << bits, dtype=np.float64)
        if (clear, opaque) == (0, 255):
            opaque = (1 << bits) - 1
        share = (codes - clear) / ((opaque - clear) or 1)
        return np.floor(np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)[luma]


def units_of(extradata: bytes) -> list[bytes]:
    """The units in a stream's header: of MP4 and Matroska (ISO/IEC 14496-15), or with start codes."""
    if extradata[:1] != b"\1":
        return list(units_in(extradata, 0))
    found, at = [], 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        count = int.from_bytes(extradata[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : at + 2 + length])
            at += 2 + length
    return [unit for unit in found if len(unit) > 2]


def units_in(data: bytes, length_size: int) -> Iterator[bytes]:
    """The units in a packet; ``length_size`` is 0 where start codes lie between them."""
    if not length_size:
        yield from (unit for unit in re.split(b"\0*\0\0\1", data) if len(unit) > 2)
        return
    at = 0
    while at + length_size <= len(data):
        length = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if length > 2:
            yield data[at : at + length]
        at += length


def declares_alpha(vps: bytes) -> int:
    """Whether a video parameter set says that its second layer is alpha: 0 no, 1 yes, 2 and made out of the first."""
    bits = _Bits(vps)
    bits.skip(6)
    layers, sub_layers = bits.read(6) + 1, bits.read(3) + 1
    bits.skip(1 + 16)
    if layers < 2:
        return 0
    bits.skip_profile(True, sub_layers)
    for _ in range(sub_layers if bits.read(1) else 1):
        for _ in range(3):
            bits.golomb()
    largest = bits.read(6)
    bits.skip(bits.golomb() * (largest + 1))
    if bits.read(1):  # timing: 64 bits, and buffers' sizes that nobody writes there
        bits.skip(64)
        if bits.read(1):
            bits.golomb()
        if bits.golomb():
            return 0
    if not bits.read(1):  # no extension
        return 0
    bits.align()
    bits.skip_profile(False, sub_layers)
    splitting, mask = bits.read(1), bits.read(16)
    if not mask & _AUXILIARY:
        return 0
    widths = [bits.read(3) + 1 for _ in range(bin(mask).count("1") - splitting)]
    if bits.read(1):
        bits.skip(6)
    kinds = [] if splitting else [bits.read(width) for width in widths]
    if kinds and kinds[1 if mask & _MULTIVIEW else 0] != _ALPHA:
        return 0
    width = bits.read(4)
    bits.skip(width * (2 if mask & _MULTIVIEW else 1))
    return _DEPENDENT if bits.read(1) else 1


def _alpha_meaning(unit: bytes) -> tuple[int, int, int] | None:
    """What a message about alpha says: its use (1: premultiplied), and the codes that are clear and opaque."""
    if _kind(unit) != _SEI or unit[2:3] != bytes([_ALPHA_SEI]):
        return None
    bits = _Bits(unit)
    bits.skip(16)
    if bits.read(1):
        return None
    use, depth = bits.read(3), bits.read(3) + 8
    return use, bits.read(depth + 1), bits.read(depth + 1)


class _Bits:
    """The payload of a unit, bit by bit; past the end there are zeros."""

    def __init__(self, unit: bytes) -> None:
        data = unit[2:].replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)
        self._size = self._left

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            return 0
        return self._value >> self._left & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        self._left -= count

    def align(self) -> None:
        self._left -= self._left % 8

    def golomb(self) -> int:
        zeros = 0
        while self._left > 0 and not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def skip_profile(self, profile: bool, sub_layers: int) -> None:
        self.skip(88 * profile + 8)
        flags = [(self.read(1), self.read(1)) for _ in range(sub_layers - 1)]
        if flags:
            self.skip(2 * (8 - len(flags)))
        for has_profile, has_level in flags:
            self.skip(88 * has_profile + 8 * has_level)


def _extradata(stream: Any) -> bytes:
    context = stream.codec_context
    return bytes(context.extradata or b"") if context is not None and context.name == "hevc" else b""


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _layer(unit: bytes) -> int:
    return (unit[0] & 1) << 5 | unit[1] >> 3


def _length_size(extradata: bytes) -> int:
    return (extradata[21] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 21 else 0
