"""The subject's own colour at soft edges, where the camera saw it mixed with what was behind."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.frame import Alpha, Frame

_COARSE, _COARSE_RADIUS = 8, 11  # read-down factor, and radius in read-down pixels: reaches 88 pixels
_FINE, _FINE_RADIUS = 2, 4  # reaches 8 pixels


def estimate_foreground(frame_bgr: Frame, alpha: Alpha, background_bgr: Frame | None = None) -> Frame:
    """Estimate the straight foreground colour F in ``frame = alpha * F + (1 - alpha) * B``.

    The method is blur fusion (M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): F and B are
    first the alpha-weighted means of their surroundings, then F takes up what the mixture leaves unexplained, in
    a wide and in a narrow pass. Ours computes both means read down and solves only the mixed pixels.

    Args:
        frame_bgr: uint8 (H, W, 3).
        alpha: uint8 (H, W).
        background_bgr: uint8 (H, W, 3), what was really behind the subject, when that is known (a clean plate, a
            screen); estimated otherwise.

    Returns:
        uint8 (H, W, 3), equal to ``frame_bgr`` wherever alpha is 0 or 255; ``frame_bgr`` itself when that is
        everywhere.
    """
    mixed = cv2.inRange(alpha, 1, 254)  # type: ignore[call-overload]
    left, top, width, height = cv2.boundingRect(mixed)
    if width == 0:
        return frame_bgr
    reach = _COARSE * _COARSE_RADIUS
    top0, left0 = max(0, top - reach), max(0, left - reach)
    box = (slice(top0, top + height + reach), slice(left0, left + width + reach))
    frame, cover = frame_bgr[box], alpha[box]
    rows, columns = np.nonzero(mixed[box])
    weight = cover[rows, columns].astype(np.float32)[:, None] * np.float32(1 / 255)
    seen = frame[rows, columns].astype(np.float32)

    wide_f, wide_b = _surroundings(frame, cover, frame, _COARSE, _COARSE_RADIUS)
    known = None if background_bgr is None else background_bgr[box]
    behind = _gather(wide_b, rows, columns, _COARSE) if known is None else known[rows, columns]
    colour = _gather(wide_f, rows, columns, _COARSE)
    colour = _take_up(seen, weight, colour, np.asarray(behind, np.float32))

    narrow = frame.copy()
    narrow[rows, columns] = _to_uint8(colour)
    near_f, near_b = _surroundings(narrow, cover, frame, _FINE, _FINE_RADIUS)
    colour = _gather(near_f, rows, columns, _FINE)
    if known is None:
        behind = _gather(near_b, rows, columns, _FINE)
    colour = _take_up(seen, weight, colour, np.asarray(behind, np.float32))

    result = frame_bgr.copy()
    result[box][rows, columns] = _to_uint8(colour)
    return result


def _take_up(
    seen: NDArray[np.float32], weight: NDArray[np.float32], fore: NDArray[np.float32], back: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give the foreground the part of the mixture's error that is its own: all arrays (N, 3), weight (N, 1)."""
    return np.clip(fore + weight * (seen - weight * fore - (1 - weight) * back), 0, 255, dtype=np.float32)


def _surroundings(
    fore: Frame, alpha: Alpha, back: Frame, factor: int, radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Alpha-weighted mean foreground and background colours, read down by ``factor``: float32 (h, w, 3) each.

    Where a window holds none of one side, that side takes the window's plain mean.
    """
    height, width = alpha.shape
    size = (max(1, -(-width // factor)), max(1, -(-height // factor)))

    def down(image: NDArray) -> NDArray[np.float32]:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)

    window = (2 * radius + 1, 2 * radius + 1)
    cover = down(alpha)[..., None] * np.float32(1 / 255) + np.float32(1e-4)
    bare = np.float32(1.0002) - cover
    fore_sum = cv2.blur(down(fore) * cover, window)
    back_sum = cv2.blur(down(back) * bare, window)
    return (
        fore_sum / np.maximum(cv2.blur(cover, window), 1e-6)[..., None],
        back_sum / np.maximum(cv2.blur(bare, window), 1e-6)[..., None],
    )


def _gather(
    image: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], factor: int
) -> NDArray[np.float32]:
    """Read a read-down image at full-size pixels, bilinear: (N, 3)."""
    scale = np.float32(1.0 / factor)
    x = (columns.astype(np.float32) + 0.5) * scale - 0.5
    y = (rows.astype(np.float32) + 0.5) * scale - 0.5
    out = np.empty((len(rows), 3), np.float32)
    for start in range(0, len(rows), 16384):  # cv2.remap takes up to 32767 rows
        part = slice(start, start + 16384)
        out[part] = cv2.remap(image, x[part, None], y[part, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[
            :, 0
        ]
    return out


def _to_uint8(colour: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (colour + np.float32(0.5)).astype(np.uint8)
