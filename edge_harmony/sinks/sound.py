"""One track of a source on its way into a result: copied as it is, or sound encoded anew as AAC."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any, Final, Protocol

from edge_harmony.capture.container import import_av

_ADTS_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_MOST_CHANNELS: Final = 8
_BITS_A_CHANNEL: Final = 80_000
_MOST_BITS: Final = 512_000


class Track(Protocol):
    """Takes the packets of one stream of the source and gives those of the result."""

    def feed(self, packet: Any) -> list[Any]:
        """Packets to be muxed for one that was read; may raise FFmpeg's errors."""
        ...

    def finish(self) -> list[Any]:
        """What is left at the end."""
        ...


class CopiedTrack:
    """Packets as they are, less the moment at which the result begins.

    AAC from MPEG-TS comes with a header before every packet, which MP4 and Matroska want once, in the track's own
    header: it is taken off.
    """

    def __init__(self, stream: Any, output: Any, start_s: Fraction, first: bytes | None) -> None:
        """Add the track to the output; ``first`` is what the stream's first packet holds, where there is one."""
        self._out = output.add_stream_from_template(stream)
        self._out.metadata.update(stream.metadata)
        self._start_s = start_s
        self._last_dts: int | None = None
        config = adts_config(stream, first)
        self._headed = config is not None
        if config is not None:
            self._out.codec_context.extradata = config

    def feed(self, packet: Any) -> list[Any]:
        base = Fraction(packet.time_base)
        if self._headed:
            packet = _without_adts_header(packet)
        shift = round(self._start_s / base)
        if shift:
            packet.dts -= shift
            packet.pts = None if packet.pts is None else packet.pts - shift
        if self._last_dts is not None and packet.dts <= self._last_dts:
            return []  # a clock that went back, as in a joined stream: no container takes it
        self._last_dts = packet.dts
        packet.stream = self._out
        return [packet]

    def finish(self) -> list[Any]:
        return []


class EncodedSound:
    """Sound that the container cannot hold, decoded and encoded as AAC: same rate where AAC has it, same channels."""

    def __init__(self, stream: Any, output: Any, start_s: Fraction) -> None:
        """Add the track to the output."""
        self._av = import_av("writing video")
        context = stream.codec_context
        rate = context.sample_rate if context.sample_rate in _ADTS_RATES else 48000
        channels = min(context.layout.nb_channels or 2, _MOST_CHANNELS)
        layout = context.layout.name if channels > 2 and context.layout.name in _LAYOUTS else _LAYOUT_OF[channels]
        self._stream, self._start_s = stream, start_s
        self._out = output.add_stream("aac", rate=rate)
        self._out.layout = layout
        self._out.bit_rate = min(_MOST_BITS, _BITS_A_CHANNEL * channels)
        self._out.metadata.update(stream.metadata)
        self._rate = rate
        self._resampler = self._av.AudioResampler(format="fltp", layout=layout, rate=rate, frame_size=1024)
        self._next = 0  # sample at which the next frame starts
        self._begun = False

    def feed(self, packet: Any) -> list[Any]:
        made: list[Any] = []
        for frame in packet.decode():
            if frame.pts is not None and not self._begun:
                self._next = round((frame.pts * Fraction(frame.time_base) - self._start_s) * self._rate)
                self._begun = True
            for part in self._resampler.resample(frame):
                made += self._encode(part)
        return made

    def finish(self) -> list[Any]:
        made: list[Any] = []
        for frame in self._stream.codec_context.decode(None):
            for part in self._resampler.resample(frame):
                made += self._encode(part)
        if self._begun:
            for part in self._resampler.resample(None):
                made += self._encode(part)
        return made + list(self._out.encode(None))

    def _encode(self, frame: Any) -> list[Any]:
        frame.pts, frame.time_base = self._next, Fraction(1, self._rate)
        self._next += frame.samples
        return list(self._out.encode(frame))


_LAYOUT_OF: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_LAYOUTS: Final = (*_LAYOUT_OF.values(), "5.0(side)", "5.1(side)", "7.1(wide)", "quad", "2.1")


def can_hold(kind: str, options: dict[str, str], stream: Any, first: bytes | None) -> bool:
    """Whether a container takes a stream: its header and first packet are written to memory.

    Args:
        kind: FFmpeg's name of the container.
        options: of the container.
        stream: of the source.
        first: what its first packet holds; None tries the header alone.
    """
    av = import_av("writing video")
    options = {name: value for name, value in options.items() if "faststart" not in value}  # needs a file's name
    try:
        with av.open(io.BytesIO(), "w", format=kind, options=options) as trial:
            track = CopiedTrack(stream, trial, Fraction(0), first)
            trial.start_encoding()
            if first is not None:
                packet = av.Packet(first)
                packet.pts = packet.dts = 0
                packet.time_base, packet.is_keyframe = stream.time_base, True
                for ready in track.feed(packet):
                    trial.mux(ready)
    except (av.error.FFmpegError, ValueError, AttributeError, TypeError):
        return False
    return True


def adts_config(stream: Any, first: bytes | None) -> bytes | None:
    """The AudioSpecificConfig (ISO/IEC 14496-3) of AAC whose packets carry ADTS headers; None for all else."""
    if stream.codec_context.name != "aac" or first is None or len(stream.codec_context.extradata or b"") >= 2:
        return None
    head = first[:7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    kind, rate = (head[2] >> 6) + 1, head[2] >> 2 & 0xF
    channels = (head[2] & 1) << 2 | head[3] >> 6
    if not channels or rate >= len(_ADTS_RATES) or head[6] & 3:  # described inside, or several blocks in a packet
        return None
    return (kind << 11 | rate << 7 | channels << 3).to_bytes(2, "big")


def _without_adts_header(packet: Any) -> Any:
    data = bytes(packet)
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return packet
    bare = import_av("writing video").Packet(data[7 if data[1] & 1 else 9 :])
    bare.pts, bare.dts, bare.duration, bare.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    bare.is_keyframe = True
    return bare
