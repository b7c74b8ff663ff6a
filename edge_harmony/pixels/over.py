"""Straight alpha compositing, exact to the code value."""

from __future__ import annotations

import cv2
import numpy as np

from edge_harmony.pixels.frame import Alpha, Frame

_ROWS = 64  # rows blended at a time: their 16-bit products stay in the processor's cache


def over(foreground_bgr: Frame, alpha: Alpha, background_bgr: Frame, out: Frame | None = None) -> Frame:
    """Put a foreground over a background.

    Args:
        foreground_bgr: uint8 (H, W, 3), straight (not premultiplied) colour.
        alpha: uint8 (H, W), 255 is foreground.
        background_bgr: uint8 (H, W, 3).
        out: uint8 (H, W, 3) to write into; may be ``foreground_bgr`` or ``background_bgr`` itself.

    Returns:
        ``out``, or a new array: ``(a * F + (255 - a) * B + 127) // 255`` for every channel, that is
        ``alpha * F + (1 - alpha) * B`` rounded to nearest. Exactly ``background_bgr`` where alpha is 0 and
        exactly ``foreground_bgr`` where it is 255; pixels outside alpha's bounding box are only copied.
    """
    result = background_bgr.copy() if out is None else out
    if out is not None and out is not background_bgr:
        if np.shares_memory(out, foreground_bgr):
            foreground_bgr = foreground_bgr.copy()
        np.copyto(result, background_bgr)
    left, top, width, height = cv2.boundingRect(alpha)
    columns = slice(left, left + width)
    for start in range(top, top + height, _ROWS):
        rows = slice(start, min(start + _ROWS, top + height))
        # a*F + (255-a)*B is at most 255*255: it fits in 16 bits, and so does the rounding term.
        cover = cv2.merge([alpha[rows, columns]] * 3).astype(np.uint16)
        blend = cover * foreground_bgr[rows, columns]
        np.subtract(255, cover, out=cover)
        cover *= background_bgr[rows, columns]
        blend += cover
        result[rows, columns] = _divide_by_255(blend)
    return result


def _divide_by_255(product: np.ndarray) -> np.ndarray:
    """``(x + 127) // 255`` of uint16 x up to 255 * 255, in shifts: exact over that whole range; overwrites x."""
    product += np.uint16(128)
    product += product >> np.uint16(8)
    product >>= np.uint16(8)
    return product
