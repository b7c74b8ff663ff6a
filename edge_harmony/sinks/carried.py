"""What goes along with the picture from a source's file to a result: sound, subtitles, titles and chapters."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from edge_harmony.capture.container import import_av, native_words, open_container
from edge_harmony.capture.network import WebFile
from edge_harmony.notice import note
from edge_harmony.sinks.sound import CopiedTrack, EncodedSound, Track, can_hold

_log = logging.getLogger(__name__)

# What is said of the work itself; where it was filmed and with what stays with the source.
_TITLES: Final = (
    "title", "artist", "author", "album", "album_artist", "composer", "comment", "copyright", "date", "description",
    "synopsis", "genre", "show", "network", "episode_id", "season_number", "episode_sort", "language", "creation_time",
)  # fmt: skip
_LOOK_AT: Final = 4000  # packets, for the first one of every track
# Errors that are the disk's and not a track's.
OF_THE_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENODEV, errno.ESTALE)


class Carried:
    """Every sound track, subtitles, titles and chapters of a file, put into an output container.

    Tracks are copied packet by packet where the container holds their kind. Sound of other kinds is encoded as AAC;
    subtitles of other kinds are left out, which is said. Times are kept, so that everything stays together. Packets
    that an edit list cuts away are not copied.

    A track that cannot be read or written any more ends there, which is said; picture and other tracks go on.

    Attributes:
        faults: what went wrong so far, a sentence each.
    """

    def __init__(
        self,
        source: Path | WebFile,
        output: Any,
        output_name: str,
        kind: str,
        options: dict[str, str],
        *,
        sound: bool = True,
        start_s: Fraction = Fraction(0),
    ) -> None:
        """Add the tracks to the container.

        Args:
            source: the file; one of the web that is gone meanwhile gives nothing, which is noted.
            output: PyAV output container, not yet written to.
            output_name: for messages.
            kind: FFmpeg's name of the container, and
            options: its options, for trying what it holds.
            sound: whether sound goes along.
            start_s: the moment of the source that is 0 in the output; what is earlier is left out.
        """
        self._av = import_av("writing video")
        self._name, self._output_name = str(source), output_name
        self._start_s, self._output = start_s, output
        self.faults: list[str] = []
        self._tracks: dict[int, Track] = {}
        self._packets: Iterator[Any] = iter(())
        self._pending: Any = None
        self._input: Any = None
        try:
            self._input = _open(source)
        except self._av.error.FFmpegError as error:
            if not isinstance(source, WebFile):
                raise
            self._fault(f"{self._name}: its sound cannot be had: {native_words(error)}")
            return
        try:
            wanted = [s for s in self._input.streams if s.type in (("audio",) if sound else ()) + ("subtitle",)]
            firsts = _first_packets(source, [s.index for s in wanted]) if wanted else {}
            for stream in wanted:
                self._add(stream, kind, options, firsts.get(stream.index))
            self._say_attachments()
            self._carry_titles()
        except BaseException:
            self._input.close()
            raise
        streams = [self._input.streams[index] for index in self._tracks]
        self._packets = self._input.demux(*streams) if streams else iter(())

    def copy_until(self, time_s: Fraction | None) -> None:
        """Write the packets that start before ``time_s`` seconds, or all that are left when it is None.

        Raises:
            FFmpegError, OSError: the disk is full or gone. All else ends a track, and is noted in ``faults``.
        """
        while True:
            packet = self._pending or self._next()
            if packet is None:
                break
            start_s = (packet.pts if packet.pts is not None else packet.dts) * Fraction(packet.time_base)
            if time_s is not None and start_s - self._start_s > time_s:
                self._pending = packet
                return
            self._pending = None
            if self._start_s and start_s < self._start_s:
                continue
            track = self._tracks.get(packet.stream.index)
            if track is not None:
                self._guard(packet.stream.index, start_s, lambda t=track, p=packet: t.feed(p))
        for index, track in list(self._tracks.items()) if time_s is None else ():
            self._guard(index, None, track.finish)

    def drop(self, why: str) -> bool:
        """Go on without any of it, after the container refused something that was waiting; False if there is none."""
        if not self._tracks:
            return False
        self._fault(f"{self._output_name}: sound and subtitles end here: {why}")
        self._tracks.clear()
        self._packets, self._pending = iter(()), None
        return True

    def close(self) -> None:
        """Close the source; may be called twice."""
        if self._input is not None:
            self._input.close()

    def _add(self, stream: Any, kind: str, options: dict[str, str], first: bytes | None) -> None:
        codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
        what = f"{codec} {'sound' if stream.type == 'audio' else 'subtitles'}"
        if can_hold(kind, options, stream, first):
            self._tracks[stream.index] = CopiedTrack(stream, self._output, self._start_s, first)
        elif stream.type == "audio" and stream.codec_context is not None:
            self._tracks[stream.index] = EncodedSound(stream, self._output, self._start_s)
            note(_log, "%s cannot hold the source's %s: it is encoded as AAC", self._output_name, what)
        else:
            note(_log, "%s cannot hold the source's %s: left out (.mkv may hold them)", self._output_name, what)

    def _say_attachments(self) -> None:
        others = [s.type for s in self._input.streams if s.type == "attachment"]
        if others:
            note(_log, "%s: %d attached files of the source are left out", self._output_name, len(others))

    def _carry_titles(self) -> None:
        for key, value in self._input.metadata.items():
            if key.lower() in _TITLES:
                self._output.metadata[key] = value
        chapters = self._input.chapters() if not self._start_s else []
        if chapters:
            self._output.set_chapters(chapters)

    def _guard(self, index: int, at_s: Fraction | None, work: Any) -> None:
        """Do a track's work and mux what comes of it; whatever fails ends this track alone."""
        try:
            for packet in work():
                self._output.mux(packet)
        except (OSError, ValueError, self._av.error.FFmpegError) as error:
            if getattr(error, "errno", None) in OF_THE_DISK:
                raise
            kind = self._input.streams[index].type
            moment = "at its end" if at_s is None else f"at {float(at_s):.2f} s"
            self._fault(f"{self._name}: its {kind} track {index} ends {moment}: {native_words(error)}")
            self._tracks.pop(index, None)

    def _fault(self, words: str) -> None:
        self.faults.append(words)
        _log.warning("%s", words)

    def _next(self) -> Any:
        try:
            for packet in self._packets:
                if packet.dts is not None and not packet.is_discard:  # the last one, without a time, flushes decoders
                    return packet
        except (OSError, self._av.error.FFmpegError) as error:
            self._fault(f"{self._name}: sound and subtitles end early: {native_words(error)}")
            self._packets = iter(())
        return None


def _open(source: Path | WebFile) -> Any:
    return source.open() if isinstance(source, WebFile) else open_container(source)


def _first_packets(source: Path | WebFile, wanted: list[int]) -> dict[int, bytes]:
    """What the first packet of each stream holds."""
    found: dict[int, bytes] = {}
    with _open(source) as container:
        for count, packet in enumerate(container.demux(*(container.streams[index] for index in wanted))):
            if count > _LOOK_AT or len(found) == len(wanted):
                break
            if packet.size and packet.dts is not None:
                found.setdefault(packet.stream.index, bytes(packet))
    return found
