"""The mattes' full-resolution passes, compiled: what is done to each pixel of an edge, and only there.

Compiling takes a few seconds, once per machine (see ``edge_harmony.compiled``). The rows of a frame are shared out by
``edge_harmony.harmonize.bands``. All arrays are C-contiguous.
"""

# numba's types are called as conversions, which their annotations do not know.
# pyright: reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

from functools import partial

import numpy as np
from numba import boolean, float32, int64, types, uint8

from edge_harmony.compiled import compile_pass

_compile = partial(compile_pass, fastmath={"contract"})

_PLANE, _IMAGE = uint8[:, ::1], uint8[:, :, ::1]
_FIELD, _FIELDS = float32[:, ::1], float32[:, :, ::1]


def _snap_rows(  # type: ignore[no-untyped-def]
    first_row, last_row, coefficients, wanted, frame, stretch, alpha
):
    rows, columns, _ = coefficients.shape
    height, width = alpha.shape
    down, across = float32(rows) / float32(height), float32(columns) / float32(width)
    half = float32(0.5)
    for y in range(first_row, last_row):
        v = min(max((float32(y) + half) * down - half, float32(0.0)), float32(rows - 1))
        top = min(int(v), max(rows - 2, 0))
        bottom = min(top + 1, rows - 1)
        low = v - float32(top)
        high = float32(1.0) - low
        cell = min(int((float32(y) + half) * down), rows - 1)
        upper, lower, line, target = coefficients[top], coefficients[bottom], frame[y], alpha[y]
        # Segment s lies between the middles of the cells s - 1 and s; it is wanted where either is.
        for segment in range(columns + 1):
            left, right = max(segment - 1, 0), min(segment, columns - 1)
            if not (wanted[cell, left] or wanted[cell, right]):
                continue
            start = 0 if segment == 0 else int(np.ceil((float32(segment) - half) / across - half))
            end = width if segment == columns else int(np.ceil((float32(segment) + half) / across - half))
            b = high * upper[left, 0] + low * lower[left, 0]
            g = high * upper[left, 1] + low * lower[left, 1]
            r = high * upper[left, 2] + low * lower[left, 2]
            c = high * upper[left, 3] + low * lower[left, 3]
            b_step = (high * upper[right, 0] + low * lower[right, 0] - b) * across
            g_step = (high * upper[right, 1] + low * lower[right, 1] - g) * across
            r_step = (high * upper[right, 2] + low * lower[right, 2] - r) * across
            c_step = (high * upper[right, 3] + low * lower[right, 3] - c) * across
            origin = (float32(segment) - half) / across - half
            for x in range(max(start, 0), min(end, width)):
                t = float32(x) - origin
                value = (
                    (b + t * b_step) * float32(line[x, 0])
                    + (g + t * g_step) * float32(line[x, 1])
                    + (r + t * r_step) * float32(line[x, 2])
                    + (c + t * c_step)
                )
                value = (value - float32(127.5)) * stretch + float32(128.0)
                target[x] = uint8(min(max(value, float32(0.0)), float32(255.0)))


snap_rows = _compile(_snap_rows, types.void(int64, int64, _FIELDS, boolean[:, ::1], _IMAGE, float32, _PLANE))
"""Apply a guided filter's coefficients to rows of a frame, where wanted.

Args:
    first_row, last_row: the band of rows, of the frame.
    coefficients: float32 (h, w, 4), slopes for blue, green, red (codes to codes) and an offset, interpolated
        bilinearly.
    wanted: bool (h, w), the cells whose pixels are to be written, those up to the next cell's middle with them; all
        others are left as they are.
    frame: uint8 (H, W, 3). stretch: contrast about one half. alpha: uint8 (H, W), written.
"""


def _unmix_rows(  # type: ignore[no-untyped-def]
    first_row, last_row, frame, alpha, fore, back, known, result
):
    rows, columns, _ = fore.shape
    height, width = alpha.shape
    use_known = known.shape[0] == height
    down, across = float32(rows) / float32(height), float32(columns) / float32(width)
    for y in range(first_row, last_row):
        v = min(max((float32(y) + float32(0.5)) * down - float32(0.5), float32(0.0)), float32(rows - 1))
        top = min(int(v), max(rows - 2, 0))
        bottom = min(top + 1, rows - 1)
        share_v = v - float32(top)
        for x in range(width):
            a = alpha[y, x]
            if a == 0 or a == 255:
                continue
            u = min(max((float32(x) + float32(0.5)) * across - float32(0.5), float32(0.0)), float32(columns - 1))
            left = min(int(u), max(columns - 2, 0))
            right = min(left + 1, columns - 1)
            share_u = u - float32(left)
            w11 = share_v * share_u
            w10, w01 = share_v - w11, share_u - w11
            w00 = float32(1.0) - share_v - w01
            weight = float32(a) * float32(1.0 / 255.0)
            for k in range(3):
                f = (
                    w00 * fore[top, left, k]
                    + w01 * fore[top, right, k]
                    + w10 * fore[bottom, left, k]
                    + w11 * fore[bottom, right, k]
                )
                if use_known:
                    b = float32(known[y, x, k])
                else:
                    b = (
                        w00 * back[top, left, k]
                        + w01 * back[top, right, k]
                        + w10 * back[bottom, left, k]
                        + w11 * back[bottom, right, k]
                    )
                rest = float32(frame[y, x, k]) - weight * f - (float32(1.0) - weight) * b
                value = f + weight * rest + float32(0.5)
                result[y, x, k] = uint8(min(max(value, float32(0.0)), float32(255.0)))


