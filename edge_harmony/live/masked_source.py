"""A video with its masks as one source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge_harmony.capture.source import Source, TimedFrame, WrappedSource
from edge_harmony.matte.track import MaskTrack
from edge_harmony.run.read_ahead import ReadAhead


class MaskedSource(WrappedSource):
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
