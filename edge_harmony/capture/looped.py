"""A source from its start again whenever it ends: the one loop, for what is in front and for what is behind."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction

from edge_harmony.capture.source import Source, TimedFrame, WrappedSource
from edge_harmony.errors import SourceError


class Looped(WrappedSource):
    """Gives a source's frames again and again; numbers and times go on, from 0.

    Args:
        source: closed with this one.
        repeat_stills: whether a source of one frame is looped too; else it is read once.
    """

    def __init__(self, source: Source, repeat_stills: bool = True) -> None:
        super().__init__(source)
        self.frame_count = None
        self._repeat_stills = repeat_stills
        self._faults: list[str] = []  # of the rounds that are over

    def __iter__(self) -> Generator[TimedFrame, None, None]:
        index, start = 0, 0
        while True:
            first, end, begun = None, start, index
            with self.source.reading() as frames:
                for frame in frames:
                    first = frame.pts if first is None else first
                    pts = start + frame.pts - first
                    end = pts + (frame.duration or max(1, round(1 / (self.rate * Fraction(frame.time_base)))))
                    yield replace(frame, pts=pts, index=index)
                    index += 1
            if index == begun:
                raise SourceError(f"{self.name} holds no frame", "name another source")
            self._faults = self.faults
            if index == 1 and not self._repeat_stills:
                return
            start = end

    @property
    def faults(self) -> list[str]:
        """What was damaged in any round."""
        return list(dict.fromkeys([*self._faults, *self.source.faults]))
