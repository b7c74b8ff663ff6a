"""Made-up scenes whose alpha is known exactly; a whole clip of them is ``pixels.synthetic.SyntheticClip``."""

from __future__ import annotations

import cv2
import numpy as np

from edge_harmony.pixels.over import over
from edge_harmony.pixels.synthetic import soft_ellipse


def soft_disc(size_hw: tuple[int, int], radius: float, soft: float = 6.0, centre_xy=None) -> np.ndarray:
    """Alpha of a disc whose edge ramps over ``soft`` pixels: uint8 (H, W)."""
    return soft_ellipse(size_hw, (radius, radius), centre_xy or (size_hw[1] / 2, size_hw[0] / 2), soft)


def textured(size_hw: tuple[int, int], seed: int = 0, blur: float = 2.0, contrast: float = 40.0) -> np.ndarray:
    """A smooth random picture with plenty of corners: uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((*size_hw, 3), np.float32)
    for scale, share in ((blur, 1.0), (blur * 6, 1.0)):
        layer = cv2.GaussianBlur(rng.normal(0, 1, (*size_hw, 3)).astype(np.float32), (0, 0), scale)
        picture += share * layer / layer.std()
    return np.clip(128 + contrast * picture / 1.4, 0, 255).astype(np.uint8)


def smooth(generator: np.random.Generator, size_hw: tuple[int, int], cells_hw: tuple[int, int] = (5, 6)) -> np.ndarray:
    """Fields of colour that run into each other, ``cells_hw`` of them: uint8 (H, W, 3)."""
    cells = generator.integers(0, 256, (*cells_hw, 3), np.uint8)
    return np.asarray(cv2.resize(cells, size_hw[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def flat(size_hw: tuple[int, int], colour_bgr: tuple[int, int, int]) -> np.ndarray:
    """A picture of one colour: uint8 (H, W, 3)."""
    return np.full((*size_hw, 3), colour_bgr, np.uint8)


def noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """The picture with normal noise of its own in every channel."""
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)


def shot(
    subject: np.ndarray, alpha: np.ndarray, background: np.ndarray, sigma: float = 0.0, seed: int = 0
) -> np.ndarray:
    """What a camera with noise ``sigma`` would see."""
    return noisy(over(subject, alpha, background), sigma, seed)
