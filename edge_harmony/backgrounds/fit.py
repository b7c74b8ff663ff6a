"""Backgrounds: fitted to the frame, or one plain colour."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge_harmony.errors import ConfigError
from edge_harmony.pixels.frame import Frame
from edge_harmony.settings import SETTINGS

FIT_MODES: Final = SETTINGS["background.fit"].choices


def fit(background_bgr: Frame, size_hw: tuple[int, int], mode: str = "cover", pixel_shape: float = 1.0) -> Frame:
    """Bring a background to the size of the frame.

    Args:
        background_bgr: uint8 (h, w, 3) of any size; or BGRA, whose bars are empty.
        size_hw: height and width of the frame.
        mode: ``cover`` fills the frame and crops what sticks out, evenly on both sides; ``contain`` shows the
            whole background, centred, with black bars; ``stretch`` ignores the aspect ratio.
        pixel_shape: how many times wider the background's pixels are shown than the frame's: the quotient of their
            sample aspect ratios.

    Returns:
        uint8 (H, W, 3), or 4, contiguous. The same array when it has the frame's size already.

    Raises:
        ConfigError: an unknown mode.
    """
    if mode not in FIT_MODES:
        raise ConfigError(f"background fit {mode!r} is unknown", f"use one of: {', '.join(FIT_MODES)}")
    height, width = size_hw
    source_height, source_width = background_bgr.shape[:2]
    if (source_height, source_width) == (height, width) and (pixel_shape == 1.0 or mode == "stretch"):
        return background_bgr
    if mode == "stretch":
        return _resize(background_bgr, width, height)
    scales = (width / (source_width * pixel_shape), height / source_height)
    if mode == "cover":
        # Crop first, then scale: nothing is computed that is thrown away.
        scale = max(scales)
        crop_width = min(source_width, max(1, round(width / (scale * pixel_shape))))
        crop_height = min(source_height, max(1, round(height / scale)))
        left, top = (source_width - crop_width) // 2, (source_height - crop_height) // 2
        return _resize(background_bgr[top : top + crop_height, left : left + crop_width], width, height)
    scale = min(scales)
    inner_width = min(width, max(1, round(source_width * pixel_shape * scale)))
    inner_height = min(height, max(1, round(source_height * scale)))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    framed = np.zeros((height, width, background_bgr.shape[2]), np.uint8)
    framed[top : top + inner_height, left : left + inner_width] = _resize(background_bgr, inner_width, inner_height)
    return framed


def solid(colour_bgr: tuple[int, int, int], size_hw: tuple[int, int]) -> Frame:
    """A background of one colour: uint8 (H, W, 3) filled with ``colour_bgr``, each 0..255."""
    return np.full((*size_hw, 3), colour_bgr, np.uint8)


def _resize(image_bgr: Frame, width: int, height: int) -> Frame:
    """Resize without aliasing: area-averaged when it shrinks, cubic when it grows."""
    source_height, source_width = image_bgr.shape[:2]
    if (source_height, source_width) == (height, width):
        return np.ascontiguousarray(image_bgr)
    shrinks = width <= source_width and height <= source_height
    packed = np.ascontiguousarray(image_bgr)  # OpenCV 4.5 mistakes a slice of one column
    return cv2.resize(packed, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
