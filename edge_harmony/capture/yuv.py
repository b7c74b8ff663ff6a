"""From FFmpeg's pixel formats to BGR and to masks, with the matrix and range that the video was made with."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.alpha_layer import AlphaFrame
from edge_harmony.capture.depth import to_8_bits
from edge_harmony.capture.hdr import CURVE, PEAK_NITS, ToneMapper, peak_of
from edge_harmony.errors import SourceError
from edge_harmony.pixels.frame import straight_colour
from edge_harmony.pixels.passes import read_rows, read_scratch

# Numbers of H.273 (ISO/IEC 23091-2), which FFmpeg uses too.
_BT709, _BT2020 = 1, (9, 10)
_BT601: Final = (5, 6)
_FCC, _SMPTE240 = 4, 7
_PQ, _HLG = 16, 18
_FULL: Final = 2
_HD_LINES: Final = 720

# swscale's bilinear | accurate rounding | full chroma, in and out. Its default path repeats chroma samples and is off
# by 2 code values; this one is not. (As a number: not all PyAVs name these flags.)
SWS_QUALITY: Final = 0x2 | 1 << 18 | 1 << 13 | 1 << 14

# Red's and blue's share of luma, of the matrices that the compiled conversion knows.
_LUMA_SHARES: Final = {_BT709: (0.2126, 0.0722), **dict.fromkeys(_BT601, (0.299, 0.114))}
_PLANAR: Final = ("yuv420p", "yuvj420p")
# Where chroma samples lie, as the two shares that the compiled conversion takes: on the left pixel of each pair (H.264
# unless it says otherwise), or between the two (JPEG).
_SITINGS: Final = ((0, 2), (1, 1))

_EMPTY: Final = np.empty((0, 0, 3), np.uint8)


def colour_kind(frame: Any) -> str:
    """What a decoded frame's colours need before they are BT.709: ``HLG``, ``PQ``, ``BT.2020``, or "" for nothing."""
    transfer = int(frame.color_trc)
    if transfer in (_PQ, _HLG):
        return "PQ" if transfer == _PQ else "HLG"
    return "BT.2020" if int(frame.colorspace) in _BT2020 or int(frame.color_primaries) == 9 else ""


def colour_note(frame: Any) -> str:
    """What is done to a decoded frame's colours, in words; "" where they are taken as they are."""
    kind, bits = colour_kind(frame), depth_of(frame)
    if kind in ("HLG", "PQ"):
        peak = peak_of(frame) if kind == "PQ" else None
        light = f" from {peak:g} cd/m2" if peak else ""
        return f"HDR ({kind}, {bits} bits): tone-mapped{light} to 8-bit BT.709 by {CURVE}; --hdr refuse would refuse it"
    words = [f"{bits} bits a channel: rounded to 8 with dither"] if bits > 8 else []
    return "; ".join([*words, *(["BT.2020 colour: brought to BT.709"] if kind else [])])


def depth_of(frame: Any) -> int:
    """Bits a channel of a decoded frame."""
    return max((c.bits for c in frame.format.components), default=8)


def refuse_hdr(frame: Any, name: str) -> None:
    """Raise ``SourceError`` for a decoded frame with an HDR transfer."""
    kind = colour_kind(frame)
    if kind in ("HLG", "PQ"):
        raise SourceError(
            f"{name} is HDR ({kind}, {depth_of(frame)}-bit) and --hdr refuse was given",
            "leave --hdr refuse out to have it tone-mapped, or tone-map it with a program of your choice first",
        )


