"""From FFmpeg's pixel formats to BGR and to masks, with the matrix and range that the video was made with."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SourceError
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


def refuse_deep_colour(frame: Any, name: str) -> None:
    """Raise ``SourceError`` for a decoded frame with more than 8 bits, HDR transfer or BT.2020 colour."""
    components = frame.format.components
    bits = max((c.bits for c in components), default=8)
    transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
    if transfer in (_PQ, _HLG):
        kind = "PQ" if transfer == _PQ else "HLG"
        raise SourceError(
            f"{name} is HDR ({kind}, {bits}-bit); 8-bit standard range is needed",
            "tone-map it first: ffmpeg -i IN -vf zscale=t=linear,tonemap=hable,"
            "zscale=p=bt709:t=bt709:m=bt709,format=yuv420p OUT.mp4",
        )
    if bits > 8:
        raise SourceError(
            f"{name} has {bits} bits a channel ({frame.format.name}); 8-bit video is needed",
            "convert it first: ffmpeg -i IN -pix_fmt yuv420p OUT.mp4",
        )
    if int(frame.colorspace) in _BT2020 or primaries == 9:
        raise SourceError(
            f"{name} is in BT.2020 colour; BT.709 or BT.601 is needed",
            "convert it first: ffmpeg -i IN -vf zscale=p=bt709:t=bt709:m=bt709,format=yuv420p OUT.mp4",
        )


class PixelReader:
    """Converts the frames of one video; keeps swscale's tables between frames. Not for use by two threads."""

    def __init__(self) -> None:
        from av.video.reformatter import Colorspace, VideoReformatter

        self._reformatter = VideoReformatter()
        self._siting: tuple[int, int] | None = None
        self._probed = False
        self._matrices = {
            _BT709: Colorspace.ITU709,
            _FCC: Colorspace.FCC,
            _SMPTE240: Colorspace.SMPTE240M,
            **dict.fromkeys(_BT601, Colorspace.ITU601),
        }

    def read_colour(self, frame: Any, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """BGR uint8 (H, W, 3), and alpha uint8 (H, W) or None; both owned by the caller."""
        if _is_grey(frame):
            raise SourceError(
                f"{name} is a grey video ({frame.format.name}); a colour video is needed",
                "is it a mask in the wrong place? If not: ffmpeg -i IN -pix_fmt yuv420p OUT.mp4",
            )
        if _is_plain(frame):
            if not self._probed:
                self._siting, self._probed = self._probe_siting(frame), True
            if self._siting is not None:
                return self._read_planes(frame, self._siting), None
        if not has_alpha(frame):
            return self._convert(frame, "bgr24"), None
        bgra = self._convert(frame, "bgra")
        return np.ascontiguousarray(bgra[:, :, :3]), np.ascontiguousarray(bgra[:, :, 3])

    def read_mask(self, frame: Any, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """An empty picture, and as alpha the alpha channel or else the luma, 0..255."""
        if has_alpha(frame):
            return _EMPTY, np.ascontiguousarray(self._convert(frame, "bgra")[:, :, 3])
        return _EMPTY, self._luma(frame)

    def _luma(self, frame: Any) -> NDArray[np.uint8]:
        """The luma plane itself, stretched to 0..255 when it is in limited range."""
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

    def _convert(self, frame: Any, pixel_format: str) -> NDArray[np.uint8]:
        converted: Any = self._reformatter.reformat(
            frame,
            format=pixel_format,
            src_colorspace=self._matrices[_matrix(frame)],
            dst_colorspace=self._matrices[_matrix(frame)],
            src_color_range=2 if _is_full_range(frame) else 1,
            dst_color_range=2,
            interpolation=SWS_QUALITY,
        )
        return converted.to_ndarray()


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
    if tagged in (_BT709, _FCC, _SMPTE240, *_BT601):
        return tagged
    return _BT709 if max(frame.height, frame.width * 9 // 16) >= _HD_LINES else _BT601[0]


def _is_full_range(frame: Any) -> bool:
    if frame.format.is_rgb or frame.format.name.startswith("yuvj"):
        return True
    if _is_grey(frame):
        return int(frame.color_range) != 1
    return int(frame.color_range) == _FULL


def has_alpha(frame: Any) -> bool:
    """Whether a decoded frame has an alpha channel."""
    return any(c.is_alpha for c in frame.format.components) and not frame.format.has_palette


def _is_grey(frame: Any) -> bool:
    return frame.format.name.startswith(("gray", "ya8", "mono"))


def _is_packed(frame: Any) -> bool:
    return frame.format.name.startswith(("yuyv", "uyvy", "yvyu", "mono", "ya8"))
