"""What became of the scene since the last frame: nothing that matters, motion, or a cut to another scene."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import ConfigError
from edge_harmony.pixels.frame import Alpha, Frame

_SIZE: Final = 32  # pixels, side of the square in which scenes are compared
_ENOUGH: Final = 0.05  # share of the view that a background must have for its change alone to count as a cut
_ALIKE: Final = 0.5  # correlation below which two backgrounds show different things
_SPREAD: Final = 4.0  # code values: flatter backgrounds show nothing that could be correlated
_LEAST: Final = 6.0  # code values that uncorrelated backgrounds must differ by on average


class Change(Enum):
    """How a frame's scene differs from what came before it."""

    STILL = "still"  # no more than sensor noise since the last frame that was not still
    MOVING = "moving"
    CUT = "cut"


class SceneDetector:
    """Tells a still scene, motion, and a cut (or a new background) apart, in the working view at 32 x 32 pixels.

    At that size noise nearly vanishes (5 code values of it leave 0.2), a moving subject or a panning camera changes
    the view by a few code values on average, another picture by dozens.

    - *still*: no pixel of view or alpha is further than ``still_threshold`` from the last frame that was not still:
      slow changes add up until they count.
    - *cut*: the whole view, or the background alone (so that a large subject cannot hide it), differs from the last
      frame by more than ``cut_threshold`` on average; or the backgrounds do not resemble one another, as two pictures
      of like brightness do not.

    Args:
        cut_threshold: mean absolute difference in code values from which on it is a cut.
        still_threshold: code values that a pixel may be off in a still scene; below 0 nothing is ever still.

    Raises:
        ConfigError: a cut threshold that is not above 0.
    """

    def __init__(self, cut_threshold: float = 24.0, still_threshold: float = 2.0) -> None:
        if not cut_threshold > 0.0:
            raise ConfigError(f"the cut threshold is {cut_threshold}", "use code values above 0; 24 is usual")
        self.cut_threshold = cut_threshold
        self.still_threshold = still_threshold
        self._view: NDArray[np.float32] | None = None  # (32, 32, 4): BGR and alpha, 0..255
        self._anchor: NDArray[np.float32] | None = None  # the same of the last frame that was not still

    def update(self, composite512_bgr: Frame, alpha512: Alpha) -> Change:
        """Look at the next frame.

        Args:
            composite512_bgr: uint8 (512, 512, 3), the composite before it is harmonized; any size works.
            alpha512: uint8 of the same height and width.

        Returns:
            How it differs; ``Change.MOVING`` for the first.
        """
        view = np.dstack([_shrink(composite512_bgr), _shrink(alpha512)]).astype(np.float32)
        before, self._view = self._view, view
        if before is None or self._anchor is None:
            self._anchor = view
            return Change.MOVING
        if float(np.abs(view - self._anchor).max()) <= self.still_threshold:
            return Change.STILL
        self._anchor = view
        return Change.CUT if self._is_cut(before, view) else Change.MOVING

    def reset(self) -> None:
        """Forget the last frame."""
        self._view = self._anchor = None

    def _is_cut(self, before: NDArray[np.float32], view: NDArray[np.float32]) -> bool:
        difference = np.abs(view[..., :3] - before[..., :3]).mean(axis=2)
        if difference.mean() > self.cut_threshold:
            return True
        # Background on both frames: no subject moved there.
        shared = np.subtract(1.0, np.maximum(view[..., 3], before[..., 3]) / 255.0, dtype=np.float32)
        weight = float(shared.sum())
        if weight < _ENOUGH * _SIZE * _SIZE:
            return False
        changed = float((difference * shared).sum()) / weight
        if changed > self.cut_threshold:
            return True
        return changed > _LEAST and _correlation(before[..., :3], view[..., :3], shared / weight) < _ALIKE


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    half = (image.shape[1] // 2, image.shape[0] // 2)  # OpenCV is quickest at averaging 2 x 2
    return cv2.resize(
        cv2.resize(image, half, interpolation=cv2.INTER_AREA), (_SIZE, _SIZE), interpolation=cv2.INTER_AREA
    )


def _correlation(first: NDArray[Any], second: NDArray[Any], weight: NDArray[Any]) -> float:
    """Of two pictures' brightness, as ``weight`` (of sum 1) says; 1 where either is flat."""
    light, other = first.mean(axis=2), second.mean(axis=2)
    light = light - (light * weight).sum()
    other = other - (other * weight).sum()
    spreads = float(np.sqrt((light**2 * weight).sum())), float(np.sqrt((other**2 * weight).sum()))
    if min(spreads) < _SPREAD:
        return 1.0
    return float((light * other * weight).sum()) / (spreads[0] * spreads[1])
