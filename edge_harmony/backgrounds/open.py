"""Opening what stands behind the subject: one rule for every command."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from edge_harmony.backgrounds.still import StillBackground, is_colour
from edge_harmony.backgrounds.video import VideoBackground
from edge_harmony.capture.file import open_file
from edge_harmony.capture.kind import kind_of
from edge_harmony.capture.picture import read_colour
from edge_harmony.pixels.colour import parse_colour

Background = StillBackground | VideoBackground


def open_background(
    spec: str | Path,
    size_hw: tuple[int, int],
    mode: str = "cover",
    sample_aspect_ratio: Fraction = Fraction(1),
    ahead: int = 0,
    exact: bool = True,
    say: Callable[[str], None] | None = None,
) -> Background:
    """Open a background that does not depend on the frame before it.

    Args:
        spec: ``#rrggbb``, a picture, or a video, a folder or a pattern of pictures, which is looped by its own clock.
        size_hw: size of the frames to come.
        mode: how another shape fills the frame: ``cover``, ``contain`` or ``stretch``.
        sample_aspect_ratio: of the frames' pixels.
        ahead, exact, say: of a video, see ``VideoBackground``.

    Raises:
        SourceError: it cannot be read. ConfigError: not a colour.
    """
    if is_colour(str(spec)):
        return StillBackground(None, mode, colour_bgr=parse_colour(str(spec)))
    path = Path(spec).expanduser()
    if kind_of(path) == "picture":
        return StillBackground(read_colour(path), mode, sample_aspect_ratio)
    return VideoBackground(open_file(path), size_hw, mode, sample_aspect_ratio, ahead, exact, say)
