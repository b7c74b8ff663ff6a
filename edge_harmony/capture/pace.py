"""A file at its own speed, as if it were a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from edge_harmony.capture.source import Source, TimedFrame, WrappedSource


class Paced(WrappedSource):
    """Gives every frame of a source when it is due by the source's own clock, never earlier.

    The clock starts with the first frame. A frame that took too long to decode comes late, and the next ones as fast
    as they can until the clock is caught up with; whether one is left out is the reader's business (``LiveReader``).
    """

    live = True

    def __init__(self, source: Source, speed: float = 1.0) -> None:
        """Take a source, which is closed with this one.

        Args:
            source: a file or a pattern.
            speed: seconds of the source shown in one second.
        """
        super().__init__(source)
        self._speed = speed
        self._interrupted = threading.Event()

    def __iter__(self) -> Iterator[TimedFrame]:
        start_s, first_s = None, None
        for frame in self.source:
            if start_s is None or first_s is None:
                start_s, first_s = time.monotonic(), frame.time_s
            due_s = start_s + float(frame.time_s - first_s) / self._speed
            if self._interrupted.wait(max(0.0, due_s - time.monotonic())):
                return
            yield replace(frame, captured_s=time.monotonic())

    def describe(self) -> str:
        """What the source says of itself."""
        return f"{self.source.describe()}, at its own speed"

    @property
    def faults(self) -> list[str]:
        """As of the source."""
        return self.source.faults

    def interrupt(self) -> None:
        """End the iteration, also while it waits."""
        self._interrupted.set()
        self.source.interrupt()
