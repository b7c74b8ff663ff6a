"""From packets to frames: the decoder that gives all there is, and a count of what could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from edge_harmony.capture.alpha_layer import AlphaLayer
from edge_harmony.capture.container import import_av, native_words
from edge_harmony.capture.deinterlace import Progressive
from edge_harmony.errors import SourceError

# FFmpeg's own decoders of VP8 and VP9 leave the alpha channel of a WebM out; those of libvpx read it.
_WITH_ALPHA: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

_RARE: Final = 10  # in a stream of a steady rate at most one frame in as many follows a gap


def unknown_codec(name: str) -> SourceError:
    """The error for a video stream without a decoder."""
    return SourceError(
        f"{name} is coded in a way that this FFmpeg does not know",
        "convert it with another program, or pip install --upgrade av",
    )


@dataclass
class Damage:
    """What a file lost on its way here.

    Attributes:
        damaged: frames that are shown though part of them was damaged.
        undecodable: packets that gave no frame.
        lost: frames that are missing, as the times around them tell.
        cut: why the file ended early; "" where it did not.
    """

    damaged: int = 0
    undecodable: int = 0
    lost: int = 0
    cut: str = ""

    def words(self) -> list[str]:
        """A sentence for each kind of harm, without the file's name."""
        said = [
            (self.damaged, "frame is damaged and shown as it is", "frames are damaged and shown as they are"),
            (self.undecodable, "packet cannot be decoded", "packets cannot be decoded"),
            (self.lost, "frame is missing", "frames are missing"),
        ]
        return [f"{n} {one if n == 1 else many}" for n, one, many in said if n] + ([self.cut] if self.cut else [])


class Decoder:
    """Decodes one video stream of an open container, once.

    Args:
        container: PyAV's, for reading.
        name: for messages.
        threads: of the decoder.

    Attributes:
        stream: the video.
        damage: what went wrong so far.
        interlaced: whether frames were deinterlaced so far.
        frames: how many were given.
        end_s: when the last packet ends.
    """

    def __init__(self, container: Any, name: str, threads: int) -> None:
        self.stream = container.streams.video[0]
        self.damage = Damage()
        self.frames = 0
        self.end_s = Fraction(0)
        self._container, self._name = container, name
        self._av = import_av("reading video")
        self._own = self._alpha_decoder()
        context = self._own or self.stream.codec_context
        if context is None:
            raise unknown_codec(name)
        if not context.is_open:
            context.thread_type = "AUTO"
            context.thread_count = threads
        self._corrupt = False
        self._progressive = Progressive(self.stream)
        self._layer = AlphaLayer.of(self.stream)
        self._first_error: Exception | None = None

    @property
    def interlaced(self) -> bool:
        return self._progressive.interlaced

    def __iter__(self) -> Iterator[Any]:
        """Every frame; the caller must not keep them all.

        Raises:
            SourceError: not one of them can be decoded, or the file cannot be read.
        """
        rate = Fraction(self.stream.average_rate or self.stream.guessed_rate or 25)
        gaps, gap_places, last_pts = 0, 0, None
        for packet in self._read():
            if packet.size:
                self._corrupt |= packet.is_corrupt
                if packet.pts is not None:
                    self.end_s = max(self.end_s, (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base))
            decoded = self._progressive(self._decode(packet), last=not packet.size)
            while decoded:
                frame = decoded.pop(0)
                self.frames += 1
                self.damage.damaged += bool(frame.is_corrupt)
                if frame.pts is not None:
                    if last_pts is not None:
                        gap = max(0, round((frame.pts - last_pts) * Fraction(frame.time_base) * rate) - 1)
                        gaps, gap_places = gaps + gap, gap_places + bool(gap)
                    last_pts = frame.pts
                yield frame
                del frame  # frames are large: none is kept while the next one is made
        steady = gap_places * _RARE <= self.frames
        if "mpegts" in self._container.format.name and (self._corrupt or steady):  # made for a steady rate
            self.damage.lost = gaps
        if not self.frames:
            why = f": {native_words(self._first_error)}" if self._first_error is not None else ""
            raise SourceError(
                f"{self._name} holds no frame that can be decoded{why}",
                "the file is empty, damaged or cut short: copy it again",
            )

    def _read(self) -> Iterator[Any]:
        """Packets up to the one that flushes the decoder; an error of the file is as its end, and noted."""
        packets = self._container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except self._av.error.FFmpegError as error:
                self._first_error = self._first_error or error
                self.damage.cut = f"it cannot be read after {float(self.end_s):.2f} s ({native_words(error)})"
                return
            if packet is None:
                return
            yield packet

    def _decode(self, packet: Any) -> list[Any]:
        try:
            if self._layer is not None:
                return self._layer.join(packet, packet.decode())
            if self._own is None:
                return packet.decode()
            return self._own.decode(packet if packet.size else None)
        except self._av.error.EOFError:
            return []
        except self._av.error.FFmpegError as error:
            self._first_error = self._first_error or error
            self.damage.undecodable += 1
            return []

    def _alpha_decoder(self) -> Any | None:
        """A decoder that gives the alpha channel which the stream's own would leave out."""
        names = {key.lower(): value for key, value in self.stream.metadata.items()}
        wanted = _WITH_ALPHA.get(self.stream.codec_context.name) if names.get("alpha_mode") == "1" else None
        if wanted is None:
            return None
        try:
            context = self._av.CodecContext.create(wanted, "r")
        except (ValueError, self._av.error.FFmpegError) as error:
            raise SourceError(
                f"{self._name} has an alpha channel, and this PyAV has no {wanted} to read it with",
                "pip install --upgrade av, or save the video as ProRes 4444 or PNG pictures",
            ) from error
        context.extradata = self.stream.codec_context.extradata
        return context
