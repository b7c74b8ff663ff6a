"""A picture or a colour as a background."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from edge_harmony.backgrounds.fit import fit, solid
from edge_harmony.capture.picture import read_colour
from edge_harmony.pixels.colour import parse_colour
from edge_harmony.pixels.frame import Frame


class StillBackground:
    """A picture or a colour, fitted once for each size of frame.

    Args:
        picture_bgr: uint8 (h, w, 3); None for a colour.
        mode: how it is fitted (see ``fit``).
        sample_aspect_ratio: of the pixels of what stands in front.
        colour_bgr: where there is no picture.
    """

    def __init__(
        self,
        picture_bgr: Frame | None,
        mode: str = "cover",
        sample_aspect_ratio: Fraction = Fraction(1),
        colour_bgr: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self._picture, self._mode, self._colour = picture_bgr, mode, colour_bgr
        self._shape = float(1 / sample_aspect_ratio)
        self._fitted: Frame | None = None

    def at(self, _time_s: Fraction | float, size_hw: tuple[int, int]) -> Frame:
        """The picture at the frame's size: uint8 (h, w, 3), read-only, the same array each time."""
        fitted = self._fitted
        if fitted is None or fitted.shape[:2] != size_hw:
            if self._picture is None:
                whole = solid(self._colour, size_hw)
            else:
                whole = fit(self._picture, size_hw, self._mode, self._shape)
            fitted = whole[:]  # the picture itself, where it fits, stays as its owner has it
            fitted.setflags(write=False)
            self._fitted = fitted
        return fitted

    @property
    def faults(self) -> list[str]:
        """None: what is damaged is refused."""
        return []

    def close(self) -> None:
        """Nothing to close."""


def read_background(spec: str | Path, size_hw: tuple[int, int]) -> Frame:
    """A still background: a picture of its own size, or a colour (``#rrggbb``) of the frame's."""
    if is_colour(str(spec)):
        return solid(parse_colour(str(spec)), size_hw)
    return read_colour(spec)


def is_colour(spec: str) -> bool:
    """Whether a background's name is meant for a colour: it begins with ``#``, and no file is called so."""
    return spec.startswith("#") and not Path(spec).exists()
