"""Whole shapes in a binary mask: small islands dropped, small holes filled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.frame import Alpha

_BLOCK = 4  # pixels: speckles are looked for in blocks of so many


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


def without_speckles(alpha: Alpha, area: int) -> Alpha:
    """Remove islands and holes of fewer than ``area`` pixels, their soft rims included, in place.

    They are looked for among blocks of 4 x 4 pixels: two that lie in touching blocks count as one.

    Args:
        alpha: uint8 (H, W), changed.
        area: pixels with alpha above 127 (of a hole: not above) that an island must have to stay.
    """
    down, right = -alpha.shape[0] % _BLOCK, -alpha.shape[1] % _BLOCK
    size = ((alpha.shape[1] + right) // _BLOCK, (alpha.shape[0] + down) // _BLOCK)
    for kind, value in ((cv2.THRESH_BINARY, 0), (cv2.THRESH_BINARY_INV, 255)):
        solid = cv2.threshold(alpha, 127, _BLOCK * _BLOCK, kind)[1]
        if down or right:
            solid = cv2.copyMakeBorder(solid, 0, down, 0, right, cv2.BORDER_CONSTANT, value=0)
        filled = cv2.resize(solid, size, interpolation=cv2.INTER_AREA)  # a mean of 0s and 16s: how many there are
        count, labels = cv2.connectedComponents(cv2.min(filled, 1), connectivity=8, ltype=cv2.CV_32S)
        if count <= 1:
            continue
        pixels = np.bincount(labels.ravel(), weights=filled.ravel(), minlength=count)
        small = pixels < area
        small[0] = False
        if not small.any():
            continue
        blocks = small.astype(np.uint8)[labels]
        left, top, box_width, box_height = cv2.boundingRect(blocks)
        rows, columns = slice(max(0, top - 1), top + box_height + 1), slice(max(0, left - 1), left + box_width + 1)
        near = cv2.resize(blocks[rows, columns], None, fx=_BLOCK, fy=_BLOCK, interpolation=cv2.INTER_NEAREST)
        near = cv2.dilate(near, np.ones((5, 5), np.uint8))  # as many pixels round them as their soft rim has
        part = alpha[rows.start * _BLOCK : rows.stop * _BLOCK, columns.start * _BLOCK : columns.stop * _BLOCK]
        part[near[: part.shape[0], : part.shape[1]] > 0] = value
    return alpha
