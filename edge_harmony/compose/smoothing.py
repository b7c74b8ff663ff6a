"""Steadiness over time: the transform is smoothed, never the picture, and held where nothing visible changes."""

from __future__ import annotations

import math
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import GRID_SIZE, TRANSFORM_SHAPE
from edge_harmony.errors import ConfigError
from edge_harmony.harmonize.transfer import Transform

FRAME_S: Final = 1.0 / 30.0  # seconds: the frame that ``smoothing`` is counted in
_NEIGHBOURS: Final = np.ones((3, 3), np.uint8)  # a pixel is coloured by the cells around it, interpolated
# Two averages in a row, each 1.58 times as quick as one alone, are through 95 % of a step when the one is. A tenth more
# makes up for the dead-band, which holds back the last of it.
_QUICKER: Final = 1.75
_LONGEST_S: Final = 10.0
_LEAST_COVER: Final = 1e-3
_LEAST_MOVE: Final = np.float32(1.05)


class TransformSmoother:
    """Follows the network's transform slowly, and not at all while the change could not be seen.

    For each cell of the grid:

    - *smoothing*: two running averages in a row. They settle as soon as the one average
      ``map = previous + (1 - smoothing) * (new - previous)`` of each thirtieth of a second would, and let through
      less than half of what changes from one frame to the next. At the default of 0.8 a step is through 95 % after
      0.4 seconds, at any frame rate.
    - *dead-band*: the map moves only by as much as the averaged one is further away than ``dead_band`` code values
      (of the most affected of all colours, weighted by how much of the subject is in the cell); otherwise it stays
      as it is to the bit. A static scene therefore has a bit-static transform.
    - where the subject was not on the last frame, the previous map is the network's guess for something invisible:
      its average is replaced in proportion to how much of the subject is new there.

    A cut, or ``reset``, takes the next transform as it is. With smoothing 0 every transform is taken as it is.

    Args:
        smoothing: share of the previous transform that is kept each thirtieth of a second: 0 follows every frame,
            0.8 settles in 0.4 seconds, 0.9 in 0.85; at least 0 and below 1.
        dead_band: code values (0..255) that the most affected colour may be off for good; 0 turns the dead-band off.
            An ordinary colour is off by about a fifth of it.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, smoothing: float = 0.8, dead_band: float = 2.0) -> None:
        if not 0.0 <= dead_band < 256.0:
            raise ConfigError(f"dead_band is {dead_band}", "use code values from 0 (off) up to a few; 2 is usual")
        self._smoothing = _checked(smoothing)
        self.dead_band = dead_band
        self._averages: tuple[Transform, Transform] | None = None
        self._applied: Transform | None = None
        self._covered: NDArray[np.float32] | None = None  # the subject's share of the last frame's cells, 0..1

    @property
    def smoothing(self) -> float:
        """See the class; may be set between frames. Raises ConfigError outside 0 <= smoothing < 1."""
        return self._smoothing

    @smoothing.setter
    def smoothing(self, value: float) -> None:
        self._smoothing = _checked(value)

    def update(
        self, transform: Transform, cell_mask: NDArray[Any], cut: bool = False, elapsed_s: float = FRAME_S
    ) -> Transform:
        """Take the network's transform of the next frame and return the one to apply.

        Args:
            transform: float32 ``contract.TRANSFORM_SHAPE``. It is not changed, and may be overwritten later.
            cell_mask: (GRID_SIZE, GRID_SIZE), the subject's share of each cell (``contract.grid_mask``): float
                0..1 or uint8 0..255.
            cut: the scene is another one than on the last frame.
            elapsed_s: seconds since the last frame.

        Returns:
            float32 ``contract.TRANSFORM_SHAPE``. While nothing moves it is the very array that was returned before;
            it must not be written to (it is marked read-only).
        """
        covered = _spread(cell_mask)
        averages, applied, before = self._averages, self._applied, self._covered
        self._covered = covered
        if cut or self._smoothing == 0.0 or averages is None or applied is None or before is None:
            taken = np.array(transform, np.float32).reshape(TRANSFORM_SHAPE)
            self._averages = taken, taken
            return self._keep(taken)
        entered = np.maximum(covered - before, 0.0) / np.maximum(covered, _LEAST_COVER)
        first, second = (average + entered * (transform - average) for average in averages)
        step = np.float32(_share_of_step(self._smoothing, elapsed_s))
        first += step * (transform - first)
        second += step * (first - second)
        self._averages = first, second
        if self.dead_band == 0.0:
            return self._keep(second.copy())
        away = second - applied
        visible = largest_change(away) * covered
        band = np.float32(self.dead_band)
        # The last bits of the way are not worth a change in every frame: a move is a twentieth of the band at least.
        moves = np.where(visible > _LEAST_MOVE * band, 1.0 - band / np.maximum(visible, band), np.float32(0.0))
        return self._keep(applied + moves * away) if moves.any() else applied

    def reset(self) -> None:
        """Forget the past: the next transform is taken as it is."""
        self._averages = self._applied = self._covered = None

    def _keep(self, transform: Transform) -> Transform:
        transform.setflags(write=False)
        self._applied = transform
        return transform


def largest_change(difference: Transform) -> NDArray[np.float32]:
    """By how much the colour that is affected most would change, for each cell.

    Args:
        difference: float32 ``contract.TRANSFORM_SHAPE``, one transform minus another.

    Returns:
        float32 (GRID_SIZE, GRID_SIZE), code values 0..255: the maximum over all colours in [0, 1]³ and over the three
        channels of the result. (A linear form takes its extremes at the cube's corners: the sum of its positive, or
        of its negative, coefficients, with the constant added.)
    """
    maps = difference.reshape(3, 4, GRID_SIZE, GRID_SIZE)
    most = maps[:, 3] + np.maximum(maps[:, :3], 0.0).sum(axis=1)
    least = maps[:, 3] + np.minimum(maps[:, :3], 0.0).sum(axis=1)
    return np.maximum(most, -least).max(axis=0) * np.float32(255.0)


def _checked(smoothing: float) -> float:
    if not 0.0 <= smoothing < 1.0:
        raise ConfigError(f"smoothing is {smoothing}", "use 0 (none) or more, but less than 1; 0.8 is usual")
    return smoothing


def _share_of_step(smoothing: float, elapsed_s: float) -> float:
    """How much of its way each of the two averages goes in a frame."""
    frames = min(max(elapsed_s, 0.0), _LONGEST_S) / FRAME_S
    return 1.0 - math.exp(_QUICKER * math.log(smoothing) * frames)


def _spread(cell_mask: NDArray[Any]) -> NDArray[np.float32]:
    """The share of each cell, 0..1, grown by a cell in every direction."""
    if cell_mask.dtype == np.uint8:
        cell_mask = np.multiply(cell_mask, np.float32(1.0 / 255.0), dtype=np.float32)
    return cv2.dilate(np.asarray(cell_mask, np.float32).reshape(GRID_SIZE, GRID_SIZE), _NEIGHBOURS)
