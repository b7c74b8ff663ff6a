"""Pictures to harmonize: photographs where scikit-image brings them, and drawn ones."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.scenes import smooth

Picture = NDArray[np.uint8]


class Scene(NamedTuple):
    """A subject, its alpha, and what it is put on: BGR (H, W, 3), (H, W), BGR (H, W, 3)."""

    frame: Picture
    alpha: Picture
    background: Picture


def drawn(height: int, width: int, seed: int, shift: int = 0, tint: float = 1.0) -> Scene:
    """Smooth fields of colour and a soft ellipse, moved ``shift`` pixels aside; ``tint`` warms the background."""
    generator = np.random.default_rng(seed)
    frame, background = (smooth(generator, (height, width), cells) for cells in ((12, 16), (9, 16)))
    alpha = np.zeros((height, width), np.uint8)
    middle = (width // 2 + shift, height // 2)
    cv2.ellipse(alpha, middle, (width // 5, height // 3), 0, 0, 360, (255,), -1)
    warmed = background.astype(np.float32) * np.array([1 / tint, 1.0, tint], np.float32)
    return Scene(frame, cv2.GaussianBlur(alpha, (0, 0), 2.5), np.clip(warmed, 0, 255).astype(np.uint8))


def person_clip(width: int, height: int, frames: int) -> list[Picture]:
    """A real person before a real wall, through a camera that sways: BGR frames from scikit-image's photograph."""
    pytest.importorskip("skimage", reason="scikit-image, which brings the photograph, is not installed")
    from skimage import data

    photo = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    scale = max(width / 440, height / 340)
    pictures = []
    for k in range(frames):
        x, y = 250 + 2.5 * k, 170 + k
        matrix = np.array([[scale, 0, width / 2 - scale * x], [0, scale, height / 2 - scale * y]])
        moved = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        pictures.append(np.asarray(moved, np.uint8))
    return pictures
