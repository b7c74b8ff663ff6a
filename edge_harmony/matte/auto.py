"""Choosing a matte by looking at the picture: a screen is keyed, anything else goes to the person matte."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from edge_harmony.matte.base import Matte
from edge_harmony.matte.refine import Refinement
from edge_harmony.pixels.frame import Alpha, Frame

_log = logging.getLogger(__name__)

_SIDE_SHARE = 0.55  # of each of the top, left and right borders that a screen covers at least
_ALL_SHARE = 0.78  # of the three together
_GREEN_CHROMA, _BLUE_CHROMA = 44.0, 64.0  # distance from grey, in code values: skies reach 60
_SPREAD = 16.0  # code values of chroma about its median that still are the same screen


class Choice(NamedTuple):
    """What ``auto`` takes, as ``open_matte`` understands it, and why."""

    spec: str
    reason: str


def choose_matte(frame_bgr: Frame) -> Choice:
    """Choose by the first frame: ``chroma`` when its border is plainly a green or blue screen, else ``person``.

    Args:
        frame_bgr: uint8 (H, W, 3).
    """
    colour = screen_on_border(frame_bgr)
    if colour is not None:
        hue = "green" if colour[1] > colour[0] else "blue"
        return Choice("chroma", f"the picture's border is a {hue} screen")
    return Choice("person", "no screen is seen on the picture's border")


def screen_on_border(frame_bgr: Frame) -> tuple[int, int, int] | None:
    """The colour (blue, green, red) of the screen that lines the top and both sides, or None.

    Stricter than ``estimate_screen``: a lawn or a sky must not be keyed out unasked.
    """
    height, width = frame_bgr.shape[:2]
    rim = max(2, min(height, width) // 25)
    sides = (frame_bgr[:rim], frame_bgr[: height * 3 // 4, :rim], frame_bgr[: height * 3 // 4, -rim:])
    small = [cv2.resize(side, (64, 4) if side.shape[1] > side.shape[0] else (4, 48), interpolation=cv2.INTER_AREA)
             .reshape(-1, 1, 3) for side in sides]  # fmt: skip
    chroma = [cv2.cvtColor(side, cv2.COLOR_BGR2YCrCb)[:, 0, 1:].astype(np.float32) - 128.0 for side in small]
    middle = np.median(np.concatenate(chroma), axis=0)
    red, blue = float(middle[0]), float(middle[1])
    green_screen = red < -12.0 and blue < 6.0 and float(np.hypot(red, blue)) > _GREEN_CHROMA
    blue_screen = blue > 40.0 and red < 0.0 and float(np.hypot(red, blue)) > _BLUE_CHROMA
    if not (green_screen or blue_screen):
        return None
    shares = [float((np.abs(side - middle).max(axis=1) < _SPREAD).mean()) for side in chroma]
    if min(shares) < _SIDE_SHARE or sum(shares) / 3 < _ALL_SHARE:
        return None
    colour = np.median(np.concatenate(small)[:, 0], axis=0)
    return int(colour[0]), int(colour[1]), int(colour[2])


class AutoMatte(Matte):
    """Chooses at the first frame (see ``choose_matte``), says so in the log, and is that matte from then on.

    Args:
        open_chosen: opens what was chosen.
        refinement: see ``Matte``.

    Attributes:
        chosen: the choice and its reason, None before the first frame.
    """

    name = "auto"

    def __init__(self, open_chosen: Callable[[str], Matte], refinement: Refinement | None = None) -> None:
        super().__init__(refinement)
        self._open_chosen = open_chosen
        self._matte: Matte | None = None
        self.chosen: Choice | None = None

    def reset(self) -> None:
        """Forget earlier frames and the choice: the next frame may be of another source."""
        self.close()

    def close(self) -> None:
        """Close what was chosen."""
        if self._matte is not None:
            self._matte.close()
        self._matte, self.chosen = None, None

    def _alpha_impl(self, frame_bgr: Frame) -> Alpha:
        if self._matte is None:
            self.chosen = announce(choose_matte(frame_bgr))
            self._matte = self._open_chosen(self.chosen.spec)
        return self._matte._alpha_impl(frame_bgr)

    def _foreground_impl(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        return frame_bgr if self._matte is None else self._matte.foreground(frame_bgr, alpha)


def announce(choice: Choice) -> Choice:
    """Say in the log what was chosen and why."""
    _log.info("matte auto: %s, because %s", choice.spec, choice.reason)
    return choice
