"""Taking a clean plate: time to step out of the picture, then the mean of several frames."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.frame import Frame

COUNTDOWN_S: Final = 5.0
_FRAMES: Final = 12  # enough to bring sensor noise down by a factor of three


class PlateCountdown:
    """Counts down and then averages frames. Times are seconds of any one clock.

    Args:
        countdown_s: time between ``start`` and the first frame that is used.
        frames: how many frames are averaged.
    """

    def __init__(self, countdown_s: float = COUNTDOWN_S, frames: int = _FRAMES) -> None:
        self._countdown_s, self._wanted = countdown_s, frames
        self._due_s: float | None = None
        self._sum: NDArray[np.float32] | None = None
        self._count = 0

    @property
    def running(self) -> bool:
        """Whether a plate is being waited for or taken."""
        return self._due_s is not None

    def start(self, now_s: float) -> None:
        """Begin, or begin again."""
        self._due_s = now_s + self._countdown_s
        self._sum, self._count = None, 0

    def text(self, now_s: float) -> str:
        """What to show meanwhile; "" when not running."""
        if self._due_s is None:
            return ""
        left = math.ceil(self._due_s - now_s)
        return f"step out of the picture: {left}" if left > 0 else "hold still"

    def feed(self, frame_bgr: Frame, now_s: float) -> Frame | None:
        """Take a frame into account; it is only read.

        Returns:
            The plate, uint8 (H, W, 3), with the last frame that it needed; else None. A frame of another size than
            those before starts the averaging afresh.
        """
        if self._due_s is None or now_s < self._due_s:
            return None
        if self._sum is None or self._sum.shape != frame_bgr.shape:
            self._sum, self._count = np.zeros(frame_bgr.shape, np.float32), 0
        cv2.accumulate(frame_bgr, self._sum)
        self._count += 1
        if self._count < self._wanted:
            return None
        plate = (self._sum / np.float32(self._count) + np.float32(0.5)).astype(np.uint8)
        self._due_s, self._sum = None, None
        return plate
