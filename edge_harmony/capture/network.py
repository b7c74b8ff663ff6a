"""Network streams through PyAV (FFmpeg): RTSP, RTMP, SRT, UDP, and HTTP (MJPEG, HLS, files)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from edge_harmony.capture.container import any_text, import_av, native_words
from edge_harmony.capture.decoder import unknown_codec
from edge_harmony.capture.deinterlace import INTERLACED, Progressive
from edge_harmony.capture.native import ffmpeg_lines, ffmpeg_log, in_one_line
from edge_harmony.capture.options import CaptureOptions
from edge_harmony.capture.orientation import apply_matrix, display_matrix
from edge_harmony.capture.source import Source, TimedFrame, rate_words
from edge_harmony.capture.torn import TornFrames
from edge_harmony.capture.yuv import PixelReader, colour_note, has_alpha, refuse_hdr
from edge_harmony.errors import SourceError
from edge_harmony.notice import note
from edge_harmony.run.redact import redact

_log = logging.getLogger(__name__)

TIME_BASE: Final = Fraction(1, 90_000)
# Containers that carry pictures and no times: a frame's time is when it came.
_CLOCKLESS: Final = ("mpjpeg", "mjpeg", "jpeg_pipe", "png_pipe", "h264", "hevc", "image2pipe")
_AT_ONCE_S: Final = 0.002  # a packet that came faster than this had been waiting for us
_BACKLOG: Final = 8  # so many of them in a row: we are behind
_KEEP_EVERY_S: Final = 0.1  # while behind, a frame as often as this is shown, the others are only decoded


@dataclass(frozen=True)
class WebFile:
    """A file behind ``http://``, to be opened once more for the sound and all else that goes along with its picture.

    Attributes:
        url: its address.
        options: for its time-outs.
        start_s: the moment of it at which the first picture is shown.
    """

    url: str
    options: CaptureOptions
    start_s: Fraction

    def open(self) -> Any:
        """FFmpeg's container; raises FFmpeg's errors."""
        return open_url(self.url, self.options, {})

    def __str__(self) -> str:
        return redact(self.url, self.url)


class NetworkStream(Source):
    """A stream from the network, read for low latency.

    - When frames have piled up, they are decoded and left out (``skipped``) until the newest is reached.
    - A frame that does not decode, or only in part, is left out and counted in ``undecodable``, and so are the frames
      that lean on what was lost, up to the next key frame (``TornFrames``).
    - A stream may change its size: later frames then have the new one.
    - The end of a live stream is a loss (``SourceError``), after which it can be iterated, that is connected, again.
    - A file behind ``http://`` has an end and a length: it is not live, drops nothing, and ends without an error.
    - Colour as in ``VideoFile``: tags are honoured, more than 8 bits are rounded, HDR is tone-mapped or refused.

    - Interlaced frames are deinterlaced, one frame later.

    User and password of the URL appear in no message; ``name`` is without them.

    Attributes:
        file: what it is where it is such a file, else None.
        has_audio: whether there is sound.
    """

    def __init__(self, url: str, options: CaptureOptions | None = None) -> None:
        """Connect, and decode the first frame; the first iteration takes this connection over.

        Raises:
            SourceError: no answer in time, refused, no video in it, or colour that we refuse; with FFmpeg's words.
            BackendUnavailableError: PyAV is not installed.
        """
        self._url = url
        self._options = options or CaptureOptions()
        self.name = redact(url, url)
        self.time_base = TIME_BASE
        self._interrupted = threading.Event()
        container, first = self._connect()
        stream = container.streams.video[0]
        self._waiting: tuple[Any, Any] | None = (container, first)
        self._codec = stream.codec_context.name
        self.size_hw = apply_matrix_to_size((first.height, first.width), display_matrix(first))
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        self.sample_aspect_ratio = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        self.has_alpha = has_alpha(first)
        for words in (colour_note(first), INTERLACED if first.interlaced_frame else ""):
            if words:
                note(_log, "%s: %s", self.name, words)
        self.live = self.reconnects = not _is_file(container)
        self.file = None if self.live else WebFile(url, self._options, _time_of(first))
        self.has_audio = len(container.streams.audio) > 0

    def __iter__(self) -> Iterator[TimedFrame]:
        (container, first), self._waiting = self._waiting or self._connect(), None
        try:
            stream = container.streams.video[0]
            clockless = any(name in _CLOCKLESS for name in container.format.name.split(","))
            pixels, start_s, start = PixelReader(self._options.hdr), time.monotonic(), None
            step = max(1, round(1 / (self.rate * TIME_BASE)))
            pts = -step
            rotation = matrix = None
            for index, (decoded, captured_s) in enumerate(self._decode(container, stream, first)):
                if clockless:
                    pts = round((captured_s - start_s) / TIME_BASE)
                elif decoded.pts is None or decoded.time_base is None:
                    pts += step  # the first packets of RTSP come without a time
                else:
                    own = round(decoded.pts * Fraction(decoded.time_base) / TIME_BASE)
                    start = own - pts - step if start is None else start
                    pts = own - start
                image, alpha = pixels.read_colour(decoded, self.name)
                if matrix is None or decoded.rotation != rotation:
                    rotation, matrix = decoded.rotation, display_matrix(decoded)
                image = apply_matrix(image, matrix)
                alpha = None if alpha is None else apply_matrix(alpha, matrix)
                yield TimedFrame(image, pts, TIME_BASE, index, alpha, captured_s=captured_s)
        finally:
            container.close()

    def describe(self) -> str:
        """Address, codec, size and rate."""
        height, width = self.size_hw
        kind = "live" if self.live else "a file"
        return f"{self.name}: {self._codec} {width}x{height}, {rate_words(self.rate)} frames a second, {kind}"

    def interrupt(self) -> None:
        """End the iteration after the packet that is being waited for."""
        self._interrupted.set()

    def close(self) -> None:
        """Disconnect, unless an iteration has the connection, which closes it when it ends."""
        self._interrupted.set()
        if self._waiting is not None:
            self._waiting[0].close()
            self._waiting = None

    def _connect(self) -> tuple[Any, Any]:
        """The open container, and its first good frame, decoded."""
        av = import_av("reading a network stream")
        options = self._options
        container = None
        with ffmpeg_lines(av) as said:
            try:
                container = open_url(self._url, options, ffmpeg_options(self._url, options))
                if _is_file(container) and container.streams.video and not container.streams.video[0].average_rate:
                    container.close()  # of a file the rate counts, and there is time to find it
                    container = open_url(self._url, options, {})
                if not container.streams.video:
                    raise SourceError(f"{self.name} holds no video stream", "is it a sound stream? Name the video")
                stream = container.streams.video[0]
                if stream.codec_context is None:
                    raise unknown_codec(self.name)
                if not _is_file(container):  # threads by frame would hold frames back
                    stream.thread_type = "SLICE"
                    stream.codec_context.flags |= av.codec.context.Flags.low_delay
                if options.threads:
                    stream.codec_context.thread_count = options.threads
                torn = TornFrames()
                for packet in container.demux(stream):
                    for frame in self._try_decode(av, packet, torn):
                        if options.hdr == "refuse":
                            refuse_hdr(frame, self.name)
                        return container, frame
                    if self._interrupted.is_set():
                        break
                raise SourceError(f"{self.name} holds no frame", "is something sent to it?")
            except av.error.FFmpegError as error:
                failure: Any = error
            except SourceError:
                if container is not None:
                    container.close()
                raise
        if container is not None:
            container.close()
        raise self._refuse(av, failure, said) from None

    def _decode(self, container: Any, stream: Any, first: Any) -> Iterator[tuple[Any, float]]:
        """Frames with the time when they arrived, from the one that is already decoded on; none is interlaced."""
        av = import_av("reading a network stream")
        with ffmpeg_log(av, av.logging.WARNING) as logged:
            progressive = Progressive(stream)
            for frame in progressive([first]):
                yield frame, time.monotonic()
            arrivals: dict[int, float] = {}
            at_once, shown_s = 0, time.monotonic()
            packets = container.demux(stream)
            torn = TornFrames()
            while not self._interrupted.is_set():
                asked_s = time.monotonic()
                try:
                    packet = next(packets, None)
                except av.error.FFmpegError as error:
                    raise self._lose(av, error) from None
                now_s = time.monotonic()
                if packet is None:
                    if self.live:
                        raise SourceError(f"{self.name}: the sender ended it", "start the sender again")
                    for frame in progressive([], last=True):
                        yield frame, time.monotonic()
                    return
                if packet.pts is not None:
                    arrivals[packet.pts] = now_s
                    if len(arrivals) > 64:
                        arrivals.pop(next(iter(arrivals)))
                at_once = at_once + 1 if now_s - asked_s < _AT_ONCE_S else 0
                torn.follow(packet, logged)
                for frame in progressive(self._try_decode(av, packet, torn)):
                    if self.live and at_once > _BACKLOG and now_s - shown_s < _KEEP_EVERY_S:
                        self.skipped += 1
                        continue
                    shown_s = now_s
                    yield frame, arrivals.pop(frame.pts, now_s)

    def _try_decode(self, av: Any, packet: Any, torn: TornFrames) -> list[Any]:
        """What a packet decodes to; nothing, and counted, when it is damaged."""
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self.undecodable += 1
            return []
        good = [frame for frame in frames if not torn.is_torn(frame)]
        self.undecodable += len(frames) - len(good)
        return good

    def _lose(self, av: Any, error: Any) -> SourceError:
        words = self._words(av, error, [], self._options.read_timeout_s)
        return SourceError(f"{self.name}: {words}", "check the sender and the network")

    def _refuse(self, av: Any, error: Any, said: list[str]) -> SourceError:
        words = self._words(av, error, said, self._options.open_timeout_s)
        if isinstance(error, av.error.HTTPUnauthorizedError) or "401" in words:
            scheme, _, rest = self._url.partition("://")
            host = rest.rpartition("@")[2]
            hint = f"give user and password: {scheme}://USER:PASSWORD@{redact(host)}"
        elif isinstance(error, av.error.ConnectionRefusedError):
            hint = "nothing listens there: is the server running, and is the port right?"
        elif isinstance(error, (av.error.HTTPNotFoundError, av.error.FileNotFoundError)) or "404" in words:
            hint = "the server answers but does not know this path: check it"
        else:
            hint = "check address, port and path; does it play elsewhere: ffplay URL"
        return SourceError(f"{self.name} cannot be read: {words}", hint)

    def _words(self, av: Any, error: Any, said: list[str], patience_s: float) -> str:
        timed_out = isinstance(error, (av.error.ExitError, av.error.TimeoutError))
        words = f"nothing came for {patience_s:g} s" if timed_out else native_words(error)
        more = in_one_line(said)
        return redact(
            f"{words} ({more})" if more and more not in words and words not in more else more or words, self._url
        )


def open_url(url: str, options: CaptureOptions, told: dict[str, str]) -> Any:
    """FFmpeg's container of an address; what it is told besides comes last. Raises FFmpeg's errors."""
    av = import_av("reading a network stream")
    timeouts = (options.open_timeout_s, options.read_timeout_s)
    return av.open(url, options=told, timeout=timeouts, **any_text(av))  # a session's name may be in any encoding


def ffmpeg_options(url: str, options: CaptureOptions) -> dict[str, str]:
    """What FFmpeg is told for low latency, by the scheme of the URL."""
    scheme = url.partition("://")[0].lower()
    if scheme in ("http", "https"):  # it may be a file, to be looked at in full
        return {"fpsprobesize": "0"}
    # Half a second to find out what it is, none of it for the rate. "nobuffer" would throw away the key frame that
    # arrives meanwhile, and cost the wait for the next one: what piles up is caught up with anyway.
    chosen = {"analyzeduration": "500000", "fpsprobesize": "0"}
    if scheme in ("rtsp", "rtsps"):
        chosen |= {"rtsp_transport": options.transport, "max_delay": "200000"}
        if options.transport == "tcp":
            chosen["reorder_queue_size"] = "2"  # so that gaps are noticed, which a server makes that lags behind
    elif scheme in ("rtmp", "rtmps"):
        chosen |= {"rtmp_live": "live"}
    return chosen


def _is_file(container: Any) -> bool:
    """Whether it has an end: a file on a web server, not a live stream. An MPEG-TS does not say how long it lasts, but
    the server how large it is; of a playlist that means nothing.
    """
    if any(name in container.format.name for name in ("rtsp", "hls", "dash")):
        return "rtsp" not in container.format.name and bool(container.duration)
    return bool(container.duration and container.duration > 0) or int(container.size or 0) > 0


def _time_of(frame: Any) -> Fraction:
    return Fraction(0) if frame.pts is None or frame.time_base is None else frame.pts * Fraction(frame.time_base)


def apply_matrix_to_size(size_hw: tuple[int, int], matrix: tuple[int, int, int, int]) -> tuple[int, int]:
    """The size of a picture after ``apply_matrix``."""
    return (size_hw[1], size_hw[0]) if matrix[0] == 0 else size_hw
