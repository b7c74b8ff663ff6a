"""The chroma key: whatever is not of the screen's colour is the subject."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import ConfigError, MatteError
from edge_harmony.matte.base import Matte
from edge_harmony.matte.components import without_speckles
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.refine import Refinement
from edge_harmony.pixels.colour import parse_colour
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.passes import despill_rows, key_rows
from edge_harmony.pixels.row_threads import available_threads, share_rows

_LEAST_CHROMA: Final = 18.0  # code values from grey: a screen paler than this is none
_FIELD_FACTOR: Final = 16  # the screen's unevenness is followed at a sixteenth of the size


class ChromaKey(Matte):
    """Keys a subject before a green, blue or other evenly coloured screen.

    In the plane of the two colour differences (Cb, Cr), the screen's colour gives an axis. A pixel's *key* is its
    chroma along that axis less what its chroma across it would explain (``|across| / tan(acceptance / 2)``, the
    keyer of K. Jack, "Video Demystified"). A mixture of the screen with a neutral colour has exactly the key's
    share of screen in it, so ``1 - key / screen's key`` is alpha; the screen's key is followed over the picture,
    so that a screen lit unevenly stays clean.

    Args:
        colour: the screen's colour as ``#rrggbb``, a name (``green``, ``blue``), or blue, green, red; ``auto``
            takes it from the border of the first frame.
        tolerance: share of subject (0..1) below which a pixel is all screen: raise it against a noisy screen.
        softness: width (0..1] of the ramp above ``tolerance``: 1 - tolerance keeps every semi-transparency, less
            makes the subject more solid.
        acceptance: angle in degrees round the key axis whose colours count as screen.
        despill: 0..1, how much of the screen's light is taken off the subject.
        speckle: area, as a share of the frame, below which an island of subject or a hole in it is removed.
        refinement: see ``Matte``.

    Raises:
        ConfigError: an option out of range, or a colour too grey to key.
    """

    name = "chroma key"

    def __init__(
        self,
        colour: str | tuple[int, int, int] = "auto",
        tolerance: float = 0.1,
        softness: float = 0.75,
        acceptance: float = 110.0,
        despill: float = 1.0,
        speckle: float = 5e-5,
        refinement: Refinement | None = None,
    ) -> None:
        super().__init__(refinement)
        for option, value, low, high in (
            ("tolerance", tolerance, 0.0, 0.95),
            ("softness", softness, 0.01, 1.0),
            ("acceptance", acceptance, 20.0, 170.0),
            ("despill", despill, 0.0, 1.0),
            ("speckle", speckle, 0.0, 0.1),
        ):
            if not low <= value <= high:
                raise ConfigError(f"chroma key: {option} {value} is out of range", f"use {low} to {high}")
        self._given = None
        if not isinstance(colour, str):
            self._given = (int(colour[0]), int(colour[1]), int(colour[2]))
        elif colour != "auto":
            self._given = parse_colour(colour)
        if self._given is not None and _chroma(self._given)[2] < _LEAST_CHROMA:
            raise ConfigError(f"the key colour {colour} is too grey to key", "use the screen's own green or blue")
        self.tolerance = tolerance
        self.softness = softness
        self.despill = despill
        self.speckle = speckle
        self._slope = 1.0 / math.tan(math.radians(acceptance / 2.0))
        self._colour = self._given
        self._last: tuple[Frame, NDArray[np.float32]] | None = None

    @property
    def colour_bgr(self) -> tuple[int, int, int] | None:
        """The screen's colour, blue, green, red; None before ``auto`` has seen a frame."""
        return self._colour

    def reset(self) -> None:
        """Forget the colour taken from the border; one that was given stays."""
        self._colour = self._given
        self._last = None

    def _alpha_impl(self, frame_bgr: Frame) -> Alpha:
        if self._colour is None:
            self._colour = estimate_screen(frame_bgr)
        screen = self._screen_key(frame_bgr)
        self._last = (frame_bgr, screen)
        frame, alpha = np.ascontiguousarray(frame_bgr), np.empty(frame_bgr.shape[:2], np.uint8)
        along, across = _weights(self._colour, self._slope)
        gain = 255.0 / min(self.softness, 1.0 - self.tolerance)

        def work(first: int, last: int) -> None:
            key_rows(first, last, frame, along, across, screen, self.tolerance, gain, alpha)

        share_rows(work, len(alpha), available_threads())
        return without_speckles(alpha, round(self.speckle * alpha.size)) if self.speckle else alpha

    def _foreground_impl(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        """Take the screen's share out of soft pixels, then its reflected light off all of them."""
        if self._colour is None:
            return frame_bgr
        screen = self._last[1] if self._last is not None and self._last[0] is frame_bgr else None
        result = estimate_foreground(frame_bgr, alpha, None if screen is None else self._screen(screen))
        if self.despill == 0.0:
            return result
        if result is frame_bgr or not result.flags.c_contiguous:
            result = frame_bgr.copy()
        cover = np.ascontiguousarray(alpha)
        # Reflected light is added light: what is taken off is the screen's own colour, as much as its chroma tells.
        # It is judged by a wider angle than the screen itself.
        along, across = _weights(self._colour, 0.3 * self._slope)
        light = np.array(self._colour, np.float32) * np.float32(self.despill / _chroma(self._colour)[2])

        def work(first: int, last: int) -> None:
            despill_rows(first, last, result, cover, along, across, light)

        share_rows(work, len(cover), available_threads())
        return result

    def _screen(self, screen_key: NDArray[np.float32]) -> Frame:
        """The bare screen as a small picture: its colour, as bright as its key is at each place."""
        assert self._colour is not None
        shade = screen_key * np.float32(1.0 / _chroma(self._colour)[2])
        return cv2.merge([cv2.convertScaleAbs(shade, alpha=float(c)) for c in self._colour])

    def _screen_key(self, frame_bgr: Frame) -> NDArray[np.float32]:
        """The key that bare screen has at each place: float32 (H / 16, W / 16), smooth, above 0."""
        assert self._colour is not None
        height, width = frame_bgr.shape[:2]
        size = (max(2, width // _FIELD_FACTOR), max(2, height // _FIELD_FACTOR))
        # Every fourth pixel, not means of pixels: noise must pull the key as it does at full size.
        stride = max(1, min(_FIELD_FACTOR // 4, height // 128, width // 128))
        few = frame_bgr[stride // 2 :: stride, stride // 2 :: stride].astype(np.float32)
        along, across = (few @ weights for weights in _weights(self._colour, self._slope))
        small = cv2.resize(np.maximum(along - np.abs(across), 0.0), size, interpolation=cv2.INTER_AREA)
        typical = _chroma(self._colour)[2]
        bare = small > 0.6 * typical
        if bare.sum() > 8:
            typical = float(np.median(small[bare]))
        # Only blocks all of screen count: those near the typical key, then those near what lies around them. Where
        # there are none, the picture's typical screen does.
        field = np.full_like(small, typical)
        window = (2 * (max(size) // 16) + 3,) * 2
        for least, most in ((0.6, 1.6), (0.93, 1.1), (0.95, 1.1)):
            bare = ((small > least * field) & (small < most * field)).astype(np.float32)
            bare = cv2.erode(bare, np.ones((3, 3), np.uint8))
            field = cv2.blur(small * bare + np.float32(1e-3) * typical, window) / cv2.blur(bare + 1e-3, window)
        return cv2.blur(field, (5, 5))


def estimate_screen(frame_bgr: Frame) -> tuple[int, int, int]:
    """Find the screen's colour on the top and side borders of a frame.

    Returns:
        Blue, green, red of the most common saturated colour there.

    Raises:
        MatteError: no saturated colour covers a quarter of the border.
    """
    height, width = frame_bgr.shape[:2]
    rim = max(4, min(height, width) // 25)
    sides = (
        frame_bgr[:rim],
        frame_bgr[rim : height * 3 // 4, :rim],
        frame_bgr[rim : height * 3 // 4, -rim:],
    )
    border = np.concatenate([side.reshape(-1, 1, 3) for side in sides])
    border = border[:: max(1, len(border) // 40_000)]
    chroma = cv2.cvtColor(border, cv2.COLOR_BGR2YCrCb)[:, 0, 1:].astype(np.float32) - 128.0
    saturated = np.hypot(chroma[:, 0], chroma[:, 1]) > _LEAST_CHROMA
    histogram, _, _ = np.histogram2d(
        chroma[saturated, 0], chroma[saturated, 1], bins=32, range=[[-128, 128], [-128, 128]]
    )
    best = np.unravel_index(int(np.argmax(cv2.blur(histogram, (3, 3)))), histogram.shape)
    middle = np.array(best, np.float32) * 8.0 - 124.0
    near = saturated & (np.abs(chroma - middle).max(axis=1) < 14.0)
    if near.sum() < 0.25 * len(border):
        raise MatteError(
            "no screen colour was found on the frame's border",
            "give the screen's colour, for example chroma:#00b140, or use a clean plate",
        )
    blue, green, red = np.median(border[near, 0], axis=0)
    return int(blue), int(green), int(red)


def _chroma(colour_bgr: tuple[int, int, int]) -> tuple[float, float, float]:
    """Direction of a colour in (Cb, Cr) as a unit vector, and its distance from grey in code values."""
    blue, green, red = colour_bgr
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - grey) * 0.564, (red - grey) * 0.713
    size = math.hypot(u, v)
    return (u / size, v / size, size) if size > 1e-6 else (0.0, 0.0, 0.0)


def _weights(colour_bgr: tuple[int, int, int], slope: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights of blue, green, red that give a pixel's chroma along a colour's, and ``slope`` times that across it."""
    u, v, _ = _chroma(colour_bgr)
    luma = np.array([0.114, 0.587, 0.299])
    blue = 0.564 * (np.array([1.0, 0.0, 0.0]) - luma)
    red = 0.713 * (np.array([0.0, 0.0, 1.0]) - luma)
    return (u * blue + v * red).astype(np.float32), (slope * (u * red - v * blue)).astype(np.float32)
