"""Where each place of a picture was in the picture before: what was known there is carried along."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.frame import Frame

STILL: Final = 3.0  # code values of change, averaged over a few pixels, up to which a place stands still
NEAR: Final = 5  # pixels over which change is averaged, and to which it spreads
_OTHER: Final = 30.0  # code values by which a place shows something else
_CUT: Final = 0.6  # share of a picture that shows something else, wherever it may have come from: another shot

Places = tuple[NDArray[np.float32], NDArray[np.float32]]  # columns and rows, each (h, w)


class Motion:
    """The movement between two views of a clip, by dense optical flow (DIS, Kroeger et al. 2016) on small pictures.

    Where a place stands still nothing is moved, to the bit: resampling alpha there again and again would blur it.

    Args:
        follow: False tells where something changed and follows nothing, not to another shot either: about 2 ms less.
    """

    def __init__(self, follow: bool = True) -> None:
        self._follow = follow
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._grid: Places | None = None
        self._view: Frame | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._from: Places | None = None
        self.change: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forget the earlier view."""
        self._view = self._grey = self._from = self.change = None

    def follow(self, view_bgr: Frame) -> None:
        """See the next view.

        Args:
            view_bgr: uint8 (h, w, 3); kept until the next call, so it must not be changed.

        Afterwards ``change`` is float32 (h, w), code values by which each place, and what is near, differs from where
        it came from; None for a first view, one of another size, and the first of another shot.
        """
        before, before_grey = self._view, self._grey
        grey: Any = cv2.cvtColor(view_bgr, cv2.COLOR_BGR2GRAY) if self._follow else None
        self._view, self._grey, self._from, self.change = view_bgr, grey, None, None
        if before is None or before.shape != view_bgr.shape:
            return
        self.change = _change(view_bgr, before)
        if grey is None or before_grey is None:  # nothing is followed
            return
        moving = cv2.dilate(self.change, np.ones((NEAR, NEAR), np.uint8)) > STILL
        if not moving.any():
            return
        flow = self._flow.calc(grey, before_grey, None)  # pyright: ignore[reportCallIssue, reportArgumentType]
        if self._grid is None or self._grid[0].shape != grey.shape:
            rows, columns = np.indices(grey.shape, np.float32)
            self._grid = columns, rows
        x, y = cv2.split(flow)
        columns, rows = self._grid
        self._from = columns + x * moving, rows + y * moving
        change = np.where(moving, np.minimum(_change(view_bgr, self.carry(before)), self.change), self.change)
        cut = np.count_nonzero(change > _OTHER) > _CUT * change.size
        self.change, self._from = (None, None) if cut else (change, self._from)

    def carry(self, earlier: Any) -> Any:
        """What belonged to the view before, where it has gone since.

        Args:
            earlier: uint8 or float32 (h, w) or (h, w, 3), of the view before.

        Returns:
            The like; the same array where nothing moved.
        """
        if self._from is None:
            return earlier
        return cv2.remap(earlier, *self._from, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _change(view: Frame, before: Frame) -> NDArray[np.float32]:
    blue, green, red = cv2.split(cv2.absdiff(view, before))
    change: Any = cv2.blur(cv2.max(cv2.max(blue, green), red).astype(np.float32), (NEAR, NEAR))
    return change
