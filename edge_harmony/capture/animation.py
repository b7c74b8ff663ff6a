"""Animated WebP and PNG as sources, as GIF is: Pillow composes their frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_harmony.capture.decode_picture import bgr_of, open_by_pillow
from edge_harmony.capture.kind import picture_format
from edge_harmony.capture.source import Source, TimedFrame, require_file
from edge_harmony.errors import SourceError

_USUAL_MS: Final = 100  # of a frame that says 0, as browsers have it


class Animation(Source):
    """The frames of an animated picture, each for its own time; they loop where whoever shows them loops.

    Frames carry an ``alpha`` where one of them is transparent anywhere.
    """

    timed = True

    def __init__(self, path: str | Path) -> None:
        """Read the file and look at every frame; raises ``SourceError`` when it is damaged."""
        self.path = require_file(Path(path))
        self.name = str(path)
        self._data = self.path.read_bytes()
        self.time_base = Fraction(1, 1000)
        self._starts: list[int] = []
        at, clear = 0, False
        for image, length in self._decoded():
            self._starts.append(at)
            at += length
            clear = clear or (image.shape[2] == 4 and int(image[:, :, 3].min()) < 255)
            self.size_hw = (image.shape[0], image.shape[1])
        self.has_alpha = self.straight = clear
        self.frame_count = len(self._starts)
        self.rate = Fraction(1000 * self.frame_count, max(1, at))

    def __iter__(self) -> Iterator[TimedFrame]:
        for index, (image, length) in enumerate(self._decoded()):
            alpha = None
            if self.has_alpha:
                opaque = np.full(self.size_hw, 255, np.uint8)
                alpha = np.ascontiguousarray(image[:, :, 3]) if image.shape[2] == 4 else opaque
            colours = np.ascontiguousarray(image[:, :, :3])
            yield TimedFrame(
                colours, self._starts[index], self.time_base, index, alpha, length, captured_s=time.monotonic()
            )

    def samples(self, count: int) -> Iterator[TimedFrame]:
        """Every frame: they are few."""
        return iter(self)

    def times(self) -> list[Fraction]:
        """The presentation time of every frame, in seconds."""
        return [start * self.time_base for start in self._starts]

    def _decoded(self) -> Iterator[tuple[Any, int]]:
        try:
            with open_by_pillow(self._data, picture_format(self._data)) as image:
                for number in range(getattr(image, "n_frames", 1)):
                    image.seek(number)
                    image.load()
                    yield bgr_of(image), round(image.info.get("duration") or _USUAL_MS)
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            raise SourceError(f"{self.name} is damaged: {error}", "copy or download it again") from error
