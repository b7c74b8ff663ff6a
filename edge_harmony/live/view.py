"""Ways of looking at a result: before and after, and the matte."""

from __future__ import annotations

import cv2
import numpy as np

from edge_harmony.backgrounds.fit import fit
from edge_harmony.pixels.frame import Alpha, Frame

_LINE_BGR = (255, 255, 255)


def split_view(before_bgr: Frame, after_bgr: Frame, place: float) -> Frame:
    """Before on the left of ``place`` (0..1 of the width), after on its right, a thin line between: a new frame."""
    width = after_bgr.shape[1]
    column = round(min(max(place, 0.0), 1.0) * width)
    image = after_bgr.copy()
    image[:, :column] = before_bgr[:, :column]
    if 0 < column < width:
        thickness = max(1, width // 960)
        image[:, max(0, column - thickness) : column + thickness] = _LINE_BGR
    return image


def side_view(before_bgr: Frame, after_bgr: Frame) -> Frame:
    """Before and after side by side in one frame of the same size, each whole, with bars: a new frame."""
    height, width = after_bgr.shape[:2]
    left = fit(before_bgr, (height, width // 2), "contain")
    right = fit(after_bgr, (height, width - width // 2), "contain")
    return np.hstack([left, right])


def matte_view(alpha: Alpha) -> Frame:
    """The alpha as a picture, white is subject: a new uint8 (H, W, 3)."""
    return cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)
