"""Steadying alpha over time without lag: what the picture did not change, alpha need not either."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.frame import Alpha, Frame

_SAME, _OTHER = 3.0, 14.0  # code values of change, averaged over a few pixels, that mean none and certainly some
_NEAR = 5  # pixels of a view over which change is averaged, and to which it spreads
_HOLD = 3  # code values by which alpha may differ from what is shown before it follows, where nothing changed


class AlphaSteadier:
    """Averages alpha over time where the picture stands still, and takes it as it comes where something moves.

    Works on the small view that a network saw, before its alpha is brought to full size: 0.2 ms.

    Args:
        amount: 0..1, share of the earlier alpha that is kept from frame to frame where nothing changed.
    """

    def __init__(self, amount: float) -> None:
        self.amount = amount
        self._view: Frame | None = None
        self._shown: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forget the earlier frames."""
        self._view = self._shown = None

    def __call__(self, alpha: Alpha, view_bgr: Frame) -> Alpha:
        """Steady an alpha.

        Args:
            alpha: uint8 (h, w).
            view_bgr: uint8 (h, w, 3), the picture it belongs to; kept until the next call, so it must not be changed.

        Returns:
            uint8 (h, w); a new array.
        """
        fresh = alpha.astype(np.float32)
        if self._view is None or self._shown is None or self._view.shape != view_bgr.shape:
            self._view, self._shown = view_bgr, fresh
            return alpha.copy()
        blue, green, red = cv2.split(cv2.absdiff(view_bgr, self._view))
        change = cv2.blur(cv2.max(cv2.max(blue, green), red).astype(np.float32), (_NEAR, _NEAR))
        change = cv2.dilate(change, np.ones((_NEAR, _NEAR), np.uint8))
        moving = np.clip((change - np.float32(_SAME)) * np.float32(1.0 / (_OTHER - _SAME)), 0.0, 1.0)
        shown = self._shown
        step = fresh - shown
        step[(np.abs(step) < _HOLD) & (moving == 0.0)] = 0.0
        shown += step * (np.float32(1.0 - self.amount) + np.float32(self.amount) * moving)
        self._view = view_bgr
        return (shown + np.float32(0.5)).astype(np.uint8)
