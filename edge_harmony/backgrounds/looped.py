"""A background by its own clock: shown at the time it is due, and from the start again when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import SourceError


class LoopedBackground:
    """Gives the frame that a source shows at a time, and loops it.

    The source keeps its own speed, whatever the rate of the video it stands behind: frames are repeated or passed
    over as its timestamps say. Times must not go back. A source of one frame is read once.
    """

    def __init__(self, source: Source) -> None:
        """Take a source; nothing is read before the first ``at``."""
        self._source = source
        self._frames: Iterator[TimedFrame] | None = None
        self._shown: TimedFrame | None = None
        self._next: TimedFrame | None = None
        self._origin = Fraction(0)  # when, by the asker's clock, this round's first frame is shown
        self._first_s = Fraction(0)
        self._end_s = Fraction(0)
        self._frames_in_round = 0

    def at(self, time_s: Fraction) -> NDArray[np.uint8]:
        """The picture at a time since the start, uint8 (h, w, 3); the same array as long as it stays the same.

        Raises:
            SourceError: the source cannot be read.
        """
        if self._shown is None:
            self._start_round(Fraction(0))
        while True:
            assert self._shown is not None
            if self._next is None and self._frames is not None:
                if self._due(self._shown) + self._length(self._shown) > time_s:
                    break
                self._next = next(self._frames, None)
                if self._next is None:
                    self._frames = None  # read to its end
            if self._next is not None:
                if self._due(self._next) > time_s:
                    break
                self._advance()
            elif self._frames_in_round == 1 or self._origin + self._end_s - self._first_s > time_s:
                break
            else:
                self._start_round(self._origin + self._end_s - self._first_s)
        return self._shown.image_bgr

    @property
    def faults(self) -> list[str]:
        """What was damaged in the source, a sentence each."""
        return self._source.faults

    def close(self) -> None:
        """Stop reading; may be called twice."""
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()
        self._frames = None

    def _due(self, frame: TimedFrame) -> Fraction:
        return self._origin + frame.time_s - self._first_s

    def _start_round(self, origin: Fraction) -> None:
        self.close()
        self._frames = iter(self._source)
        self._origin = origin
        first = next(self._frames, None)
        if first is None:
            raise SourceError(f"{self._source.name} holds no frame", "name another background")
        self._first_s = first.time_s
        self._frames_in_round = 0
        self._next = first
        self._advance()

    def _advance(self) -> None:
        """Show the next frame. The one after it is read once this one's time is over, or at once where it says none."""
        assert self._next is not None
        self._shown, self._next = self._next, None
        self._frames_in_round += 1
        self._end_s = self._shown.time_s + (self._length(self._shown) or 1 / self._source.rate)

    @staticmethod
    def _length(frame: TimedFrame) -> Fraction:
        """How long a frame is shown, in seconds; 0 where the file does not say."""
        return frame.duration * frame.time_base