unmix_rows = _compile(_unmix_rows, types.void(int64, int64, _IMAGE, _PLANE, _FIELDS, _FIELDS, _IMAGE, _IMAGE))
"""Solve the subject's colour in rows of a frame, at pixels whose alpha is neither 0 nor 255.

Args:
    first_row, last_row: the band of rows.
    frame: uint8 (H, W, 3). alpha: uint8 (H, W).
    fore, back: float32 (h, w, 3), colours of the subject and of what is behind it, interpolated bilinearly.
    known: uint8 (H, W, 3) what is behind it, or of no rows where ``back`` is to be used.
    result: uint8 (H, W, 3), written at those pixels only.
"""


def _key_rows(  # type: ignore[no-untyped-def]
    first_row, last_row, frame, along, across, screen, tolerance, gain, alpha
):
    rows, columns = screen.shape
    height, width = alpha.shape
    down, aside = float32(rows) / float32(height), float32(columns) / float32(width)
    half, none = float32(0.5), float32(0.0)
    a_b, a_g, a_r = along[0], along[1], along[2]
    c_b, c_g, c_r = across[0], across[1], across[2]
    most = (float32(1.0) - tolerance) * gain + half
    for y in range(first_row, last_row):
        place = min(max((float32(y) + half) * down - half, none), float32(rows - 1))
        top = min(int(place), max(rows - 2, 0))
        bottom = min(top + 1, rows - 1)
        low = place - float32(top)
        line, target = frame[y], alpha[y]
        for segment in range(columns + 1):  # segment s lies between the middles of the cells s - 1 and s
            left, right = max(segment - 1, 0), min(segment, columns - 1)
            start = 0 if segment == 0 else int(np.ceil((float32(segment) - half) / aside - half))
            end = width if segment == columns else int(np.ceil((float32(segment) + half) / aside - half))
            at = gain / (screen[top, left] + low * (screen[bottom, left] - screen[top, left]))
            step = (gain / (screen[top, right] + low * (screen[bottom, right] - screen[top, right])) - at) * aside
            origin = (float32(segment) - half) / aside - half
            for x in range(max(start, 0), min(end, width)):
                b, g, r = float32(line[x, 0]), float32(line[x, 1]), float32(line[x, 2])
                key = max(a_b * b + a_g * g + a_r * r - abs(c_b * b + c_g * g + c_r * r), none)
                value = most - key * (at + (float32(x) - origin) * step)
                target[x] = uint8(min(max(value, none), float32(255.0)))


_THREE = float32[::1]
key_rows = _compile(_key_rows, types.void(int64, int64, _IMAGE, _THREE, _THREE, _FIELD, float32, float32, _PLANE))
"""Key rows of a frame: alpha from the chroma that each pixel has of the screen's kind.

Args:
    first_row, last_row: the band of rows.
    frame: uint8 (H, W, 3).
    along, across: float32 (3,), weights of blue, green, red: a pixel's key is its sum by ``along`` less the size of its
        sum by ``across``, and at least 0.
    screen: float32 (h, w), the key of bare screen, above 0, interpolated bilinearly.
    tolerance: share of subject that counts as none. gain: codes of alpha for each share beyond it.
    alpha: uint8 (H, W), written.
"""


def _despill_rows(first_row, last_row, image, alpha, along, across, light):  # type: ignore[no-untyped-def]
    width = alpha.shape[1]
    half, none, most = float32(0.5), float32(0.0), float32(255.0)
    a_b, a_g, a_r = along[0], along[1], along[2]
    c_b, c_g, c_r = across[0], across[1], across[2]
    for y in range(first_row, last_row):
        line = image[y]
        for x in range(width):
            if alpha[y, x] == 0:
                continue
            b, g, r = float32(line[x, 0]), float32(line[x, 1]), float32(line[x, 2])
            spill = a_b * b + a_g * g + a_r * r - abs(c_b * b + c_g * g + c_r * r)
            if spill > float32(0.25):
                line[x, 0] = uint8(min(max(b - light[0] * spill + half, none), most))
                line[x, 1] = uint8(min(max(g - light[1] * spill + half, none), most))
                line[x, 2] = uint8(min(max(r - light[2] * spill + half, none), most))


despill_rows = _compile(_despill_rows, types.void(int64, int64, _IMAGE, _PLANE, _THREE, _THREE, _THREE))
"""Take the screen's reflected light off rows of a picture, in place.

Args:
    first_row, last_row: the band of rows.
    image: uint8 (H, W, 3), changed where alpha is above 0. alpha: uint8 (H, W).
    along, across: as for ``key_rows``. light: float32 (3,), the light's blue, green, red for each code of its key.
"""
