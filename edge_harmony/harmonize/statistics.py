"""Harmonizing without a model: match the mean and spread of colour. The baseline that a model must beat."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.frame import Frame, check_alpha, check_frame
from edge_harmony.pixels.over import over

_LEAST_WEIGHT = 1.0  # pixels: less than this of either region has no statistics to speak of
_LEAST_SPREAD = 1e-3  # L*a*b* units: a flat subject stays flat


def reinhard(composite_bgr: Frame, alpha: Any) -> Frame:
    """Give the subject the background's mean and standard deviation in L*a*b*, channel by channel.

    After Reinhard, Ashikhmin, Gooch and Shirley, "Color Transfer between Images", 2001, with CIE L*a*b* (D65) in the
    place of their lαβ, and the two regions of one picture in the place of two pictures. Each pixel counts for a
    region as much as alpha says.

    Args:
        composite_bgr: uint8 (H, W, 3).
        alpha: (H, W) of the subject, as ``edge_harmony.pixels.frame.check_alpha`` takes it.

    Returns:
        A new uint8 (H, W, 3); ``composite_bgr`` to the bit where alpha is 0, and everywhere when there is no
        subject or no background to compare it with.

    Raises:
        SourceError, MatteError: what is passed is no frame, or not its alpha.
    """
    composite = check_frame(composite_bgr, "composite")
    cover = check_alpha(alpha, composite.shape[:2], "alpha")
    weight = cover.astype(np.float64) / 255.0
    if weight.sum() < _LEAST_WEIGHT or (1.0 - weight).sum() < _LEAST_WEIGHT:
        return composite.copy()
    lab = cv2.cvtColor(np.multiply(composite, np.float32(1.0 / 255.0), dtype=np.float32), cv2.COLOR_BGR2Lab)
    subject_mean, subject_spread = _mean_and_spread(lab, weight)
    target_mean, target_spread = _mean_and_spread(lab, 1.0 - weight)
    gain = target_spread / np.maximum(subject_spread, _LEAST_SPREAD)
    gain[subject_spread < _LEAST_SPREAD] = 1.0
    moved = (lab - subject_mean.astype(np.float32)) * gain.astype(np.float32) + target_mean.astype(np.float32)
    bgr = cv2.cvtColor(np.ascontiguousarray(moved, np.float32), cv2.COLOR_Lab2BGR)
    subject = np.floor(np.clip(bgr, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return over(subject, cover, composite)


def _mean_and_spread(
    lab: NDArray[np.float32], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total = weight.sum()
    mean = np.einsum("hwc,hw->c", lab, weight) / total
    squares = np.einsum("hwc,hw->c", (lab - mean) ** 2, weight)
    return mean, np.sqrt(squares / total)
