"""Video files through PyAV (FFmpeg)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.container import import_av, native_words, open_container
from edge_harmony.capture.orientation import apply_matrix, display_matrix
from edge_harmony.capture.source import Source, TimedFrame, require_file
from edge_harmony.capture.yuv import PixelReader, has_alpha, refuse_deep_colour
from edge_harmony.errors import SourceError

_SHORT_BY: Final = 2  # frames by which a whole file may end before its header says
_MOST_THREADS: Final = 4  # more decode no faster than anything behind them can take


class VideoFile(Source):
    """A video file, frame for frame as it was recorded: nothing is dropped, repeated or retimed.

    - Rotation and mirroring written by phones are undone.
    - Timestamps are the file's own, so a variable frame rate stays one.
    - BT.601 and BT.709, limited and full range are read as tagged; untagged video is taken for BT.709 from 720
      lines up, for BT.601 below, limited range.
    - More than 8 bits a channel, BT.2020 and HDR (PQ, HLG) are refused.
    - A file that is cut short is refused: when it is opened, where its index tells, else at its end.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Open and check.

        Args:
            path: the file.
            threads: decoder's threads; None takes a quarter of the processors, because mask, background and encoder
                work beside it, and each thread keeps a frame or two.

        Raises:
            SourceError: no such file, no video in it, unsupported colour, cut short.
            BackendUnavailableError: PyAV is not installed.
        """
        self.path = require_file(Path(path))
        self.name = str(path)
        self._threads = threads or max(1, min(_MOST_THREADS, (os.cpu_count() or 1) // 4))
        container = self._open()
        try:
            stream = container.streams.video[0]
            self._refuse_cut_index(stream)
            first = self._first_frame(container, stream)
            self._matrix = display_matrix(first)
            height, width = first.height, first.width
            sar = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
            turned = self._matrix[0] == 0
            self.size_hw = (width, height) if turned else (height, width)
            self.sample_aspect_ratio = 1 / sar if turned else sar
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.time_base = Fraction(stream.time_base)
            self.frame_count = _count(stream, container, self.rate)
            self.has_alpha = has_alpha(first)
            self.has_audio = len(container.streams.audio) > 0
        finally:
            container.close()

    def __iter__(self) -> Iterator[TimedFrame]:
        return self._frames(PixelReader.read_colour)

    def masks(self) -> Iterator[TimedFrame]:
        """Yield frames whose ``alpha`` is the file's alpha channel or, without one, its luma (0..255, full range).

        ``image_bgr`` of these frames is empty, (0, 0, 3). Grey video is welcome here.
        """
        return self._frames(PixelReader.read_mask)

    def _frames(self, read: Any) -> Iterator[TimedFrame]:
        container = self._open()
        try:
            stream = container.streams.video[0]
            pixels = PixelReader()
            last_pts, index = None, 0
            step = max(1, round(1 / (self.rate * self.time_base)))
            decoder = self._decode(container, stream)
            while (decoded := next(decoder, None)) is not None:
                captured_s = time.monotonic()
                refuse_deep_colour(decoded, self.name)
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

    def _open(self) -> Any:
        av = import_av("reading video")
        try:
            container = open_container(self.path)
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{self.name} is not a video that can be read: {native_words(error, self.path)}",
                "check that the file is complete and plays; pictures belong to 'edge-harmony image'",
            ) from error
        if not container.streams.video:
            container.close()
            raise SourceError(f"{self.name} holds no video stream", "is it a sound file? Name the video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        return container

    def _first_frame(self, container: Any, stream: Any) -> Any:
        for frame in self._decode(container, stream):
            refuse_deep_colour(frame, self.name)
            return frame
        raise SourceError(f"{self.name} holds no frame", "the file is empty or cut short: copy it again")

    def _decode(self, container: Any, stream: Any) -> Iterator[Any]:
        """Decode to the end; FFmpeg's errors and a premature end become ``SourceError``."""
        av = import_av("reading video")
        packets, frames, end = 0, 0, Fraction(0)
        try:
            for packet in container.demux(stream):
                if packet.size:
                    packets += 1
                    if packet.pts is not None:
                        end = max(end, (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base))
                decoded = packet.decode()
                while decoded:
                    frames += 1
                    yield decoded.pop(0)
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{self.name} cannot be decoded after frame {frames}: {native_words(error)}",
                "the file is damaged or cut short: copy it again, or cut it before that frame",
            ) from error
        # An MP4 or MOV with an index was measured when it was opened; its edit list may end it early on purpose.
        indexed = "mov" in container.format.name and getattr(stream, "index_entries", None)
        expected = None if indexed else _expected_end(stream)
        counted = "avi" in container.format.name and stream.frames > packets
        if counted or (expected is not None and end + _SHORT_BY / self._rate(stream) < expected):
            promised = f"{stream.frames} frames" if counted else f"{float(expected or 0):.2f} s"
            raise SourceError(
                f"{self.name} is cut short: it ends after {frames} frames ({float(end):.2f} s of {promised})",
                "copy or download it again; to use what is there: ffmpeg -i IN -c copy OUT",
            )

    @staticmethod
    def _rate(stream: Any) -> Fraction:
        return Fraction(stream.average_rate or stream.guessed_rate or 25)

    def _refuse_cut_index(self, stream: Any) -> None:
        """MP4 and MOV say where every frame lies: compare that with the file's size before any work is done."""
        entries = getattr(stream, "index_entries", None)  # PyAV 16 and later
        if not entries:
            return
        needed = max(entry.pos + entry.size for entry in entries)
        size = self.path.stat().st_size
        if needed > size:
            raise SourceError(
                f"{self.name} is cut short: it has {size} bytes and its index needs {needed}",
                "copy or download it again; to use what is there: ffmpeg -i IN -c copy OUT",
            )


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
    end = _expected_end(stream)
    if end is None and container.duration:
        end = Fraction(container.duration, 1_000_000)
    return round(end * rate) if end else None
