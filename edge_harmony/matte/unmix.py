"""Soft alpha where the background is known: how far each pixel lies from it towards the subject's colour."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.colour import luma
from edge_harmony.pixels.frame import Alpha, Frame

_FACTOR = 8  # colours of the surroundings are averaged at an eighth of the size
_DETAIL_WINDOW = 7  # pixels at half the size


def unmix_band(
    frame_bgr: Frame,
    background_bgr: Frame,
    low_bgr: Frame,
    high_bgr: Frame,
    hidden: NDArray[np.uint8],
    sure: NDArray[np.uint8],
    unknown: NDArray[np.uint8],
    noise: float,
    reach: int,
) -> Alpha:
    """Return alpha, solved in the unknown band and given outside it.

    In the band, alpha is the least-squares solution of ``frame = alpha * F + (1 - alpha) * B`` with B known and
    F the mean colour of the sure subject nearby. Where the frame's colour is no mixture of the two, the plain
    distance from the background decides; where F and B are too much alike to tell, the neighbours that can tell.

    Args:
        frame_bgr, background_bgr: uint8 (H, W, 3); the background normalised to the frame's exposure.
        low_bgr, high_bgr: uint8 (H, W, 3), the least and greatest colours that the background may have there when
            a small shift is allowed for.
        hidden: uint8 (ceil(H/2), ceil(W/2)), 255 where the background's detail is not to be seen in the frame
            (see ``hidden_detail``).
        sure: uint8 (H, W), 255 where the subject certainly covers all.
        unknown: uint8 (H, W), 255 in the band to be solved; disjoint from ``sure``.
        noise: standard deviation of the background's noise, in code values.
        reach: pixels by which the band's far side may lie from sure subject.

    Returns:
        uint8 (H, W): 255 where sure, 0 where neither, solved where unknown.
    """
    rows, columns = np.nonzero(unknown)
    if len(rows) == 0:
        return sure.copy()
    seen = frame_bgr[rows, columns].astype(np.float32)
    behind = background_bgr[rows, columns].astype(np.float32)
    low, high = (limit[rows, columns].astype(np.float32) for limit in (low_bgr, high_bgr))
    nearest = np.clip(seen, low, high)  # the background's colour that explains most
    # The more contrast the background has there, the more a small shift costs.
    away = largest(np.abs(seen - nearest)) - np.float32(0.2) * np.minimum(largest(high - low), 60)
    differs = _ramp(away, 3.0 * noise, 8.0 * noise + 8.0)
    data = np.zeros(len(rows), np.float32)
    tell = np.full(len(rows), np.inf, np.float32)
    least_error = np.full(len(rows), np.inf, np.float32)
    for colour, spread in _subject_colours(frame_bgr, sure, reach):
        cells = (rows // _FACTOR, columns // _FACTOR)
        span = colour[cells] - behind
        length = np.sqrt(np.einsum("ij,ij->i", span, span)) + np.float32(1e-3)
        solved = np.einsum("ij,ij->i", seen - behind, span) / (length * length)
        rest = seen - behind - np.clip(solved, 0.0, 1.0)[:, None] * span
        error = np.sqrt(np.einsum("ij,ij->i", rest, rest))
        # The subject is not of one colour: what lies within its spread is all subject.
        full = np.clip(1.0 - 2.0 * spread[cells] / length, 0.55, 0.94)
        solved = np.clip((solved - 0.04) / (full - 0.04), 0.0, 1.0)
        mixture = np.exp(-((error / (4.0 * noise + spread[cells])) ** 2))
        candidate = solved * mixture + np.maximum(solved, differs) * (1.0 - mixture)
        better = error < least_error
        np.copyto(data, candidate, where=better)
        rest = colour[cells] - nearest
        np.minimum(tell, np.sqrt(np.einsum("ij,ij->i", rest, rest)) - 1.5 * spread[cells], out=tell)
        np.copyto(least_error, error, where=better)
    # What the background explains is background, as far as the subject would look different there.
    data *= _ramp(away, 0.4 * noise, 2.0 * noise)
    covered = hidden[rows // 2, columns // 2].astype(np.float32) * np.float32(1 / 255)
    trust = np.maximum(_ramp(tell, 4.0 * noise, 16.0 * noise + 10.0), differs) * (1.0 - covered)
    trust += covered + np.float32(1e-3)
    data += covered * (1.0 - data)
    return _spread_trust(sure, rows, columns, data, trust)


def largest(values: NDArray[Any]) -> NDArray[Any]:
    """The largest of three values in the last axis: (..., 3) to (...); an eighth of the time of ``max(axis=-1)``."""
    return np.maximum(np.maximum(values[..., 0], values[..., 1]), values[..., 2])


def hidden_detail(frame_bgr: Frame, background_bgr: Frame, noise: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Find where something hides the background's detail, even something of the very same colour.

    What shows through of the background's detail is the slope of the frame's luma against the background's in a
    small window: 1 where the background is seen, 0 where it is covered. It says nothing where the background is
    flat.

    Args:
        frame_bgr, background_bgr: uint8 (H, W, 3).
        noise: standard deviation of the background's noise, in code values.

    Returns:
        Two of uint8 (ceil(H/2), ceil(W/2)): 255 where there is detail and it is hidden, 0 where it shows or where
        there is none; and 255 where there is detail, 0 where there is none.
    """
    height, width = frame_bgr.shape[:2]
    size = (-(-width // 2), -(-height // 2))
    seen, behind = (
        cv2.resize(luma(image), size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for image in (frame_bgr, background_bgr)
    )
    window = (_DETAIL_WINDOW, _DETAIL_WINDOW)
    mean_seen, mean_behind = cv2.blur(seen, window), cv2.blur(behind, window)
    variance = cv2.blur(behind * behind, window) - mean_behind * mean_behind
    shared = cv2.blur(seen * behind, window) - mean_seen * mean_behind
    slope = shared / (variance + np.float32(1e-3))
    detail = _ramp(variance, (1.2 * noise) ** 2, (2.5 * noise) ** 2)
    hidden = (1.0 - _ramp(slope, 0.1, 0.5)) * detail
    # A window that straddles the subject's outline knows nothing of its far side.
    hidden = cv2.erode((hidden * 255.0 + 0.5).astype(np.uint8), np.ones(window, np.uint8))
    return hidden, (detail * 255.0 + 0.5).astype(np.uint8)


def _spread_trust(
    sure: NDArray[np.uint8],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    data: NDArray[np.float32],
    trust: NDArray[np.float32],
) -> Alpha:
    """Replace alphas of little trust by the trusted ones around them (normalised convolution)."""
    confidence = np.ones(sure.shape, np.float32)
    confidence[rows, columns] = trust
    weighted = sure.astype(np.float32) * np.float32(1 / 255)
    weighted[rows, columns] = data * trust
    settled = data
    doubt = 1.0 - np.minimum(trust, 1.0)
    for radius in (12, 4):
        window = (2 * radius + 1, 2 * radius + 1)
        mean = cv2.blur(weighted, window)[rows, columns] / cv2.blur(confidence, window)[rows, columns]
        settled = settled + 0.5 * doubt * (mean - settled) if radius == 12 else settled + doubt * (mean - settled)
    alpha = sure.copy()
    alpha[rows, columns] = np.clip(settled * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return alpha


def _subject_colours(
    frame_bgr: Frame, sure: NDArray[np.uint8], reach: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The sure subject's mean colour and its spread, from far and from near.

    Returns:
        Pairs of float32 (ceil(H/8), ceil(W/8), 3) colours and (ceil(H/8), ceil(W/8)) standard deviations.
    """
    height, width = sure.shape
    size = (-(-width // _FACTOR), -(-height // _FACTOR))
    small = cv2.resize(frame_bgr, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    cover = cv2.resize(sure, size, interpolation=cv2.INTER_AREA)
    cover = (cover >= 250).astype(np.float32)
    near = max(1, round(reach / _FACTOR))
    fallback = np.broadcast_to(np.float32(cv2.mean(small, cover.astype(np.uint8))[:3]), small.shape)
    square = small * small
    found = []
    for radius in (8 * near, 3 * near, near):
        colour = (_window_sum(small * cover[..., None], radius) + 0.02 * fallback) / (
            _window_sum(cover, radius) + 0.02
        )[..., None]
        mean_square = (_window_sum(square * cover[..., None], radius) + 0.02 * colour * colour) / (
            _window_sum(cover, radius) + 0.02
        )[..., None]
        spread = np.sqrt(np.maximum(mean_square - colour * colour, 0.0).mean(axis=2))
        found.append((colour, spread))
        fallback = colour
    return found[1:]


def _window_sum(image: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    return cv2.boxFilter(image, -1, (2 * radius + 1,) * 2, normalize=False)


def _ramp(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """A smooth step from 0 at ``low`` to 1 at ``high``."""
    t: NDArray[np.float32] = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return np.multiply(t * t, 3.0 - 2.0 * t, dtype=np.float32)
