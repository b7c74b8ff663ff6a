"""The finish's full-resolution passes, compiled: light and grain, only where there is any."""

# numba's types convert numbers too, which their stubs do not say.
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import numpy as np
from numba import float32, int64, types, uint8

from edge_harmony.compiled import compile_pass


def _add_light(  # type: ignore[no-untyped-def]
    first_row, last_row, picture, alpha, light, seen, top, left, factor, amount
):
    rows, columns, _ = light.shape
    width = alpha.shape[1]
    half, share = float32(0.5), float32(1.0) / float32(factor)
    scale = amount / float32(255.0 * 255.0)
    white = float32(255.0)
    lit = np.zeros(columns + 1, np.bool_)  # the segments of a row that have both light and subject
    known = -1
    for y in range(first_row, last_row):
        v = min(max((float32(y - top) + half) * share - half, float32(0.0)), float32(rows - 1))
        upper = min(int(v), max(rows - 2, 0))
        lower = min(upper + 1, rows - 1)
        low = v - float32(upper)
        high = float32(1.0) - low
        if upper != known:
            known = upper
            for segment in range(columns + 1):
                brightest, clearest = uint8(0), uint8(255)
                for row in (upper, lower):
                    for column in (max(segment - 1, 0), min(segment, columns - 1)):
                        clearest = min(clearest, seen[row, column])
                        for channel in range(3):
                            brightest = max(brightest, light[row, column, channel])
                lit[segment] = brightest > 0 and clearest < 255
        # Segment s lies between the middles of the cells s - 1 and s.
        for segment in range(columns + 1):
            if not lit[segment]:
                continue
            before, after = max(segment - 1, 0), min(segment, columns - 1)
            b = high * light[upper, before, 0] + low * light[lower, before, 0]
            g = high * light[upper, before, 1] + low * light[lower, before, 1]
            r = high * light[upper, before, 2] + low * light[lower, before, 2]
            next_b = high * light[upper, after, 0] + low * light[lower, after, 0]
            next_g = high * light[upper, after, 1] + low * light[lower, after, 1]
            next_r = high * light[upper, after, 2] + low * light[lower, after, 2]
            start = left + max((2 * segment - 1) * factor // 2, 0)
            end = left + (2 * segment + 1) * factor // 2  # behind the last cell: what is left over at the frame's edge
            for x in range(start, min(end, width)):
                cover = alpha[y, x]
                if cover == 0:
                    continue
                along = (float32(x - left) + half) * share - half - float32(segment - 1)
                weight = float32(cover) * scale
                blue, green, red = (
                    float32(picture[y, x, 0]), float32(picture[y, x, 1]), float32(picture[y, x, 2]),
                )  # fmt: skip
                picture[y, x, 0] = uint8(blue + weight * (b + along * (next_b - b)) * (white - blue) + half)
                picture[y, x, 1] = uint8(green + weight * (g + along * (next_g - g)) * (white - green) + half)
                picture[y, x, 2] = uint8(red + weight * (r + along * (next_r - r)) * (white - red) + half)


def _add_grain(  # type: ignore[no-untyped-def]
    first_row, last_row, picture, alpha, left, right, tile, down, across, gains
):
    side_y, side_x = tile.shape
    half, low, high = float32(0.5), float32(0.0), float32(255.0)
    for y in range(first_row, last_row):
        noise = tile[(down + y) % side_y]
        column = (across + left) % side_x
        for x in range(left, right):
            cover = alpha[y, x]
            if cover != 0:
                blue, green, red = picture[y, x, 0], picture[y, x, 1], picture[y, x, 2]
                luma = (int64(29) * blue + int64(150) * green + int64(77) * red + int64(128)) >> 8
                change = noise[column] * gains[luma] * float32(cover) + half
                picture[y, x, 0] = uint8(min(max(float32(blue) + change, low), high))
                picture[y, x, 1] = uint8(min(max(float32(green) + change, low), high))
                picture[y, x, 2] = uint8(min(max(float32(red) + change, low), high))
            column += 1
            if column == side_x:
                column = 0


def _read(kind, dimensions, layout="A"):  # type: ignore[no-untyped-def]
    """An array that is only read, in any layout unless told."""
    return types.Array(kind, dimensions, layout, readonly=True)


_PICTURE, _PLANE = uint8[:, :, :], _read(uint8, 2)
_LIGHT, _SEEN, _TILE, _GAINS = _read(uint8, 3, "C"), _read(uint8, 2, "C"), _read(float32, 2), _read(float32, 1, "C")

add_light = compile_pass(
    _add_light, types.void(int64, int64, _PICTURE, _PLANE, _LIGHT, _SEEN, int64, int64, int64, float32)
)
"""Screen the rows ``first_row <= row < last_row`` with light: ``C + amount * alpha * light * (255 - C)``.

Args:
    picture: uint8 (H, W, 3), changed in place. alpha: uint8 (H, W). Both in any layout.
    light: uint8 (h, w, 3), interpolated bilinearly between the middles of its cells.
    seen: uint8 (h, w), 255 where a cell holds no subject at all.
    top, left: the frame's row and column where the light's first cell begins. factor: pixels in a cell's side.
    amount: 0..1.
"""

add_grain = compile_pass(
    _add_grain, types.void(int64, int64, _PICTURE, _PLANE, int64, int64, _TILE, int64, int64, _GAINS)
)
"""Add noise to the rows ``first_row <= row < last_row``, the same to blue, green and red.

Args:
    picture: uint8 (H, W, 3), changed in place. alpha: uint8 (H, W). Both in any layout.
    left, right: the columns to work on.
    tile: float32 noise that is repeated over the frame, beginning at its row ``down`` and column ``across``.
    gains: float32 (256,), what the noise is multiplied with at each luma, and at alpha 1 of 255.
"""
