"""Steadiness over time: the transform is smoothed, never the picture, and held where nothing visible changes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import GRID_SIZE, TRANSFORM_SHAPE
from edge_harmony.errors import ConfigError
from edge_harmony.frame import Alpha
from edge_harmony.harmonize.transfer import Transform

_NEIGHBOURS = np.ones((3, 3), np.uint8)  # a pixel is coloured by the cells around it, interpolated
_CUT_SIZE = 32  # pixels, side of the square in which scenes are compared
_ENOUGH = 0.05  # share of the view that a background must have for its change alone to count as a cut


class TransformSmoother:
    """Follows the network's transform slowly, and not at all while the change could not be seen.

    For each cell of the grid:

    - *dead-band*: while no colour would change by ``dead_band`` code values, weighted by how much of the subject is
      in the cell, the cell keeps its map to the bit. A static scene therefore has a bit-static transform.
    - *smoothing*: otherwise ``map = previous + (1 - smoothing) * (new - previous)``, as in the contract.
    - where the subject was not on the last frame, the previous map is the network's guess for something invisible:
      it is replaced, not smoothed, in proportion to how much of the subject is new there.

    A cut, or ``reset``, takes the next transform as it is.

    Args:
        smoothing: 0 follows every frame, 0.9 keeps 90 % of the previous transform; at least 0 and below 1.
        dead_band: code values (0..255) that the most affected colour may be off before a cell moves; 0 turns the
            dead-band off. Sensor noise of 2 code values moves the most affected colour of the most affected cell by
            up to 1.4 (an ordinary colour of an ordinary cell by 0.2), noise of 5 by up to 4.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, smoothing: float = 0.8, dead_band: float = 2.0) -> None:
        if not 0.0 <= smoothing < 1.0:
            raise ConfigError(f"smoothing is {smoothing}", "use 0 (none) or more, but less than 1; 0.8 is usual")
        if not 0.0 <= dead_band < 256.0:
            raise ConfigError(f"dead_band is {dead_band}", "use code values from 0 (off) up to a few; 2 is usual")
        self.smoothing = smoothing
        self.dead_band = dead_band
        self._previous: Transform | None = None
        self._covered: NDArray[np.float32] | None = None  # the subject's cells on the last frame, 0..1

    def update(self, transform: Transform, mask64: NDArray[Any], cut: bool = False) -> Transform:
        """Take the network's transform of the next frame and return the one to apply.

        Args:
            transform: float32 (1, 12, 64, 64). It is not changed, and may be the caller's to overwrite later.
            mask64: (64, 64), the subject's share of each cell (``grid_mask``): float 0..1 or uint8 0..255.
            cut: the scene is another one than on the last frame.

        Returns:
            float32 (1, 12, 64, 64). While nothing moves it is the very array that was returned before; it must not
            be written to (it is marked read-only).
        """
        covered = _spread(mask64)
        previous, before = self._previous, self._covered
        self._covered = covered
        if cut or previous is None or before is None:
            return self._keep(np.array(transform, np.float32).reshape(TRANSFORM_SHAPE))
        change = transform - previous
        moves = np.ones((GRID_SIZE, GRID_SIZE), bool)
        if self.dead_band > 0.0:
            moves = largest_change(change) * covered >= self.dead_band
            if not moves.any():
                return previous
        step = np.where(moves, 1.0 - self.smoothing * before, 0.0).astype(np.float32)
        return self._keep(np.add(previous, step * change, dtype=np.float32))

    def reset(self) -> None:
        """Forget the past: the next transform is taken as it is."""
        self._previous = self._covered = None

    def _keep(self, transform: Transform) -> Transform:
        transform.setflags(write=False)
        self._previous = transform
        return transform


class SceneCutDetector:
    """Tells a cut, or a new background, from motion, by how much the working view changes at 32 x 32 pixels.

    At that size a moving subject or a panning camera changes the view by a few code values on average, another
    picture by dozens. A change of the background alone counts as well as one of the whole view, so that a large
    subject cannot hide it.

    Args:
        threshold: mean absolute difference in code values from which on it is a cut.
    """

    def __init__(self, threshold: float = 24.0) -> None:
        if not threshold > 0.0:
            raise ConfigError(f"the cut threshold is {threshold}", "use code values above 0; 24 is usual")
        self.threshold = threshold
        self._view: NDArray[np.float32] | None = None
        self._behind: NDArray[np.float32] | None = None

    def update(self, composite512_bgr: NDArray[np.uint8], alpha512: Alpha) -> bool:
        """Look at the next frame.

        Args:
            composite512_bgr: uint8 (512, 512, 3), the composite before it is harmonized; any size works.
            alpha512: uint8 of the same height and width.

        Returns:
            Whether it is another scene than the last frame; False for the first.
        """
        size = (_CUT_SIZE, _CUT_SIZE)
        view = cv2.resize(composite512_bgr, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        cover = cv2.resize(alpha512, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        behind = np.subtract(1.0, cover / 255.0, dtype=np.float32)
        before, behind_before = self._view, self._behind
        self._view, self._behind = view, behind
        if before is None or behind_before is None:
            return False
        difference = np.abs(view - before).mean(axis=2)
        if difference.mean() > self.threshold:
            return True
        shared = np.minimum(behind, behind_before)  # background on both frames: no subject moved there
        weight = float(shared.sum())
        if weight < _ENOUGH * _CUT_SIZE * _CUT_SIZE:
            return False
        return float((difference * shared).sum()) / weight > self.threshold

    def reset(self) -> None:
        """Forget the last frame."""
        self._view = self._behind = None


def grid_mask(alpha: Alpha) -> NDArray[np.float32]:
    """The subject's share of each cell of the grid: uint8 (H, W), at least 64 x 64, to float32 (64, 64) 0..1."""
    small = cv2.resize(alpha, (GRID_SIZE, GRID_SIZE), interpolation=cv2.INTER_AREA)
    return np.multiply(small, np.float32(1.0 / 255.0), dtype=np.float32)


def largest_change(difference: Transform) -> NDArray[np.float32]:
    """By how much the colour that is affected most would change, for each cell.

    Args:
        difference: float32 (1, 12, 64, 64), one transform minus another.

    Returns:
        float32 (64, 64), code values 0..255: the maximum over all colours in [0, 1]³ and over the three channels of
        the result. (A linear form takes its extremes at the cube's corners: the sum of its positive, or of its
        negative, coefficients, with the constant added.)
    """
    maps = difference.reshape(3, 4, GRID_SIZE, GRID_SIZE)
    most = maps[:, 3] + np.maximum(maps[:, :3], 0.0).sum(axis=1)
    least = maps[:, 3] + np.minimum(maps[:, :3], 0.0).sum(axis=1)
    return np.maximum(most, -least).max(axis=0) * np.float32(255.0)


def _spread(mask64: NDArray[Any]) -> NDArray[np.float32]:
    """The share of each cell, 0..1, grown by a cell in every direction."""
    if mask64.dtype == np.uint8:
        mask64 = np.multiply(mask64, np.float32(1.0 / 255.0), dtype=np.float32)
    return cv2.dilate(np.asarray(mask64, np.float32).reshape(GRID_SIZE, GRID_SIZE), _NEIGHBOURS)
