"""Made-up frames that ask for everything a compositor does: stillness, motion, cuts, nothing to see, noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tests.scenes import smooth, soft_disc

Parts = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], float]


def textured(generator: np.random.Generator, height: int, width: int, grain: float = 0.0) -> NDArray[np.uint8]:
    """A picture of soft shapes and some detail, with noise: uint8 (H, W, 3)."""
    picture = 20 + smooth(generator, (height, width), (5, 7)) * np.float32(0.84)
    picture[height // 3 : height // 3 + 9, ::17] *= 0.5
    picture += generator.standard_normal((height, width, 3)) * grain
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def shot(height: int = 240, width: int = 352, grain: float = 6.0) -> Iterator[Parts]:
    """Frames, alphas, backgrounds and times: two scenes of 20 frames; a pause, motion, a cut, and alphas of nothing."""
    generator = np.random.default_rng(7)
    for scene in range(2):
        subject = textured(generator, height, width)
        still = textured(generator, height, width, grain)
        for i in range(20):
            moving = max(0, i - 6)
            centre_xy = width * (0.3 + 0.02 * moving), height * 0.55
            alpha = soft_disc((height, width), height * 0.3, 9.0, centre_xy)
            if i == 12:
                alpha = np.zeros_like(alpha)
            if i == 14:
                alpha = np.full_like(alpha, 255)
            frame = np.roll(subject, 3 * moving, axis=1)
            background = np.roll(still, 2 * moving, axis=0)
            yield frame, alpha, np.ascontiguousarray(background), (scene * 20 + i) / 24.0
