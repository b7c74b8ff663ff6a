"""Pictures as the encoder wants them: BT.709, limited range, 4:2:0, and tagged so."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.container import import_av
from edge_harmony.pixels.passes import write_rows, write_scratch

_BT709: Final = 1  # matrix, primaries and transfer of ITU-R BT.709 (H.273)
_LIMITED: Final = 1  # AVCOL_RANGE_MPEG


class YuvConverter:
    """Turns pictures into PyAV frames; keeps its buffers, so it is for one thread."""

    def __init__(self) -> None:
        """Needs PyAV (``BackendUnavailableError``)."""
        self._av = import_av("writing video")
        self._scratch = np.empty(0, np.uint8)

    def __call__(self, image: NDArray[np.uint8]) -> Any:
        """A ``VideoFrame`` in yuv420p of even size; an odd side grows by repeating its last row or column.

        Chroma samples lie where H.264 has them unless told otherwise: on even columns, between two rows.

        Args:
            image: uint8 (H, W, 3) BGR, or (H, W) grey; only read, and done with on return.
        """
        image = _grown_even(image)
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return _tagged(self._convert(image))

    def _convert(self, image: NDArray[np.uint8]) -> Any:
        height, width, _ = image.shape
        if image.strides[1:] != (3, 1):
            image = np.ascontiguousarray(image)
        if self._scratch.size != write_scratch(width):
            self._scratch = np.empty(write_scratch(width), np.uint8)
        frame = self._av.VideoFrame(width, height, "yuv420p")
        luma, u, v = frame.planes
        write_rows(
            height, width, image.ctypes.data, image.strides[0], luma.buffer_ptr, luma.line_size,
            u.buffer_ptr, v.buffer_ptr, u.line_size, self._scratch.ctypes.data, *_FACTORS,
        )  # fmt: skip
        return frame


class AlphaConverter:
    """Turns pictures with alpha into PyAV frames, by FFmpeg's own conversion.

    Args:
        pixel_format: FFmpeg's name, with alpha.
    """

    def __init__(self, pixel_format: str) -> None:
        """Needs PyAV (``BackendUnavailableError``)."""
        self._av = import_av("writing video")
        self._format = pixel_format

    def __call__(self, image: NDArray[np.uint8]) -> Any:
        """A ``VideoFrame``: uint8 (H, W, 4), BGRA, straight alpha; an odd side grows as in ``YuvConverter``."""
        image = _grown_even(image)
        given = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgra")
        return _tagged(given.reformat(format=self._format, dst_colorspace="ITU709", dst_color_range="MPEG"))


def _grown_even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture whose odd sides repeat their last row or column."""
    height, width = even((image.shape[0], image.shape[1]))
    if (height, width) == image.shape[:2]:
        return image
    return cv2.copyMakeBorder(image, 0, height - image.shape[0], 0, width - image.shape[1], cv2.BORDER_REPLICATE)


def _tagged(frame: Any) -> Any:
    """A frame that says its colours."""
    frame.colorspace, frame.color_range = _BT709, _LIMITED
    frame.color_primaries, frame.color_trc = _BT709, _BT709
    return frame


def _factors() -> tuple[int, ...]:
    """What ``write_rows`` adds and multiplies with."""
    red, blue = 0.2126, 0.0722
    luma = np.array([blue, 1 - red - blue, red])
    u = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - blue))
    v = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - red))
    weights = np.concatenate([luma * 219 / 255, u * 224 / 255, v * 224 / 255])
    rounding = 64 + 1  # a half, and what the products lose on average by being cut off
    return 16 * 128 + rounding, *(round(32768 * weight) for weight in weights.tolist())


_FACTORS: Final = _factors()


def tag(context: Any) -> None:
    """Say the colours in a codec context, before it is opened."""
    context.colorspace = _BT709
    context.color_primaries = _BT709
    context.color_trc = _BT709
    context.color_range = _LIMITED


def even(size_hw: tuple[int, int]) -> tuple[int, int]:
    """The size that a converted picture has."""
    return size_hw[0] + size_hw[0] % 2, size_hw[1] + size_hw[1] % 2
