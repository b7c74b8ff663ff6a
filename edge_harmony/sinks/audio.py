"""Sound carried from the source to the result, packet by packet, as it is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from edge_harmony.capture.video import import_av, native_words
from edge_harmony.errors import SinkError, SourceError


class AudioCopy:
    """Copies every audio stream of a file into an output container without decoding it.

    Timestamps are kept, so sound and picture stay as far apart as they were.
    """

    def __init__(self, source: Path, output: Any, output_name: str, start_s: Fraction = Fraction(0)) -> None:
        """Add the streams to the container.

        Args:
            source: the file with the sound; it may have none.
            output: PyAV output container, not yet written to.
            output_name: for messages.
            start_s: the moment of the source that is 0 in the output; earlier sound is left out.

        Raises:
            SinkError: the container cannot hold one of the codecs.
        """
        self._av = import_av("writing video")
        self._name = str(source)
        self._start_s = start_s
        self._input = self._av.open(str(source))
        self._streams: dict[int, Any] = {}
        try:
            for stream in self._input.streams.audio:
                self._streams[stream.index] = output.add_stream_from_template(stream)
                self._streams[stream.index].metadata.update(stream.metadata)
        except (ValueError, AttributeError) as error:  # no such codec in the container, or one unknown to FFmpeg
            refused = self.refused(output_name)
            self._input.close()
            raise refused from error
        self._packets: Iterator[Any] = self._input.demux(*self._input.streams.audio) if self._streams else iter(())
        self._pending: Any = None
        self._output = output

    def refused(self, output_name: str) -> SinkError:
        """What to raise when the container's header cannot be written with these streams."""
        codecs = ", ".join(sorted({s.codec_context.name for s in self._input.streams.audio}))
        return SinkError(
            f"{output_name} cannot hold the source's {codecs} sound",
            "write to .mkv, which holds most kinds, or pass --no-audio",
        )

    def copy_until(self, time_s: Fraction | None) -> None:
        """Write the packets that start before ``time_s`` seconds, or all that are left when it is None."""
        while True:
            packet = self._pending or self._next()
            if packet is None:
                return
            base = Fraction(packet.time_base)
            start = (packet.pts if packet.pts is not None else packet.dts) * base - self._start_s
            if time_s is not None and start > time_s:
                self._pending = packet
                return
            self._pending = None
            if self._start_s:
                if start < 0:
                    continue
                shift = round(self._start_s / base)
                packet.dts -= shift
                packet.pts = None if packet.pts is None else packet.pts - shift
            packet.stream = self._streams[packet.stream.index]
            self._output.mux(packet)

    def close(self) -> None:
        """Close the source; may be called twice."""
        self._input.close()

    def _next(self) -> Any:
        try:
            for packet in self._packets:
                if packet.dts is not None:  # the last packet is an empty one that flushes decoders
                    return packet
        except self._av.error.FFmpegError as error:
            raise SourceError(
                f"{self._name}: its sound cannot be read: {native_words(error)}",
                "pass --no-audio to leave the sound away",
            ) from error
        return None
