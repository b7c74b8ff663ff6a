"""What can be done to any alpha afterwards: levels, growing and shrinking, edge snapping, feathering."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import ConfigError
from edge_harmony.matte.scale import shrink_by
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.passes import snap_rows
from edge_harmony.pixels.row_threads import available_threads, share_rows
from edge_harmony.settings import SETTINGS, refuse_crossing

_STRETCH = 1.3  # contrast of a guided alpha: brings least error on soft and on hard edges


@dataclass(frozen=True)
class Refinement:
    """Settings of ``apply``, each without effect at its default; their ranges are those of the settings ``[matte]``.

    Attributes:
        black, white: alphas (0..1) that become 0 and 1; those between are stretched.
        gamma: exponent of the stretched alpha's curve; above 1 thins soft edges, below 1 thickens them.
        grow: pixels by which the edge moves outwards; negative moves it inwards. Fractions count.
        snap: radius in pixels of the guided filter that pulls soft edges onto the picture's; 0 is off.
        feather: standard deviation in pixels of a final blur; 0 is off.
    """

    black: float = 0.0
    white: float = 1.0
    gamma: float = 1.0
    grow: float = 0.0
    snap: int = 0
    feather: float = 0.0

    def __post_init__(self) -> None:
        for name in ("black", "white", "grow", "snap", "feather"):
            SETTINGS[f"matte.{name}"].check(getattr(self, name), name)
        refuse_crossing(self.black, self.white)
        if not self.gamma > 0.0:
            raise ConfigError(f"gamma {self.gamma} is impossible", "use a positive number; 1 is no change")

    def apply(self, alpha: Alpha, frame_bgr: Frame) -> Alpha:
        """Refine an alpha: snap, levels, grow, feather, in this order.

        Returns the same array when every setting is at its default.
        """
        if self.snap:
            alpha = guided_alpha(alpha, frame_bgr, radius=self.snap)
        if (self.black, self.white, self.gamma) != (0.0, 1.0, 1.0):
            alpha = levels(alpha, self.black, self.white, self.gamma)
        if self.grow:
            alpha = grow(alpha, self.grow)
        if self.feather:
            alpha = feather(alpha, self.feather)
        return alpha


def levels(alpha: Alpha, black: float, white: float, gamma: float = 1.0) -> Alpha:
    """Stretch alphas from ``black``..``white`` (0..1) to 0..1 and bend them by ``gamma``."""
    codes = np.arange(256, dtype=np.float64)
    stretched = np.clip((codes - black * 255.0) / ((white - black) * 255.0), 0.0, 1.0) ** gamma
    return cv2.LUT(alpha, np.floor(stretched * 255.0 + 0.5).astype(np.uint8))


def grow(alpha: Alpha, pixels: float) -> Alpha:
    """Move the edge outwards (inwards when negative) by ``pixels``, softness kept; fractions are interpolated."""
    morph = cv2.dilate if pixels > 0 else cv2.erode
    whole = math.floor(abs(pixels))
    part = abs(pixels) - whole
    near = morph(alpha, _disc(whole)) if whole else alpha
    if part == 0.0:
        return near
    return cv2.addWeighted(near, 1.0 - part, morph(alpha, _disc(whole + 1)), part, 0.0)


def feather(alpha: Alpha, sigma: float) -> Alpha:
    """Blur the edge by a Gaussian of ``sigma`` pixels."""
    return cv2.GaussianBlur(alpha, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def guided_alpha(alpha: Alpha, frame_bgr: Frame, radius: int = 8, epsilon: float = 1e-4) -> Alpha:
    """Pull an alpha's soft edges onto the picture's edges.

    A guided filter with the colour picture as its guide (He, Sun, Tang, "Guided Image Filtering", 2010), its
    coefficients computed read down (He, Sun, "Fast Guided Filter", 2015) and applied at full size. Only edges
    are changed: where every alpha within ``radius`` is 0, or 255, it stays so.

    Args:
        alpha: uint8 (h, w) of any size: a smaller one is brought to the frame's size on the way.
        frame_bgr: uint8 (H, W, 3).
        radius: of the filter's window, in pixels of the frame.
        epsilon: variance, with colours in 0..1, below which the picture counts as flat.

    Returns:
        uint8 (H, W).
    """
    height, width = frame_bgr.shape[:2]
    factor = max(1, radius // 2)
    guide = shrink_by(frame_bgr, factor)
    rows, columns = guide.shape[:2]
    shrinking = columns < alpha.shape[1]
    small = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    reach = max(1, round(radius / factor))
    window = np.ones((2 * reach + 3,) * 2, np.uint8)
    edge = cv2.dilate(small, window) != cv2.erode(small, window)
    full = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
    left, top, box_width, box_height = cv2.boundingRect(edge.view(np.uint8))
    if box_width == 0:
        return full
    # Coefficients are needed in the edges' box only; their windows reach as far again round it.
    top0, left0 = max(0, top - 2 * reach - 1), max(0, left - 2 * reach - 1)
    box = (slice(top0, top + box_height + 2 * reach + 1), slice(left0, left + box_width + 2 * reach + 1))
    slope = np.zeros((rows, columns, 4), np.float32)
    part = _guided_coefficients(guide[box].astype(np.float32), small[box].astype(np.float32), reach, epsilon * 255.0**2)
    slope[box] = part
    frame = np.ascontiguousarray(frame_bgr)
    first = top * height // rows
    last = min(height, -(-(top + box_height) * height // rows))

    def work(start: int, stop: int) -> None:
        snap_rows(first + start, first + stop, slope, edge, frame, _STRETCH, full)

    share_rows(work, last - first, available_threads())
    return full


def _guided_coefficients(
    guide: NDArray[np.float32], target: NDArray[np.float32], reach: int, epsilon: float
) -> NDArray[np.float32]:
    """Coefficients of the local linear model: float32 (h, w, 4), three slopes and an offset, box-averaged."""

    def mean(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.blur(image, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REFLECT)

    b, g, r = planes = cv2.split(guide)  # arithmetic on planes is several times as fast as on every third value
    target_middle = mean(target)
    mb, mg, mr = middle = cv2.split(mean(guide))
    sb, sg, sr = (mean(p * target) - m * target_middle for p, m in zip(planes, middle, strict=True))
    bb, gg, rr = (mean(p * p) - m * m + epsilon for p, m in zip(planes, middle, strict=True))
    bg, br, gr = mean(b * g) - mb * mg, mean(b * r) - mb * mr, mean(g * r) - mg * mr
    # Closed-form inverse of the symmetric 3 x 3 covariance.
    i_bb, i_bg, i_br = gg * rr - gr * gr, br * gr - bg * rr, bg * gr - gg * br
    i_gg, i_gr, i_rr = bb * rr - br * br, bg * br - bb * gr, bb * gg - bg * bg
    scale = 1.0 / (bb * i_bb + bg * i_bg + br * i_br)
    slopes = [
        (i_bb * sb + i_bg * sg + i_br * sr) * scale,
        (i_bg * sb + i_gg * sg + i_gr * sr) * scale,
        (i_br * sb + i_gr * sg + i_rr * sr) * scale,
    ]
    offset = target_middle - slopes[0] * mb - slopes[1] * mg - slopes[2] * mr
    return mean(cv2.merge([*slopes, offset]))


def _disc(radius: int) -> NDArray[np.uint8]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.uint8)
