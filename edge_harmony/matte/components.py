"""Whole shapes in a binary mask: small islands dropped, small holes filled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def keep_large(mask: NDArray[np.uint8], least_area: int, share_of_largest: float = 0.0) -> NDArray[np.uint8]:
    """Drop the islands of a mask that are too small.

    Args:
        mask: uint8 (H, W), 0 or 255.
        least_area: pixels below which an island goes.
        share_of_largest: share of the largest island's area below which an island goes as well.

    Returns:
        uint8 (H, W), 0 or 255; the same array when nothing goes.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    if count <= 1:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    keep = areas >= max(float(least_area), share_of_largest * float(areas.max()))
    keep[0] = False
    if keep[1:].all():
        return mask
    return (keep.astype(np.uint8) * 255)[labels]


def fill_holes(mask: NDArray[np.uint8], most_area: int) -> NDArray[np.uint8]:
    """Fill a mask's enclosed holes of at most ``most_area`` pixels: uint8 (H, W), 0 or 255, a new array.

    What touches the picture's edge is no hole.
    """
    bare = cv2.bitwise_not(mask)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bare, connectivity=4, ltype=cv2.CV_32S)
    height, width = mask.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    enclosed = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    fill = enclosed & (stats[:, cv2.CC_STAT_AREA] <= most_area)
    fill[0] = False
    if count <= 1 or not fill.any():
        return mask.copy()
    return cv2.bitwise_or(mask, (fill.astype(np.uint8) * 255)[labels])
