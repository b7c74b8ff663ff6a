"""Frames to measure on: gradients, grain, and an elliptic subject with a soft edge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def make_scene(height: int, width: int, coverage: float) -> tuple[Picture, Picture]:
    """A composite with gradients and grain, and the mask of an ellipse with a soft edge that covers ``coverage``."""
    rng = np.random.default_rng(0)
    y, x = np.linspace(0, 1, height, dtype=np.float32)[:, None], np.linspace(0, 1, width, dtype=np.float32)
    smooth = np.stack([60 + 120 * x + 0 * y, 90 + 80 * y * x, 200 - 130 * y + 0 * x], axis=-1)
    grain = rng.standard_normal((512, 512, 1), np.float32) * 6  # a tile, so that 8K takes no minute to make
    tiles = np.tile(grain, (-(-height // 512), -(-width // 512), 1))[:height, :width]
    composite = np.clip(smooth + tiles, 0, 255).astype(np.uint8)
    if coverage >= 1.0:
        return composite, np.full((height, width), 255, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    scale = (coverage / np.pi) ** 0.5  # of both half axes, as shares of the frame's sides
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * scale), int(height * scale)), 0, 0, 360, 255, -1)
    return composite, cv2.GaussianBlur(mask, (0, 0), height / 400)


def make_clip(height: int, width: int, coverage: float, count: int = 4) -> list[tuple[Picture, Picture, Picture]]:
    """Foreground, alpha and background of a few frames, each so different that no stage can be left out.

    The subject moves, is smooth (so that the background's grain has to be added to it) and has other light.
    """
    background, mask = make_scene(height, width, coverage)
    smooth = cv2.GaussianBlur(background[::-1], (0, 0), 3)
    frames = []
    for index in range(count):
        shift = (index - count // 2) * max(width // 64, 1)
        frames.append(
            (np.roll(smooth, shift, 1), np.roll(mask, shift, 1), np.roll(background, -2 * shift, 1))  # copies
        )
    return frames
