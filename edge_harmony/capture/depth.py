"""From 16 bits a channel to 8: a picture is dithered, so that a sky stays smooth; a mask is rounded."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_BANDS: Final = 64  # rows at a time, so that what is added stays small


def _bayer() -> NDArray[np.uint16]:
    """Thresholds 2, 6 .. 254 of an ordered dither, 8 x 8: the same for every frame, so that a still one stays still."""
    pattern = np.zeros((1, 1), np.int64)
    for _ in range(3):
        pattern = np.block([[4 * pattern, 4 * pattern + 2], [4 * pattern + 3, 4 * pattern + 1]])
    return (4 * pattern + 2).astype(np.uint16)


_PATTERN: Final = _bayer()


def to_8_bits(deep: NDArray[np.uint16], *, dither: bool, full: bool = True) -> NDArray[np.uint8]:
    """Reduce a picture to 8 bits a channel.

    Args:
        deep: uint16 (H, W) or (H, W, C).
        dither: whether what lies between two codes is shown by a pattern of both; else it is rounded.
        full: whether 65535 is white; else 255 x 256, as FFmpeg has it after converting from Y'CbCr.

    Returns:
        uint8 of the same shape. A value that 8 bits can say exactly (257 k) becomes just that.
    """
    out = np.empty(deep.shape, np.uint8)
    width, channels = deep.shape[1], 1 if deep.ndim == 2 else deep.shape[2]
    pattern = _PATTERN if dither else np.full_like(_PATTERN, 128)
    row = np.tile(pattern, (_BANDS // 8, -(-width // 8)))[:, :width]
    added = np.repeat(row[:, :, None], channels, 2).reshape(_BANDS, width * channels)
    for start in range(0, deep.shape[0], _BANDS):
        band = np.ascontiguousarray(deep[start : start + _BANDS]).reshape(-1, width * channels)
        if full:
            band = band - (band >> 8)  # 257 k becomes 256 k
        band = cv2.add(band, added[: band.shape[0]])  # stops at 65535
        out[start : start + _BANDS].reshape(-1, width * channels)[:] = band >> 8
    return out
