"""Steadying alpha over time without lag: what the picture only moved, alpha need not change."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.matte.motion import NEAR, STILL, Motion
from edge_harmony.pixels.frame import Alpha

_OTHER = 14.0  # code values of change, near a place, that mean something else is there; see ``motion.STILL``
_HOLD = 3  # code values by which alpha may differ from what is shown before it follows, where nothing changed


class AlphaSteadier:
    """Averages alpha over time along the picture's movement, and takes it as it comes where something new is seen.

    Works on the small view that a network saw, before its alpha is brought to full size: 0.2 ms.

    Args:
        amount: 0..1, share of the earlier alpha that is kept from frame to frame where nothing changed.
    """

    def __init__(self, amount: float) -> None:
        self.amount = amount
        self._shown: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forget the earlier frames."""
        self._shown = None

    def __call__(self, alpha: Alpha, motion: Motion) -> Alpha:
        """Steady an alpha.

        Args:
            alpha: uint8 (h, w).
            motion: has just followed the picture it belongs to, of the same size.

        Returns:
            uint8 (h, w); a new array.
        """
        fresh = alpha.astype(np.float32)
        if self._shown is None or motion.change is None or self._shown.shape != alpha.shape:
            self._shown = fresh
            return alpha.copy()
        change = cv2.dilate(motion.change, np.ones((NEAR, NEAR), np.uint8))
        moving = np.clip((change - np.float32(STILL)) * np.float32(1.0 / (_OTHER - STILL)), 0.0, 1.0)
        shown: NDArray[np.float32] = motion.carry(self._shown)
        step: NDArray[np.float32] = fresh - shown
        step[(np.abs(step) < _HOLD) & (moving == 0.0)] = 0.0
        shown = shown + step * (np.float32(1.0 - self.amount) + np.float32(self.amount) * moving)
        self._shown = shown
        return (shown + np.float32(0.5)).astype(np.uint8)
