"""Interlaced frames made whole: FFmpeg's ``bwdif``, one frame for each that was filmed as two fields."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from edge_harmony.capture.container import import_av

INTERLACED: Final = "interlaced: deinterlaced with bwdif"  # said once


class Progressive:
    """The frames of one stream, deinterlaced from the first interlaced one on.

    Args:
        stream: PyAV's, for its time base.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._deinterlacer: Deinterlacer | None = None

    @property
    def interlaced(self) -> bool:
        """Whether any frame was, so far."""
        return self._deinterlacer is not None

    def __call__(self, frames: list[Any], last: bool = False) -> list[Any]:
        """Take decoded frames, whose list is emptied, and give those that are ready; ``last``: nothing follows."""
        if self._deinterlacer is None and not any(frame.interlaced_frame for frame in frames):
            return frames
        if self._deinterlacer is None:
            self._deinterlacer = Deinterlacer(self._stream)
        made: list[Any] = []
        while frames:
            made += self._deinterlacer.push(frames.pop(0))
        return made + (self._deinterlacer.finish() if last else [])


class Deinterlacer:
    """Deinterlaces the frames of one stream that are interlaced and passes the others on; one frame late.

    Times, number of frames and colour tags stay; which field came first is read from each frame.

    Args:
        stream: PyAV's, for its time base.
    """

    def __init__(self, stream: Any) -> None:
        self._time_base = Fraction(stream.time_base)
        self._graph: Any = None
        self._kind: tuple[int, int, str] | None = None
        self._durations: dict[int, int] = {}

    def push(self, frame: Any) -> list[Any]:
        """Take a decoded frame and give those that are ready, none or several."""
        ready: list[Any] = []
        kind = (frame.width, frame.height, frame.format.name)
        if self._kind != kind:
            ready = self.finish()
            self._build(frame)
            self._kind = kind
        if frame.pts is not None and frame.duration:
            self._durations[frame.pts] = frame.duration
        self._graph.push(frame)
        return ready + self._pull()

    def finish(self) -> list[Any]:
        """Those that still wait, at the end."""
        if self._graph is None:
            return []
        self._graph.push(None)
        ready = self._pull()
        self._graph = self._kind = None
        return ready

    def _build(self, frame: Any) -> None:
        import av.filter

        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
        )
        bwdif = graph.add("bwdif", mode="send_frame", parity="auto", deint="interlaced")
        sink = graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        graph.configure()
        self._graph = graph

    def _pull(self) -> list[Any]:
        av = import_av("reading video")
        ready: list[Any] = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return ready
            # bwdif counts in half units of time, for who asks for both fields.
            if frame.pts is not None:
                frame.pts = round(frame.pts * Fraction(frame.time_base) / self._time_base)
                frame.time_base = self._time_base
                frame.duration = self._durations.pop(frame.pts, 0)
            ready.append(frame)
