"""Sources made of other sources: a video with its mask, and a file that starts again when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from edge_harmony.capture.source import Source, TimedFrame, WrappedSource
from edge_harmony.errors import SourceError
from edge_harmony.matte.track import MaskTrack
from edge_harmony.run.read_ahead import ReadAhead


class Paired(WrappedSource):
    """A video (or pictures) and its masks, frame by frame: whoever leaves frames out leaves their masks out too.

    The frames are decoded in a thread of their own, at the same time as the masks.

    Args:
        source: the frames; closed with this source.
        masks: path of the mask video, pictures or picture; see ``MaskTrack``.

    Attributes:
        straight: whether the masks are an alpha channel, whose colours are straight.

    Raises:
        SourceError, MatteError: the masks cannot be opened, or do not belong to the source.
    """

    def __init__(self, source: Source, masks: str | Path) -> None:
        super().__init__(source)
        self._track = MaskTrack(masks, source)
        self.has_alpha = True
        self.straight = self._track.straight

    def __iter__(self) -> Iterator[TimedFrame]:
        frames = ReadAhead(self.source, 2, "edge-harmony masked source")
        self._track.rewind()
        try:
            while (frame := frames.read()) is not None:
                yield replace(frame, alpha=self._track.at(frame))
        finally:
            frames.close()
            self._track.rewind()

    @property
    def faults(self) -> list[str]:
        """Those of the source and those of its masks."""
        return [*self.source.faults, *self._track.masks.faults]

    def close(self) -> None:
        """Close the source and its masks."""
        super().close()
        self._track.close()


class Looped(WrappedSource):
    """A file from the start again whenever it ends, with times that go on.

    Args:
        source: closed with this one.
        on_round: called before each further round.
    """

    def __init__(self, source: Source, on_round: Callable[[], None] | None = None) -> None:
        super().__init__(source)
        self.frame_count = None
        self._on_round = on_round

    def __iter__(self) -> Iterator[TimedFrame]:
        index, start, end = 0, 0, 0
        while True:
            first: int | None = None
            frames: Any = iter(self.source)
            with contextlib.closing(frames) if hasattr(frames, "close") else contextlib.nullcontext():
                for frame in frames:
                    first = frame.pts if first is None else first
                    length = frame.duration or max(1, round(1 / (self.rate * Fraction(frame.time_base))))
                    pts = start + frame.pts - first
                    end = pts + length
                    yield replace(frame, pts=pts, index=index)
                    index += 1
            if first is None:
                raise SourceError(f"{self.name} holds no frame", "name another source")
            start = end
            if self._on_round is not None:
                self._on_round()
