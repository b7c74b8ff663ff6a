"""Video files through PyAV (FFmpeg)."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.alpha_layer import AlphaLayer
from edge_harmony.capture.container import import_av, native_words, open_container
from edge_harmony.capture.cut_short import ends_unmarked, refuse_cut_short
from edge_harmony.capture.decoder import Damage, Decoder
from edge_harmony.capture.deinterlace import INTERLACED
from edge_harmony.capture.orientation import apply_matrix, display_matrix
from edge_harmony.capture.source import Source, TimedFrame, require_file
from edge_harmony.capture.yuv import PixelReader, colour_note, has_alpha, refuse_hdr
from edge_harmony.errors import SourceError
from edge_harmony.notice import note

_log = logging.getLogger(__name__)

_SHORT_BY: Final = 2  # frames by which a whole file may end before its header says
_MOST_THREADS: Final = 4  # more decode no faster than anything behind them can take
_LOOKS: Final = 6  # places at which a file is looked at, to know what its alpha or its masks are like
_PLAYLIST: Final = "a playlist on the disk may name files alone: give the address that it came from, as http://..."
_UNREAD_ALPHA: Final = "its alpha is made out of the colours and cannot be read: save it as ProRes 4444 for that"
_MOST_BETWEEN: Final = 60  # frames that are decoded on the way to such a place

Read = Callable[[PixelReader, Any, str], tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]


class VideoFile(Source):
    """A video file, frame for frame as it was recorded: nothing is dropped, repeated or retimed.

    - Rotation and mirroring written by phones are undone.
    - Timestamps are the file's own, so a variable frame rate stays one.
    - BT.601 and BT.709, limited and full range are read as tagged; untagged video is taken for BT.709 from 720
      lines up, for BT.601 below, limited range.
    - An alpha channel is read, of WebM and HEVC too; one that is opaque everywhere is none.
    - More than 8 bits a channel are rounded to 8 with dither; HDR (HLG, PQ) is tone-mapped, and BT.2020 brought to
      BT.709, see ``edge_harmony.capture.hdr``; interlaced frames are deinterlaced. What is done is logged once.
    - A file that is cut short is refused when it is opened, where its header tells. Frames that are damaged or missing
      are counted in ``damage`` and cost no others.
    """

    timed = True

    def __init__(self, path: str | Path, threads: int | None = None, hdr: str = "tonemap") -> None:
        """Open and check.

        Args:
            path: the file.
            threads: decoder's threads; None takes a quarter of the processors, because mask, background and encoder
                work beside it, and each thread keeps a frame or two.
            hdr: ``tonemap`` or ``refuse``.

        Raises:
            SourceError: no such file, no video in it, cut short; HDR, where it is to be refused.
            BackendUnavailableError: PyAV is not installed.
        """
        self.path = require_file(Path(path))
        self.name = str(path)
        self._threads = threads or max(1, min(_MOST_THREADS, (os.cpu_count() or 1) // 4))
        self._hdr = hdr
        self.damage = Damage()
        container, decoder = self._open()
        try:
            stream = decoder.stream
            refuse_cut_short(self.path, self.name, stream)
            first = next(iter(decoder))
            if hdr == "refuse":
                refuse_hdr(first, self.name)
            self._say_what_is_done(first, decoder)
            self._matrix = display_matrix(first)
            height, width = first.height, first.width
            sar = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
            turned = self._matrix[0] == 0
            self.size_hw = (width, height) if turned else (height, width)
            self.sample_aspect_ratio = 1 / sar if turned else sar
            self.rate = _rate(stream)
            self.time_base = Fraction(stream.time_base)
            self.frame_count = _count(stream, container, self.rate)
            self.has_audio = len(container.streams.audio) > 0
            self.has_alpha = has_alpha(first)
            del first
        finally:
            container.close()
        if self.has_alpha:
            self.has_alpha = any(
                frame.alpha is not None and int(frame.alpha.min()) < 255 for frame in self.samples(_LOOKS)
            )
        self.straight = self.has_alpha

    def __iter__(self) -> Iterator[TimedFrame]:
        return self._frames(PixelReader.read_colour if self.has_alpha else PixelReader.read_opaque)

    def masks(self) -> Iterator[TimedFrame]:
        """Yield frames whose ``alpha`` is the file's alpha channel or, without one, its luma (0..255, full range).

        ``image_bgr`` of these frames is empty, (0, 0, 3). Grey video is welcome here.
        """
        return self._frames(PixelReader.read_alpha if self.has_alpha else PixelReader.read_luma)

    def samples(self, count: int) -> Iterator[TimedFrame]:
        """A few frames from all over the file, the first one first: colours, and alpha where the file has a channel.

        Args:
            count: how many at most.
        """
        container, decoder = self._open()
        try:
            pixels, seen = PixelReader(self._hdr), set()
            length = container.duration or 0
            for index in range(count):
                if index and not length:
                    return
                place = (container.start_time or 0) + length * index // count  # microseconds
                if index:
                    container.seek(place)
                    decoder = Decoder(container, self.name, self._threads)
                frame = _one_near(iter(decoder), Fraction(place, 1_000_000) if index else None, seen)
                if frame is None:
                    continue
                seen.add(frame.pts)
                image, alpha = self._upright(pixels.read_colour(frame, self.name), index)
                yield TimedFrame(image, frame.pts or 0, self.time_base, index, alpha)
        except SourceError:  # a place that cannot be decoded says nothing
            return
        finally:
            container.close()

    def times(self) -> list[Fraction]:
        """The presentation time of every frame, in seconds, found without decoding."""
        with open_container(self.path) as container:
            stream = container.streams.video[0]
            base, found = Fraction(stream.time_base), []
            try:
                for packet in container.demux(stream):
                    stamp = packet.pts if packet.pts is not None else packet.dts
                    if packet.size and stamp is not None and not packet.is_discard:
                        found.append(stamp * base)
            except import_av("reading video").error.FFmpegError:  # a damaged end: noted when it is decoded
                pass
        return sorted(found)

    def _say_what_is_done(self, first: Any, decoder: Decoder) -> None:
        unread = not has_alpha(first) and AlphaLayer.is_dependent(decoder.stream)
        for words in (colour_note(first), INTERLACED if decoder.interlaced else "", _UNREAD_ALPHA if unread else ""):
            if words:
                note(_log, "%s: %s", self.name, words)

    @property
    def faults(self) -> list[str]:
        """What was damaged or missing in the last iteration, a sentence each."""
        return [f"{self.name}: {words}" for words in self.damage.words()]

    def _frames(self, read: Read) -> Iterator[TimedFrame]:
        container, decoder = self._open()
        self.damage = decoder.damage
        try:
            pixels = PixelReader(self._hdr)
            last_pts, index = None, 0
            step = max(1, round(1 / (self.rate * self.time_base)))
            frames = iter(decoder)
            while (decoded := next(frames, None)) is not None:
                captured_s = time.monotonic()
                pts = decoded.pts
                if pts is None or (last_pts is not None and pts <= last_pts):
                    pts = 0 if last_pts is None else last_pts + step  # raw streams carry no time of their own
                last_pts = pts
                image, alpha = self._upright(read(pixels, decoded, self.name), index)
                duration = decoded.duration or 0
                frame = TimedFrame(image, pts, self.time_base, index, alpha, duration, captured_s=captured_s)
                del decoded, image, alpha
                yield frame
                del frame  # frames are large: none is kept while the next one is made
                index += 1
            self._note_early_end(container, decoder)
        finally:
            container.close()

    def _upright(
        self, pixels: tuple[NDArray[np.uint8], NDArray[np.uint8] | None], index: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """A frame's picture and alpha, turned as the file asks; ``SourceError`` where its size is another."""
        image = apply_matrix(pixels[0], self._matrix)
        alpha = None if pixels[1] is None else apply_matrix(pixels[1], self._matrix)
        shown = image if image.size else alpha
        if shown is None or shown.shape[:2] != self.size_hw:
            raise SourceError(f"{self.name} changes its size at frame {index}", "cut the video where its size changes")
        return image, alpha

    def _open(self) -> tuple[Any, Decoder]:
        av = import_av("reading video")
        try:
            container = open_container(self.path)
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(
                f"{self.name} is not a video that can be read: {native_words(error, self.path)}",
                _PLAYLIST
                if _names_the_web(self.path)
                else "check that the file is complete and plays; pictures belong to 'edge-harmony image'",
            ) from error
        try:
            if not container.streams.video:
                raise SourceError(f"{self.name} holds no video stream", "is it a sound file? Name the video")
            return container, Decoder(container, self.name, self._threads)
        except BaseException:
            container.close()
            raise

    def _note_early_end(self, container: Any, decoder: Decoder) -> None:
        """Matroska and FLV say how long the picture is, Ogg marks its end; formats that count dropped frames, or guess,
        do not count.
        """
        if ends_unmarked(self.path):
            self.damage.cut = f"it is cut short: it ends after {decoder.frames} frames, without the mark of an end"
        if not any(name in container.format.name for name in ("matroska", "flv")):
            return
        expected = _expected_end(decoder.stream)
        if expected is not None and decoder.end_s + _SHORT_BY / _rate(decoder.stream) < expected:
            self.damage.cut = (
                f"it is cut short: it ends after {decoder.frames} frames "
                f"({float(decoder.end_s):.2f} s of {float(expected):.2f} s)"
            )


