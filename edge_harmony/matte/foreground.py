"""The subject's own colour at soft edges, where the camera saw it mixed with what was behind."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.matte.scale import shrink_by, shrink_to
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.passes import unmix_rows
from edge_harmony.pixels.row_threads import available_threads, share_rows

_FACTOR = 4  # colours of the surroundings are found at a quarter of the size
_WIDE, _WIDE_RADIUS = 4, 5  # further read-down of the wide pass and its radius there: reaches 88 pixels
_NARROW_RADIUS = 2  # of the narrow pass, in pixels of a quarter: reaches 10 pixels


def estimate_foreground(frame_bgr: Frame, alpha: Alpha, background_bgr: Frame | None = None) -> Frame:
    """Estimate the straight foreground colour F in ``frame = alpha * F + (1 - alpha) * B``.

    The method is blur fusion (M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): F and B are
    first the alpha-weighted means of their surroundings, then F takes up what the mixture leaves unexplained, in
    a wide and in a narrow pass. Ours runs both at a quarter of the size, and solves only the mixed pixels at full
    size, with the surroundings' colours interpolated.

    Args:
        frame_bgr: uint8 (H, W, 3).
        alpha: uint8 (H, W).
        background_bgr: uint8 (H, W, 3), what was really behind the subject, when that is known (a clean plate, a
            screen); estimated otherwise. A smaller one of the same shape is interpolated.

    Returns:
        uint8 (H, W, 3), equal to ``frame_bgr`` wherever alpha is 0 or 255; ``frame_bgr`` itself when that is
        everywhere.
    """
    left, top, width, height = cv2.boundingRect(cv2.inRange(alpha, 1, 254))  # type: ignore[call-overload]
    if width == 0:
        return frame_bgr
    first_row, last_row = top, top + height
    small = shrink_by(alpha, _FACTOR)
    left, top, width, height = cv2.boundingRect(cv2.inRange(small, 1, 254))  # type: ignore[call-overload]
    frame, cover = np.ascontiguousarray(frame_bgr), np.ascontiguousarray(alpha)
    whole = background_bgr is not None and background_bgr.shape == frame.shape
    known = np.ascontiguousarray(background_bgr) if whole else None
    reach = _NARROW_RADIUS + 1
    box = (slice(max(0, top - reach), top + height + reach), slice(max(0, left - reach), left + width + reach))
    fore, back = _surroundings(shrink_by(frame, _FACTOR), small, box, background_bgr)
    result = frame.copy()

    def work(start: int, stop: int) -> None:
        unmix_rows(first_row + start, first_row + stop, frame, cover, fore, back, known, result)

    share_rows(work, last_row - first_row, available_threads())
    return result


def _surroundings(
    seen: Frame, alpha: Alpha, box: tuple[slice, slice], known: Frame | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours of the subject and of what is behind it, float32 (h, w, 3), from frame and alpha of that size.

    Those outside ``box`` are the wide pass's alone.
    """
    size = (max(1, -(-seen.shape[1] // _WIDE)), max(1, -(-seen.shape[0] // _WIDE)))
    coarse, coarse_cover = (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) for image in (seen, alpha)
    )
    wide = _means(coarse, coarse, coarse_cover[..., None] * np.float32(1 / 255), _WIDE_RADIUS)
    fore, back = (cv2.resize(image, seen.shape[1::-1], interpolation=cv2.INTER_LINEAR) for image in wide)
    part, cover = seen[box].astype(np.float32), alpha[box].astype(np.float32)[..., None] * np.float32(1 / 255)
    if known is not None:
        shrinking = len(known) > len(seen)
        back = shrink_to(known, seen.shape[1::-1]) if shrinking else cv2.resize(known, seen.shape[1::-1])
        back = back.astype(np.float32)
    colour = np.where((cover > 0.0) & (cover < 1.0), _take_up(part, cover, fore[box], back[box]), part)
    near_fore, near_back = _means(colour, part, cover, _NARROW_RADIUS)
    fore[box] = near_fore
    if known is None:
        back[box] = near_back
    return fore, back


def _take_up(
    seen: NDArray[np.float32], weight: NDArray[np.float32], fore: NDArray[np.float32], back: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give the foreground the part of the mixture's error that is its own: all arrays (h, w, 3), weight (h, w, 1)."""
    return np.clip(fore + weight * (seen - weight * fore - (1 - weight) * back), 0, 255, dtype=np.float32)


def _means(
    fore: NDArray[np.float32], back: NDArray[np.float32], cover: NDArray[np.float32], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means of two pictures (h, w, 3) in a window, weighted by cover (h, w, 1) and by its complement.

    Where a window holds none of one side, that side takes the window's plain mean.
    """
    window = (2 * radius + 1, 2 * radius + 1)
    cover = cover + np.float32(1e-4)
    bare = np.float32(1.0002) - cover
    return (
        cv2.blur(fore * cover, window) / np.maximum(cv2.blur(cover, window), 1e-6)[..., None],
        cv2.blur(back * bare, window) / np.maximum(cv2.blur(bare, window), 1e-6)[..., None],
    )
