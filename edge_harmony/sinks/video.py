"""Video files through PyAV (FFmpeg): H.264, BT.709, the source's own timestamps and sound."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.container import import_av, native_words, open_container
from edge_harmony.capture.network import WebFile
from edge_harmony.errors import SinkError
from edge_harmony.run.whole_file import WholeFile, unwritable
from edge_harmony.settings import SETTINGS
from edge_harmony.sinks.bt709 import AlphaConverter, YuvConverter, even, tag
from edge_harmony.sinks.carried import OF_THE_DISK, Carried
from edge_harmony.sinks.encoders import WITH_ALPHA, alpha_encoder_of, bit_rate, encoder_of
from edge_harmony.sinks.recoverable import MATROSKA_OPTIONS, MP4_OPTIONS, RecoverableFile, keep_whole_fragments

_log = logging.getLogger(__name__)

OUTPUT_SUFFIXES: Final = (".mp4", ".mov", ".m4v", ".mkv")
PRESETS: Final = SETTINGS["output.speed"].choices
# x264 looks 40 frames ahead by itself, keeps another thread's worth of them and weighted copies of references: 255 MB
# more at 1080p, for files that differ by a few hundredths in size and by less than 1 dB. Who asks for a slow preset
# gets all of it.
_SHORT_LOOK_AHEAD: Final = "weightp=1:rc-lookahead=3:sync-lookahead=0"
_PATIENT: Final = PRESETS[PRESETS.index("slow") :]


@dataclass(frozen=True)
class VideoOptions:
    """How a video is encoded.

    Attributes:
        crf: x264's constant rate factor: 0 lossless .. 51; 18 looks like the source.
        preset: x264's speed, one of ``PRESETS``.
        threads: encoder's threads; None lets x264 choose.
        codec: one of ``edge_harmony.sinks.encoders.ENCODERS``; all but ``h264`` have a speed of their own.
        alpha: write pictures with alpha, uint8 (H, W, 4) BGRA: ProRes 4444 in .mov, VP9 in .webm, which has no sound.
    """

    crf: int = 18
    preset: str = "medium"
    threads: int | None = None
    codec: str = "h264"
    alpha: bool = False


class VideoSink:
    """Writes frames to a video file that appears under its name only when ``close`` has finished it.

    H.264, yuv420p; colour is converted to BT.709 in limited range and tagged so. A side that is odd is written
    one pixel larger, by repeating the last column or row, because 4:2:0 has no odd sizes. Used as a context
    manager it is closed at the end and aborted by an exception; not for use by two threads at once.

    A ``recoverable`` one keeps what was recorded when the disk is full or the process is killed: see ``close``, and
    ``edge_harmony.sinks.recoverable``. It costs up to a second's worth of memory, and an MP4's index comes last.
    """

    def __init__(
        self,
        path: str | Path,
        size_hw: tuple[int, int],
        time_base: Fraction,
        rate: Fraction,
        options: VideoOptions | None = None,
        audio_from: Path | WebFile | None = None,
        sample_aspect_ratio: Fraction = Fraction(1),
        overwrite: bool = False,
        recoverable: bool = False,
        audio_start_s: Fraction = Fraction(0),
        sound: bool = True,
    ) -> None:
        """Create the file, under a temporary name.

        Args:
            path: ends in one of ``OUTPUT_SUFFIXES``.
            size_hw: height and width of the frames to come.
            time_base: seconds in one unit of the frames' ``pts``.
            rate: average frames a second, for the encoder's rate control only.
            options: quality and speed.
            audio_from: file, also of the web, whose sound, subtitles and titles go along (``Carried``); None for none.
            sample_aspect_ratio: width of a pixel divided by its height.
            overwrite: whether a file of that name may be replaced.
            recoverable: whether a file that could not be finished is kept as far as it plays.
            audio_start_s: the moment of ``audio_from`` at which ``pts`` is 0.
            sound: whether the sound of ``audio_from`` is among it.

        Raises:
            SinkError: unknown suffix, folder missing or not writable, file exists.
            BackendUnavailableError: PyAV is not installed, or has no H.264 encoder.
        """
        self._av = import_av("writing video")
        self._options = options or VideoOptions()
        check_suffix(path, self._options.alpha)
        suffix = Path(path).suffix.lower()
        self._encoder = alpha_encoder_of(suffix) if self._options.alpha else encoder_of(self._options.codec)
        self._size_hw = size_hw
        self._time_base = time_base
        self._container: Any = None
        self._along: Carried | None = None
        self._file = WholeFile(path, overwrite)
        self.path = self._file.path
        self.frames_written = 0
        self._done = False
        self._growing: RecoverableFile | None = None
        self._broken = False
        self._in_use = threading.Lock()
        try:
            alpha = self._options.alpha
            self._converted = AlphaConverter(self._encoder.pixel_format) if alpha else YuvConverter()
            self._container = self._open_container(recoverable)
            self._stream = self._add_stream(rate, sample_aspect_ratio)
            if audio_from is not None and suffix == ".webm":
                _log.info("%s: a WebM of ours has no sound; .mov has", self.path)
            elif audio_from is not None:
                kind, muxer = self._kind(recoverable)
                self._along = Carried(
                    audio_from, self._container, str(self.path), kind, muxer, sound=sound, start_s=audio_start_s
                )
            self._container.start_encoding()
        except (self._av.error.FFmpegError, OSError) as error:
            self.abort()
            raise self._failed(error) from error
        except BaseException:
            self.abort()
            raise

    def convert(self, image: NDArray[np.uint8]) -> Any:
        """A picture as the encoder wants it, which takes half the memory: what ``write`` takes in its place.

        May be called in another thread than ``write``, one at a time.

        Args:
            image: uint8 (H, W, 3) BGR, or (H, W) grey, or (H, W, 4) BGRA where it is written with alpha; only read, and
                done with on return.

        Raises:
            SinkError: another size than the sink's.
        """
        if image.shape[:2] != self._size_hw:
            raise SinkError(
                f"{self.path}: a frame of {image.shape[1]} x {image.shape[0]} does not fit "
                f"{self._size_hw[1]} x {self._size_hw[0]}",
                "give the sink the size of the frames it gets",
            )
        return self._converted(image)

    def write(self, image: Any, pts: int, duration: int = 0) -> None:
        """Encode one frame.

        Args:
            image: uint8 (H, W, 3) BGR, or (H, W) grey, only read, and done with on return; or what ``convert`` gave.
            pts: presentation time in units of the sink's ``time_base``; must grow from frame to frame.
            duration: in the same units; 0 where unknown.

        Raises:
            SinkError: another size, or the file cannot be written (a full disk). Call ``abort`` then.
        """
        frame = self.convert(image) if isinstance(image, np.ndarray) else image
        frame.pts = pts
        frame.time_base = self._time_base
        if duration:
            frame.duration = duration
        try:
            with self._in_use:
                for packet in self._stream.encode(frame):
                    self._mux(packet)
                if self._along is not None:
                    self._along.copy_until(pts * self._time_base)
        except (self._av.error.FFmpegError, OSError) as error:
            self._broken = True
            raise self._failed(error) from error
        self.frames_written += 1

    def close(self) -> None:
        """Finish the file and give it its name. Idempotent.

        Raises:
            SinkError: that failed. Nothing is left then, but of a ``recoverable`` file what plays: it is given the
                name, without an error if it was ``write`` that had failed.
        """
        if self._done:
            return
        if self._broken and self._growing is not None:
            self._keep_what_plays()
            return
        try:
            if self.frames_written == 0:
                raise SinkError(f"{self.path}: there was no frame to write", "check the source")
            for packet in self._stream.encode():
                self._mux(packet)
            if self._along is not None:
                self._along.copy_until(None)
            self._container.close()
        except (self._av.error.FFmpegError, OSError) as error:
            failed = self._failed(error)
            if self._growing is not None:
                self._keep_what_plays()
            self.abort()
            raise failed from error
        except BaseException:
            self.abort()
            raise
        self._done = True
        self._close_inputs()
        self._file.commit()

    def abort(self) -> None:
        """Give up: nothing appears under the name, and the temporary file is removed. Idempotent."""
        if self._done:
            return
        self._done = True
        self._file.discard()  # first, so that a second interrupt cannot leave it behind
        if not self._in_use.acquire(timeout=10.0):
            return  # a write hangs in another thread: its container must not be pulled away from under it
        self._close_container()
        self._close_inputs()
        self._file.discard()

    def __enter__(self) -> VideoSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def faults(self) -> list[str]:
        """What of sound and subtitles could not be carried along, a sentence each."""
        return [] if self._along is None else self._along.faults

    def _mux(self, packet: Any) -> None:
        """Write a packet of the picture. The container keeps tracks waiting for each other, so that what it refuses
        here may be a waiting packet of the sound: the picture then goes on without it.
        """
        try:
            self._container.mux(packet)
        except (self._av.error.FFmpegError, OSError) as error:
            broken = self._growing is not None and self._growing.error is not None
            if broken or getattr(error, "errno", None) in OF_THE_DISK or self._along is None:
                raise
            if not self._along.drop(native_words(error)):
                raise

    def _kind(self, recoverable: bool) -> tuple[str, dict[str, str]]:
        """FFmpeg's name of the container, and its options."""
        suffix = self.path.suffix.lower()
        matroska = suffix in (".mkv", ".webm")
        kind = {".mkv": "matroska", ".webm": "webm", ".mov": "mov"}.get(suffix, "mp4")
        if recoverable:
            return kind, dict(MATROSKA_OPTIONS if matroska else MP4_OPTIONS)
        return kind, {} if matroska else {"movflags": "+faststart"}

    def _open_container(self, recoverable: bool) -> Any:
        kind, options = self._kind(recoverable)
        if not recoverable:
            return open_container(self._file.temporary, "w", format=kind, options=options)
        self._growing = RecoverableFile(self._file.temporary)
        return self._av.open(self._growing, "w", format=kind, options=options)

    def _keep_what_plays(self) -> None:
        """Give the name to what was recorded before something failed, as far as it plays."""
        assert self._growing is not None
        self._done = True
        self._close_container()
        self._close_inputs()
        try:
            plays = keep_whole_fragments(self._file.temporary)
        except OSError:
            plays = True  # unknown, so kept
        if plays:
            self._file.commit()
        else:
            self._file.discard()

    def _close_container(self) -> None:
        """Close it without a word, whatever state it is in; a recoverable file is left as it is."""
        if self._container is None:
            return
        if self._growing is not None:
            self._growing.frozen = True
            with contextlib.suppress(Exception):  # FFmpeg 8 crashes when it closes such an MP4 without any packet
                if self.frames_written == 0:
                    self._stream.encode(self._converted(np.zeros((*self._size_hw, 3), np.uint8)))
                for packet in self._stream.encode():
                    self._container.mux(packet)
        with contextlib.suppress(Exception):
            self._container.close()

    def _close_inputs(self) -> None:
        if self._along is not None:
            self._along.close()
        if self._growing is not None:
            with contextlib.suppress(OSError):
                self._growing.close()

    def _add_stream(self, rate: Fraction, sample_aspect_ratio: Fraction) -> Any:
        encoder = self._encoder
        stream = self._container.add_stream(encoder.name, rate=rate.limit_denominator(1_000_000))
        stream.height, stream.width = even(self._size_hw)
        stream.pix_fmt = encoder.pixel_format
        options = dict(encoder.options)
        if encoder.quality:
            options[encoder.quality] = str(self._options.crf)
        elif not self._options.alpha:  # ProRes has its own
            stream.bit_rate = bit_rate(self._size_hw, float(rate))
        if encoder.takes_speed:
            options["preset"] = self._options.preset
            if self._options.preset not in _PATIENT:
                options["x264-params"] = _SHORT_LOOK_AHEAD
        stream.options = options
        context = stream.codec_context
        context.time_base = self._time_base
        stream.time_base = self._time_base
        tag(context)
        if sample_aspect_ratio != 1:
            context.sample_aspect_ratio = sample_aspect_ratio
        if self._options.threads:
            context.thread_count = self._options.threads
        return stream

    def _failed(self, error: Exception) -> SinkError:
        if self._growing is not None and self._growing.error is not None:
            error = self._growing.error
        if isinstance(error, OSError) and error.errno:
            return unwritable(self.path, error)
        return SinkError(
            f"cannot write {self.path}: {native_words(error)}", "try another container (.mkv), or another folder"
        )


def check_suffix(path: str | Path, alpha: bool = False) -> None:
    """Raise ``SinkError`` when a name's suffix is no video container that we write, ``alpha`` with alpha."""
    suffix = Path(path).suffix.lower()
    if alpha and suffix not in WITH_ALPHA:
        raise SinkError(
            f"{path}: no video with alpha ends in {suffix!r}", "use .mov (ProRes 4444) or .webm (VP9, without sound)"
        )
    if not alpha and suffix not in OUTPUT_SUFFIXES:
        also = "; .webm is for --cut-out" if suffix in WITH_ALPHA else ""
        raise SinkError(f"{path}: no video format ends in {suffix!r}", f"use one of {' '.join(OUTPUT_SUFFIXES)}{also}")
