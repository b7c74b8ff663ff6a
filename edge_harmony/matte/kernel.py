"""The mattes' full-resolution passes, compiled: what is done to each pixel of an edge, and only there.

numba compiles them once per machine (a second or two) and keeps the result beside this file, or where that is read-only
in the user's cache folder (``NUMBA_CACHE_DIR`` overrides both). They let go of the interpreter lock; the rows of a frame
are shared out by ``edge_harmony.harmonize.bands``. All arrays are C-contiguous.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import boolean, float32, int64, njit, types, uint8

_log = logging.getLogger(__name__)

_PLANE, _IMAGE = uint8[:, ::1], uint8[:, :, ::1]
_FIELD, _FIELDS = float32[:, ::1], float32[:, :, ::1]


def _compile(function: Callable[..., Any], *signature: Any) -> Any:
    try:
        return njit(*signature, nogil=True, cache=True, fastmath={"contract"})(function)
    except RuntimeError as error:  # numba found no folder that it may write to
        _log.warning(
            "compiling the mattes' passes anew, they cannot be kept: %s; set NUMBA_CACHE_DIR to a folder that can "
            "be written to",
            error,
        )
        return njit(*signature, nogil=True, fastmath={"contract"})(function)


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


snap_rows = _compile(
    _snap_rows, types.void(int64, int64, _FIELDS, boolean[:, ::1], _IMAGE, float32, _PLANE)
)
"""Apply a guided filter's coefficients to rows of a frame, where wanted.

Args:
    first_row, last_row: the band of rows, of the frame.
    coefficients: float32 (h, w, 4), slopes for blue, green, red (codes to codes) and an offset, interpolated bilinearly.
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
                    w00 * fore[top, left, k] + w01 * fore[top, right, k]
                    + w10 * fore[bottom, left, k] + w11 * fore[bottom, right, k]
                )
                if use_known:
                    b = float32(known[y, x, k])
                else:
                    b = (
                        w00 * back[top, left, k] + w01 * back[top, right, k]
                        + w10 * back[bottom, left, k] + w11 * back[bottom, right, k]
                    )
                rest = float32(frame[y, x, k]) - weight * f - (float32(1.0) - weight) * b
                value = f + weight * rest + float32(0.5)
                result[y, x, k] = uint8(min(max(value, float32(0.0)), float32(255.0)))


unmix_rows = _compile(
    _unmix_rows, types.void(int64, int64, _IMAGE, _PLANE, _FIELDS, _FIELDS, _IMAGE, _IMAGE)
)
"""Solve the subject's colour in rows of a frame, at pixels whose alpha is neither 0 nor 255.

Args:
    first_row, last_row: the band of rows.
    frame: uint8 (H, W, 3). alpha: uint8 (H, W).
    fore, back: float32 (h, w, 3), colours of the subject and of what is behind it, interpolated bilinearly.
    known: uint8 (H, W, 3) what is behind it, or of no rows where ``back`` is to be used.
    result: uint8 (H, W, 3), written at those pixels only.
"""
