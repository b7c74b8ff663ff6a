"""A clip that needs no file: a subject with an exact alpha that moves over a still background, always the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Final

import cv2
import numpy as np

from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.over import over

Item = tuple[Frame, Alpha, Frame]  # subject, alpha, background

_MOST_FRAMES: Final = 12  # different ones; then they come again
_MEMORY: Final = 192 << 20  # bytes that they may take
_SOFT_EDGE: Final = 1.5  # pixels over which the alpha rises, at 1080 rows


class SyntheticClip:
    """An ellipse with a shaded surface on its way round the frame, lit otherwise than the background.

    Its alpha is computed, not estimated: 0 outside, 255 inside, and a soft edge of constant width between them. About
    a sixth of the frame is subject. Every frame is made when the clip is, so that reading it costs nothing.

    Attributes:
        background_bgr: uint8 (H, W, 3), read-only.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw
        height, width = size_hw
        count = int(min(_MOST_FRAMES, max(2, _MEMORY // (4 * height * width))))
        self.background_bgr = _background(height, width)
        self.background_bgr.setflags(write=False)
        self._frames = [_frame(height, width, index / count) for index in range(count)]

    @property
    def clip_bytes(self) -> int:
        """The memory that the frames take."""
        return self.background_bgr.nbytes + sum(frame.nbytes + alpha.nbytes for frame, alpha in self._frames)

    def frames(self, count: int) -> Iterator[Item]:
        """``count`` frames: uint8 (H, W, 3) BGR of the subject, straight, its uint8 (H, W) alpha, the background."""
        for frame, alpha in islice(cycle(self._frames), count):
            yield frame, alpha, self.background_bgr


def _background(height: int, width: int) -> Frame:
    """A warm sky over a dark ground, with grain."""
    rng = np.random.default_rng(0)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    along = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    sky, ground = np.array([70, 130, 215], np.float32), np.array([35, 45, 60], np.float32)
    smooth = sky + (ground - sky) * down + 18 * along
    grain = rng.normal(0, 4, (height // 2 + 1, width // 2 + 1, 3)).astype(np.float32)
    smooth += cv2.resize(grain, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def _frame(height: int, width: int, phase: float) -> tuple[Frame, Alpha]:
    """The subject at a point of its way; 0 and 1 are the same point."""
    angle = 2 * np.pi * phase
    centre_x, centre_y = width * (0.5 + 0.2 * np.cos(angle)), height * (0.5 + 0.1 * np.sin(angle))
    half_width, half_height = 0.17 * width, 0.32 * height
    x = (np.arange(width, dtype=np.float32)[None] + np.float32(0.5 - centre_x)) / np.float32(half_width)
    y = (np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5 - centre_y)) / np.float32(half_height)
    radius = np.sqrt(x * x + y * y)
    edge = _SOFT_EDGE * height / 1080 / min(half_width, half_height)
    alpha = np.clip((1 - radius) / np.float32(edge) + 0.5, 0, 1)
    light = np.clip(0.75 - 0.25 * x - 0.3 * y, 0, 1)[..., None]  # from the upper left, and cold: it does not belong
    texture = (12 * np.sin(40 * x) * np.sin(40 * y))[..., None]
    subject = np.clip(np.array([225, 190, 150], np.float32) * light + texture, 0, 255).astype(np.uint8)
    cover = np.floor(alpha * 255 + 0.5).astype(np.uint8)
    return over(subject, cover, np.zeros((height, width, 3), np.uint8) + np.uint8(40)), cover
