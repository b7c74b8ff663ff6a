"""What is behind the subject of a clip or picture that is made as fast as it goes, whatever its length."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from edge_harmony.backgrounds.fit import fit, solid
from edge_harmony.backgrounds.looped import LoopedBackground
from edge_harmony.capture.file import open_file
from edge_harmony.capture.kind import kind_of
from edge_harmony.capture.picture import read_colour
from edge_harmony.pixels.colour import parse_colour
from edge_harmony.pixels.frame import Frame


class ClipBackground:
    """What is behind the subject at any time: a colour, a picture, or a video looped by its own clock."""

    def __init__(
        self, spec: str, size_hw: tuple[int, int], mode: str, sample_aspect_ratio: Fraction = Fraction(1)
    ) -> None:
        """Open it.

        Args:
            spec: ``#rrggbb``, a picture, a video, a folder or a pattern of pictures.
            size_hw: size of the frames to come.
            mode: ``cover``, ``contain`` or ``stretch``.
            sample_aspect_ratio: of the frames' pixels.

        Raises:
            SourceError: it cannot be read. ConfigError: not a colour.
        """
        self._size_hw, self._mode = size_hw, mode
        self._video: LoopedBackground | None = None
        self._still: Frame | None = None
        self._shape = 1.0
        self._shown: Frame | None = None  # of the video, and as it is fitted
        self._fitted: Frame | None = None
        if is_colour(spec) or kind_of(spec) == "picture":
            shape = 1.0 if is_colour(spec) else float(1 / sample_aspect_ratio)
            self._still = fit(read_background(spec, size_hw), size_hw, mode, shape)
            self._still.setflags(write=False)
        else:
            source = open_file(spec)
            self._shape = float(source.sample_aspect_ratio / sample_aspect_ratio)
            self._video = LoopedBackground(source)

    def at(self, time_s: Fraction) -> Frame:
        """The background at a time since the start: uint8 (h, w, 3), fitted; the same array while it stays."""
        if self._video is None:
            assert self._still is not None
            return self._still
        shown = self._video.at(time_s)
        if shown is not self._shown or self._fitted is None:
            self._shown, self._fitted = shown, fit(shown, self._size_hw, self._mode, self._shape)
        return self._fitted

    @property
    def faults(self) -> list[str]:
        """What was damaged in a video, a sentence each."""
        return [] if self._video is None else self._video.faults

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._video is not None:
            self._video.close()


def read_background(spec: str | Path, size_hw: tuple[int, int]) -> Frame:
    """A still background: a picture of its own size, or a colour (``#rrggbb``) of the frame's."""
    if is_colour(str(spec)):
        return solid(parse_colour(str(spec)), size_hw)
    return read_colour(spec)


def is_colour(spec: str) -> bool:
    """Whether a background's name is meant for a colour: it begins with ``#``, and no file is called so."""
    return spec.startswith("#") and not Path(spec).exists()