def _names_the_web(path: Path) -> bool:
    """Whether a file is an HLS playlist of segments behind addresses: a file's name makes no request."""
    head = b""
    if path.is_file():  # a pipe would be waited for
        with contextlib.suppress(OSError), path.open("rb") as file:
            head = file.read(1 << 16)
    return head.startswith(b"#EXTM3U") and b"://" in head


def _one_near(frames: Iterator[Any], wanted_s: Fraction | None, seen: set[Any]) -> Any | None:
    """The first frame, a key frame; where that was seen before, one nearer to the time, if it is not too far."""
    frame = next(frames, None)
    for _ in range(_MOST_BETWEEN):
        near = frame is None or wanted_s is None or frame.pts is None or frame.pts * frame.time_base >= wanted_s
        if frame is None or (frame.pts not in seen and (near or frame.key_frame)):
            break
        frame = next(frames, None)
    return None if frame is None or frame.pts in seen else frame


def _rate(stream: Any) -> Fraction:
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def _expected_end(stream: Any) -> Fraction | None:
    """When the stream should end, in seconds, as the file's header says."""
    if stream.duration and stream.duration > 0:
        return ((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base)
    text = stream.metadata.get("DURATION") or stream.metadata.get("DURATION-eng")
    try:
        hours, minutes, seconds = (text or "").strip("\0 ").split(":")
        return Fraction(int(hours) * 3600 + int(minutes) * 60) + Fraction(seconds)
    except ValueError:
        return None


def _count(stream: Any, container: Any, rate: Fraction) -> int | None:
    if stream.frames:
        return int(stream.frames)
    length = _expected_end(stream)
    if stream.duration and stream.duration > 0:
        length = stream.duration * Fraction(stream.time_base)
    if length is None and container.duration:
        length = Fraction(container.duration, 1_000_000)
    return round(length * rate) if length else None
