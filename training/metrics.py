"""Figures of merit for harmonized pictures.

All take uint8 RGB pictures (H, W, 3), that is values on 0..255 rounded to 8 bits, and are to be averaged over
pictures, as the field does:

* **MSE** over the whole picture and all channels, and **PSNR** = 10 log10(255² / MSE) from it. Identical pictures
  have no finite PSNR; every picture's is capped at ``PSNR_CAP`` so that an average exists.
* **fMSE**: the squared error averaged over mask pixels (mask > 127) and channels alone. NaN for an empty mask;
  averages leave such pictures out.
* **SSIM** (Wang et al. 2004): Gaussian window of 11 x 11 with sigma 1.5, population covariances, mean over the R, G
  and B maps where the whole window lies inside the picture.
* **ΔE2000** (CIEDE2000; Sharma, Wu & Dalal 2005) of each foreground pixel, sRGB under D65: what the eye makes of it.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

PSNR_CAP = 100.0  # dB
WINDOW, SIGMA = 11, 1.5  # of SSIM, in pixels

Picture = NDArray[np.uint8]  # (H, W, 3) RGB
Mask = NDArray[np.uint8]  # (H, W), foreground where > 127


class Figures(NamedTuple):
    """One picture's figures. ``de2000`` is the mean over the foreground; NaN, as ``fmse`` is, for an empty mask."""

    psnr: float
    mse: float
    fmse: float
    ssim: float
    de2000: float


def squared_errors(picture: Picture, truth: Picture, mask: Mask) -> tuple[float, float]:
    """MSE and fMSE.

    Raises:
        ValueError: shapes or dtypes differ from the contract above.
    """
    for name, value in (("picture", picture), ("truth", truth)):
        if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3:
            raise ValueError(f"{name} must be uint8 (H, W, 3), not {value.dtype} {value.shape}")
    if picture.shape != truth.shape or mask.shape != truth.shape[:2]:
        raise ValueError(f"sizes differ: picture {picture.shape}, truth {truth.shape}, mask {mask.shape}")
    difference = picture.astype(np.int32) - truth
    error = difference * difference  # (H, W, 3), exact
    inside = mask > 127
    fmse = float(error[inside].mean()) if inside.any() else float("nan")
    return float(error.mean()), fmse


def psnr(mse: float) -> float:
    """PSNR in dB of an MSE on 0..255, at most ``PSNR_CAP``."""
    return PSNR_CAP if mse <= 0 else min(PSNR_CAP, float(10.0 * np.log10(255.0**2 / mse)))


def ssim(picture: Picture, truth: Picture) -> float:
    """Structural similarity, -1..1. Both sides must be at least 11 pixels."""
    if min(truth.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM needs sides of at least {WINDOW} pixels, not {truth.shape[:2]}")
    x, y = picture.astype(np.float64), truth.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    edge = WINDOW // 2

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA)
        return np.asarray(blurred[edge:-edge, edge:-edge], np.float64)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    similar = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(similar.mean())


_CODES = np.arange(256) / 255.0
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)  # sRGB, IEC 61966-2-1
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ.sum(1)  # D65, of this matrix: so that greys have a = b = 0


def lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB of sRGB pixels under D65: uint8 (..., 3) RGB to float64 (..., 3), L in 0..100."""
    t = _LINEAR[rgb] @ (_XYZ / _WHITE[:, None]).T
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), -1)


def ciede2000(lab1: NDArray[np.float64], lab2: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIEDE2000 colour difference, kL = kC = kH = 1: float (..., 3) CIELAB twice to float64 (...).

    Written after the implementation notes of Sharma, Wu & Dalal (2005), equations (2) to (22).
    """
    l1, a1, b1 = np.moveaxis(np.asarray(lab1, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(lab2, np.float64), -1, 0)
    c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(c7 / (c7 + 25.0**7))  # of a, for near-neutral colours
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0

    dl, dc = l2 - l1, c2 - c1
    dh = h2 - h1
    dh = np.where(dh > 180, dh - 360, np.where(dh < -180, dh + 360, dh))
    dh = np.where(grey, 0.0, dh)
    dh_big = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))

    l_mean, c_mean, total = (l1 + l2) / 2, (c1 + c2) / 2, h1 + h2
    h_mean = np.where(np.abs(h1 - h2) <= 180, total / 2, np.where(total < 360, (total + 360) / 2, (total - 360) / 2))
    h_mean = np.where(grey, total, h_mean)
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    c7 = c_mean**7
    rotation = -2 * np.sqrt(c7 / (c7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((h_mean - 275) / 25) ** 2))))
    middle = (l_mean - 50) ** 2
    sl = 1 + 0.015 * middle / np.sqrt(20 + middle)
    sc, sh = 1 + 0.045 * c_mean, 1 + 0.015 * c_mean * t
    square = (dl / sl) ** 2 + (dc / sc) ** 2 + (dh_big / sh) ** 2 + rotation * (dc / sc) * (dh_big / sh)
    return np.sqrt(np.maximum(square, 0.0))


def foreground_differences(picture: Picture, truth: Picture, mask: Mask) -> NDArray[np.float64]:
    """ΔE2000 of every foreground pixel, (N,), in the order of the picture's rows."""
    inside = mask > 127
    return ciede2000(lab(truth[inside]), lab(picture[inside]))


def measure(picture: Picture, truth: Picture, mask: Mask) -> tuple[Figures, NDArray[np.float64]]:
    """All figures of one picture, and the ΔE2000 of its foreground pixels for pooled percentiles."""
    mse, fmse = squared_errors(picture, truth, mask)
    differences = foreground_differences(picture, truth, mask)
    mean = float(differences.mean()) if differences.size else float("nan")
    return Figures(psnr(mse), mse, fmse, ssim(picture, truth), mean), differences
