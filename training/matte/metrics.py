"""How far an alpha is from the true one: the matting literature's figures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.uint8]

STEPS = 0.1  # between the levels at which connectivity is looked at
SIGMA = 1.4  # pixels, of the Gaussian whose derivative the gradient error takes


def iou(found: Alpha, truth: Alpha) -> float:
    """Intersection over union of two alphas at one half; 1 when both are empty."""
    a, b = found > 127, truth > 127
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def mean_error(found: Alpha, truth: Alpha) -> float:
    """Mean absolute error, of alphas 0..1 (MAD of the literature)."""
    return float(cv2.absdiff(found, truth).mean()) / 255.0


def gradient_error(found: Alpha, truth: Alpha) -> float:
    """Squared differences of the alphas' gradients, summed, in thousands (Rhemann et al. 2009): edges, their detail."""
    reach = round(3 * SIGMA)
    at = np.arange(-reach, reach + 1, dtype=np.float32)
    smooth = np.exp(-(at**2) / (2 * SIGMA**2)) / (SIGMA * np.sqrt(2 * np.pi))
    slope = -at / SIGMA**2 * smooth
    slope /= np.sqrt((np.outer(slope, smooth) ** 2).sum())
    steep = []
    for alpha in (found, truth):
        values = alpha.astype(np.float32) / 255
        x, y = (
            cv2.sepFilter2D(values, -1, *k, borderType=cv2.BORDER_REPLICATE) for k in ((slope, smooth), (smooth, slope))
        )
        steep.append(np.hypot(x, y))
    return float(((steep[0] - steep[1]) ** 2).sum()) / 1000


def connectivity_error(found: Alpha, truth: Alpha) -> float:
    """How much of each alpha hangs in the air, summed over pixels, in thousands (Rhemann et al. 2009, theta 0.15).

    Of every pixel the highest level is sought at which it belongs to the largest piece that both alphas share.
    """
    a, b = (alpha.astype(np.float32) / 255 for alpha in (found, truth))
    level = np.full(a.shape, -1.0, np.float32)
    for threshold in np.arange(STEPS, 1 + STEPS / 2, STEPS):
        both = ((a >= threshold - 1e-4) & (b >= threshold - 1e-4)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        largest = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else np.zeros(a.shape, bool)
        level[(level < 0) & ~largest] = threshold - STEPS
    level[level < 0] = 1.0
    connected = []
    for alpha in (a, b):
        above = alpha - level
        connected.append(1 - above * (above >= 0.15))
    return float(np.abs(connected[0] - connected[1]).sum()) / 1000


def dt_ssd(found: Alpha, before: Alpha, truth: Alpha, truth_before: Alpha) -> float:
    """By how much two frames' alphas change otherwise than the true ones do, times 100 (Erofeev et al. 2015)."""
    change = found.astype(np.float32) - before
    true_change = truth.astype(np.float32) - truth_before
    return float(np.sqrt(np.mean(((change - true_change) / 255) ** 2))) * 100


FIGURES = ("iou", "mad", "gradient", "connectivity")


def figures(found: Alpha, truth: Alpha) -> tuple[float, float, float, float]:
    """The ``FIGURES`` of one picture."""
    return (
        iou(found, truth),
        mean_error(found, truth),
        gradient_error(found, truth),
        connectivity_error(found, truth),
    )
