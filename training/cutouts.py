"""Placing a subject of one photograph before another, as those who use a harmonizer do."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.augment import Rng

ASPECTS: Final = (16 / 9, 16 / 9, 4 / 3, 1.0, 3 / 4, 9 / 16)  # of the frames that the square view stands for
SMALLEST, LARGEST = 0.015, 0.8  # share of the frame that a subject takes
RIM: Final = 3  # pixels around a subject that may show some of it
LEAST_PIECE: Final = 0.25  # a side of a piece without the subject, of the photo's shorter one
ENLARGED: Final = 1.5  # by no more than this are pictures enlarged


def background_view(photo: NDArray[np.uint8], size: int, aspect: float, rng: Rng) -> NDArray[np.uint8]:
    """A random, perhaps mirrored piece of a photo of the given aspect, seen as a square (S, S, 3)."""
    h, w = photo.shape[:2]
    tallest = min(h, w / aspect)
    ch = tallest * max(rng.uniform(0.6, 1.0), min(1.0, size / (ENLARGED * tallest * min(1.0, aspect))))
    cw = min(w, round(ch * aspect))
    ch = min(h, round(ch))
    y, x = int(rng.integers(0, h - ch + 1)), int(rng.integers(0, w - cw + 1))
    piece = photo[y : y + ch, x : x + cw]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    kind = cv2.INTER_AREA if min(ch, cw) > size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=kind)


def without_subject(photo: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The largest piece of a photo, beside, above or below its subject, that shows nothing of it; None for none.

    Such a piece has the light that the subject stands in, without the seam that tells it from its surroundings.

    Args:
        photo: uint8 (H, W, 3).
        mask: uint8 (H, W), its subject.
    """
    h, w = mask.shape
    ys, xs = np.flatnonzero((mask > 8).any(1)), np.flatnonzero((mask > 8).any(0))
    if not len(ys):
        return None
    top, bottom, left, right = ys[0] - RIM, ys[-1] + 1 + RIM, xs[0] - RIM, xs[-1] + 1 + RIM
    pieces = [(0, h, 0, left), (0, h, right, w), (0, top, 0, w), (bottom, h, 0, w)]
    y0, y1, x0, x1 = max(pieces, key=lambda p: max(0, p[1] - p[0]) * max(0, p[3] - p[2]))
    return photo[y0:y1, x0:x1] if min(y1 - y0, x1 - x0) >= LEAST_PIECE * min(h, w) else None


def place(
    photo: NDArray[np.uint8], mask: NDArray[np.uint8], size: int, aspect: float, rng: Rng
) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """A subject somewhere in a view: large or small, mirrored, partly outside, most often standing at the bottom.

    Args:
        photo: uint8 (H, W, 3).
        mask: uint8 (H, W), its subject.
        size: side of the square view in pixels.
        aspect: width by height of the frame that the view stands for.
        rng: of place and size.

    Returns:
        The layer uint8 (S, S, 3), whatever outside the subject, and its alpha float32 (S, S) 0..1; or None where the
        photo has no subject worth it.
    """
    ys, xs = np.flatnonzero((mask > 127).any(1)), np.flatnonzero((mask > 127).any(0))
    if len(ys) < 16 or len(xs) < 16:
        return None
    y0, y1 = max(0, ys[0] - RIM), min(mask.shape[0], ys[-1] + 1 + RIM)
    x0, x1 = max(0, xs[0] - RIM), min(mask.shape[1], xs[-1] + 1 + RIM)
    photo, mask = photo[y0:y1, x0:x1], mask[y0:y1, x0:x1]
    filled = float(np.count_nonzero(mask > 127)) / mask.size
    sizes = np.log((SMALLEST, LARGEST))  # by factors in one half, by the area itself in the other: large ones count too
    share = np.exp(rng.uniform(*sizes)) if rng.random() < 0.5 else rng.uniform(SMALLEST, LARGEST)
    # in units of the frame's height: the subject's box is a by b pixels, the frame is aspect by 1
    height = (share * aspect / (filled * mask.shape[1] / mask.shape[0])) ** 0.5
    height = min(height, ENLARGED * mask.shape[0] / size, 2.5)
    width = height * mask.shape[1] / mask.shape[0] / aspect
    rows, columns = max(12, round(height * size)), max(12, round(min(width, 2.5) * size))
    kind = cv2.INTER_AREA if rows < mask.shape[0] else cv2.INTER_LINEAR
    subject = cv2.resize(np.ascontiguousarray(photo), (columns, rows), interpolation=kind)
    alpha = cv2.resize(np.ascontiguousarray(mask), (columns, rows), interpolation=kind)
    if rng.random() < 0.5:
        subject, alpha = subject[:, ::-1], alpha[:, ::-1]
    lowest = size - rows  # standing at the bottom
    top = (
        lowest + int(rng.uniform(0, 0.1) * rows)
        if rng.random() < 0.6
        else round(rng.uniform(min(0, lowest), max(0, lowest)))
    )
    if rows > size:
        top = round(rng.uniform(-0.1 * rows, 0.1 * size))  # head in view rather than feet
    left = round(-0.15 * columns + rng.random() * (size - 0.7 * columns))
    layer = np.zeros((size, size, 3), np.uint8)
    placed = np.zeros((size, size), np.float32)
    ya, yb, xa, xb = max(0, top), min(size, top + rows), max(0, left), min(size, left + columns)
    layer[ya:yb, xa:xb] = subject[ya - top : yb - top, xa - left : xb - left]
    placed[ya:yb, xa:xb] = alpha[ya - top : yb - top, xa - left : xb - left] * np.float32(1 / 255)
    return layer, placed


def clean_rim(alpha: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """An alpha (S, S) whose rim of old surroundings is gone: a little smaller, soft."""
    reach = int(rng.integers(1, max(2, alpha.shape[0] // 64) + 1))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inner = cv2.erode(alpha, disc)
    return cv2.GaussianBlur(inner, (0, 0), rng.uniform(0.4, 1.0)) if inner.max() > 0.5 else alpha