class PixelReader:
    """Converts the frames of one video; keeps swscale's tables between frames. Not for use by two threads."""

    def __init__(self, hdr: str = "tonemap") -> None:
        """Make one; ``hdr`` is ``tonemap`` or ``refuse``."""
        from av.video.reformatter import Colorspace, VideoReformatter

        self._reformatter = VideoReformatter()
        self._siting: tuple[int, int] | None = None
        self._probed = False
        self._refuse_hdr = hdr == "refuse"
        self._mapper: tuple[str, float, ToneMapper] | None = None
        self._matrices = {
            _BT709: Colorspace.ITU709,
            _FCC: Colorspace.FCC,
            _SMPTE240: Colorspace.SMPTE240M,
            **dict.fromkeys(_BT601, Colorspace.ITU601),
            **dict.fromkeys(_BT2020, 9),  # as a number: not all PyAVs name it
        }

    def read_colour(self, frame: Any, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """BGR uint8 (H, W, 3), and alpha uint8 (H, W) or None; both owned by the caller."""
        if isinstance(frame, AlphaFrame):
            image, _ = self.read_colour(frame.colour, name)
            return straight_colour(image, frame.alpha) if frame.premultiplied else image, frame.alpha
        kind = colour_kind(frame)
        if kind and self._refuse_hdr:
            refuse_hdr(frame, name)
        if kind or depth_of(frame) > 8:
            return self._deep_colour(frame, kind), self._alpha(frame) if has_alpha(frame) else None
        if _is_grey(frame) and not has_alpha(frame):
            return cv2.cvtColor(self._luma(frame), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False), None
        if _is_plain(frame):
            if not self._probed:
                self._siting, self._probed = self._probe_siting(frame), True
            if self._siting is not None:
                return self._read_planes(frame, self._siting), None
        if not has_alpha(frame):
            return self._convert(frame, "bgr24"), None
        bgra = self._convert(frame, "bgra")
        return np.ascontiguousarray(bgra[:, :, :3]), np.ascontiguousarray(bgra[:, :, 3])

    def read_opaque(self, frame: Any, name: str) -> tuple[NDArray[np.uint8], None]:
        """As ``read_colour``, for frames whose alpha channel, if they have one, says nothing."""
        if isinstance(frame, AlphaFrame):
            return self.read_colour(frame.colour, name)[0], None
        if has_alpha(frame) and depth_of(frame) == 8 and not colour_kind(frame):
            return self._convert(frame, "bgr24"), None
        return self.read_colour(frame, name)[0], None

    def read_alpha(self, frame: Any, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """An empty picture, and the alpha channel, 0..255."""
        return _EMPTY, self._alpha(frame)

    def read_luma(self, frame: Any, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """An empty picture, and the luma, 0..255."""
        frame = frame.colour if isinstance(frame, AlphaFrame) else frame
        return _EMPTY, self._luma(frame)

    def _alpha(self, frame: Any) -> NDArray[np.uint8]:
        if isinstance(frame, AlphaFrame):
            return frame.alpha
        if depth_of(frame) > 8:
            return to_8_bits(self._convert(frame, "bgra64le")[:, :, 3], dither=False)
        return np.ascontiguousarray(self._convert(frame, "bgra")[:, :, 3])

    def _deep_colour(self, frame: Any, kind: str) -> NDArray[np.uint8]:
        """BGR of a frame of more than 8 bits, or whose colours are not those of BT.709."""
        deep: Any = self._reformat(frame, "bgr48le")
        if kind:
            known = peak_of(frame) if kind == "PQ" and frame.key_frame else None
            peak = known or (self._mapper[1] if self._mapper else PEAK_NITS)
            if self._mapper is None or self._mapper[:2] != (kind, peak):
                self._mapper = kind, peak, ToneMapper(kind, peak)
            deep = self._mapper[2](self._full_scale(deep, frame))
        return to_8_bits(deep.to_ndarray(), dither=True, full=bool(kind) or frame.format.is_rgb)

    @staticmethod
    def _full_scale(deep: Any, frame: Any) -> Any:
        """A frame in bgr48le whose white is 65535; FFmpeg has it at 255 x 256 after converting from Y'CbCr."""
        if frame.format.is_rgb:
            return deep
        import av

        image = deep.to_ndarray()
        return av.VideoFrame.from_ndarray(cv2.add(image, image >> 8), format="bgr48le")  # stops at 65535

    def _luma(self, frame: Any) -> NDArray[np.uint8]:
        """The luma plane itself, stretched to 0..255 when it is in limited range."""
        if depth_of(frame) > 8:
            return to_8_bits(self._convert(frame, "gray16le"), dither=False)
        if frame.format.is_rgb or "pal8" in frame.format.name:
            return self._convert(frame, "gray")
        plane = frame.planes[0]
        if frame.format.components[0].bits != 8 or plane.line_size < frame.width or _is_packed(frame):
            return self._convert(frame, "gray")
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        luma = rows[: frame.height, : frame.width]
        if _is_full_range(frame):
            return luma.copy()
        return cv2.LUT(luma, _STRETCH).astype(np.uint8, copy=False)

    def _probe_siting(self, frame: Any) -> tuple[int, int] | None:
        """The one of ``_SITINGS`` that FFmpeg takes a frame for, by a small picture with the frame's properties.

        PyAV does not tell a frame's chroma location. None where FFmpeg takes it for anything else.
        """
        small = self._reformatter.reformat(frame, width=64, height=16, format=frame.format.name)
        if not _is_plain(small):
            return None
        for plane in small.planes:
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # pyright: ignore[reportCallIssue, reportArgumentType]
            rows[:] = 128
            rows[rows.shape[0] // 2 :] += 32
            rows[:, 12:] -= 64
        expected = self._convert(small, "bgr24")
        for siting in _SITINGS:
            if cv2.absdiff(self._read_planes(small, siting), expected).max() <= 1:
                return siting
        return None

    def _read_planes(self, frame: Any, siting: tuple[int, int]) -> NDArray[np.uint8]:
        """BGR of a frame that is ``_is_plain``."""
        height, width = frame.height, frame.width
        out = np.empty((height, width, 3), np.uint8)
        scratch = np.empty(read_scratch(width), np.uint8)
        luma, u, v = frame.planes
        read_rows(
            height, width, luma.buffer_ptr, luma.line_size, u.buffer_ptr, v.buffer_ptr, u.line_size,
            out.ctypes.data, out.strides[0], scratch.ctypes.data, *_factors(_matrix(frame), _is_full_range(frame)),
            *siting,
        )  # fmt: skip
        return out

    def _convert(self, frame: Any, pixel_format: str) -> NDArray[Any]:
        return self._reformat(frame, pixel_format).to_ndarray()

    def _reformat(self, frame: Any, pixel_format: str) -> Any:
        return self._reformatter.reformat(
            frame,
            format=pixel_format,
            src_colorspace=self._matrices[_matrix(frame)],
            dst_colorspace=self._matrices[_matrix(frame)],
            src_color_range=2 if _is_full_range(frame) else 1,
            dst_color_range=2,
            interpolation=SWS_QUALITY,
        )


def _stretch_table() -> NDArray[np.uint8]:
    code = np.arange(256, dtype=np.float64)
    return np.clip(np.floor((code - 16.0) * 255.0 / 219.0 + 0.5), 0, 255).astype(np.uint8)


_STRETCH: Final = _stretch_table()


def _factors(matrix: int, full_range: bool) -> tuple[int, ...]:
    """What ``read_rows`` multiplies with and adds: gain and offset of luma, then the chroma's four."""
    red, blue = _LUMA_SHARES[matrix]
    green = 1.0 - red - blue
    gain, black, stretch = (1.0, 0.0, 1.0) if full_range else (255 / 219, 16.0, 255 / 224)
    chroma = (
        2 * (1 - blue),
        -2 * (1 - blue) * blue / green,
        -2 * (1 - red) * red / green,
        2 * (1 - red),
    )
    rounding = 16 + 1  # a half, and what the products lose on average by being cut off
    return round(8192 * gain), round(-32 * gain * black) + rounding, *(round(8192 * stretch * c) for c in chroma)


def _is_plain(frame: Any) -> bool:
    """Whether the compiled conversion takes it: progressive 4:2:0 of even size, in BT.601 or BT.709."""
    return (
        frame.format.name in _PLANAR
        and not frame.interlaced_frame
        and frame.width % 2 == 0
        and frame.height % 2 == 0
        and _matrix(frame) in _LUMA_SHARES
        and all(plane.line_size > 0 for plane in frame.planes)
        and frame.planes[1].line_size == frame.planes[2].line_size
    )


def _matrix(frame: Any) -> int:
    tagged = int(frame.colorspace)
    if tagged in (_BT709, _FCC, _SMPTE240, *_BT601, *_BT2020):
        return tagged
    if colour_kind(frame):
        return _BT2020[0]
    return _BT709 if max(frame.height, frame.width * 9 // 16) >= _HD_LINES else _BT601[0]


def _is_full_range(frame: Any) -> bool:
    if frame.format.is_rgb or frame.format.name.startswith("yuvj"):
        return True
    if _is_grey(frame):
        return int(frame.color_range) != 1
    return int(frame.color_range) == _FULL


def has_alpha(frame: Any) -> bool:
    """Whether a decoded frame has an alpha channel."""
    if isinstance(frame, AlphaFrame):
        return True
    return any(c.is_alpha for c in frame.format.components) and not frame.format.has_palette


def _is_grey(frame: Any) -> bool:
    return frame.format.name.startswith(("gray", "ya8", "mono"))


def _is_packed(frame: Any) -> bool:
    return frame.format.name.startswith(("yuyv", "uyvy", "yvyu", "mono", "ya8"))
