"""Made-up frames that ask for everything a compositor does: stillness, motion, cuts, nothing to see, noise."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Parts = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], float]


def textured(generator: np.random.Generator, height: int, width: int, grain: float = 0.0) -> NDArray[np.uint8]:
    """A picture of soft shapes and some detail, with noise: uint8 (H, W, 3)."""
    coarse = generator.integers(20, 235, (5, 7, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture[height // 3 : height // 3 + 9, ::17] *= 0.5
    picture += generator.standard_normal((height, width, 3)) * grain
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def soft_disc(height: int, width: int, centre: tuple[float, float], radius: float, soft: float) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - centre[0], x - centre[1])
    return np.clip((radius - away) / soft * 255.0 + 127.5, 0, 255).astype(np.uint8)


def shot(height: int = 240, width: int = 352, grain: float = 6.0) -> Iterator[Parts]:
    """Frames, alphas, backgrounds and times: two scenes of 20 frames; a pause, motion, a cut, and alphas of nothing."""
    generator = np.random.default_rng(7)
    for scene in range(2):
        subject = textured(generator, height, width)
        still = textured(generator, height, width, grain)
        for i in range(20):
            moving = max(0, i - 6)
            centre = (height * 0.55, width * (0.3 + 0.02 * moving))
            alpha = soft_disc(height, width, centre, height * 0.3, 9.0)
            if i == 12:
                alpha = np.zeros_like(alpha)
            if i == 14:
                alpha = np.full_like(alpha, 255)
            frame = np.roll(subject, 3 * moving, axis=1)
            background = np.roll(still, 2 * moving, axis=0)
            yield frame, alpha, np.ascontiguousarray(background), (scene * 20 + i) / 24.0
