"""A video file written while the stream runs."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backgrounds.fit import fit
from edge_harmony.capture.network import WebFile
from edge_harmony.errors import ConfigError, SinkError
from edge_harmony.notice import note
from edge_harmony.run.whole_file import left_over
from edge_harmony.sinks.recoverable import name_left_over
from edge_harmony.sinks.video import VideoOptions, VideoSink, check_suffix

_log = logging.getLogger(__name__)

LIVE_OPTIONS: Final = VideoOptions(crf=20, preset="veryfast")  # 1080p at 30 a second on two cores
_TIME_BASE: Final = Fraction(1, 90_000)
_SHORTEST: Final = 90  # in units of it: Matroska counts milliseconds
_LONGEST_GAP_S: Final = 60.0  # what is longer is a clock that was set


class Recording:
    """Records to .mp4, .mov, .m4v or .mkv, or the subject alone with its alpha to .mov or .webm; a ``LiveSink``.

    - Every picture keeps its time, so a dropped one leaves a gap and nothing drifts: the rate varies. With
      ``constant_rate`` pictures are repeated or left out instead, for editors that want that.
    - The first picture's time is the file's 0.
    - The file appears under its name when it is finished. Until then it is a hidden ``.NAME.XXXXXXXX.part.EXT`` beside
      it, which plays even if the process is killed; ``close`` and ``abort`` finish it as soon as there is a picture.
      What a killed run of this name left is called ``NAME-recovered.EXT`` by ``start``.
    - When the disk fills up, what was recorded until then is kept under the name.
    - The size is that of the first picture; others are fitted into it with bars. Colour as ``VideoSink``.

    Attributes:
        path: the file.
        frames_written: pictures in the file, repeated ones included.
    """

    records = True

    def __init__(
        self,
        path: str | Path,
        options: VideoOptions | None = None,
        *,
        constant_rate: Fraction | None = None,
        audio_from: Path | WebFile | None = None,
        audio_start_s: Fraction = Fraction(0),
        sound: bool = True,
        sample_aspect_ratio: Fraction = Fraction(1),
        overwrite: bool = False,
        lossless: bool = False,
    ) -> None:
        """Take the settings; the file is made by ``start``.

        Args:
            path: the suffix says the container.
            options: quality, speed, and whether with alpha; the default keeps up with a camera.
            constant_rate: frames a second, exact; None keeps the times.
            audio_from: file, on a disk or of the web, whose sound, subtitles and titles go along; None for none.
            audio_start_s: the time in that file at which the first picture is shown.
            sound: whether the sound is among it.
            sample_aspect_ratio: width of a pixel divided by its height.
            overwrite: whether a file of that name may be replaced.
            lossless: whether whoever writes waits for the encoder, rather than dropping pictures.

        Raises:
            SinkError: the suffix is no container that we write.
            ConfigError: a rate that makes no sense.
        """
        self._options = options or LIVE_OPTIONS
        self.alpha = self._options.alpha
        check_suffix(path, self.alpha)
        if constant_rate is not None and not 0 < constant_rate <= 1000:
            raise ConfigError(f"{constant_rate} frames a second cannot be recorded", "name a rate such as 30")
        self.path = Path(path)
        self.name = str(path)
        self.lossless = lossless
        self._rate = constant_rate
        self._along = (audio_from, audio_start_s, sound)
        self._sar = sample_aspect_ratio
        self._overwrite = overwrite
        self._video: VideoSink | None = None
        self._size_hw = (0, 0)
        self._first_s: float | None = None
        self._last_pts = -1
        self._last: NDArray[np.uint8] | None = None  # only kept for a constant rate
        self._duration = 0

    @property
    def frames_written(self) -> int:
        return self._video.frames_written if self._video is not None else 0

    @property
    def faults(self) -> list[str]:
        """What of sound and subtitles could not be carried along, a sentence each."""
        return self._video.faults if self._video is not None else []

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        """Make the file; see ``LiveSink``."""
        _name_left_over(self.path)
        rate = self._rate or (rate if rate > 0 else Fraction(30))
        self._size_hw = size_hw
        self._duration = round(1 / (rate * _TIME_BASE))
        audio_from, audio_start_s, sound = self._along
        self._video = VideoSink(
            self.path,
            size_hw,
            1 / self._rate if self._rate else _TIME_BASE,
            rate,
            self._options,
            audio_from,
            self._sar,
            self._overwrite,
            recoverable=True,
            audio_start_s=audio_start_s,
            sound=sound,
        )

    def write(self, image_bgr: NDArray[np.uint8], pts_s: float) -> None:
        """Record one picture; see ``LiveSink``."""
        if self._video is None:
            raise SinkError(f"{self.name} was not started", "call start first")
        image_bgr = fit(image_bgr, self._size_hw, "contain")
        if self._first_s is None:
            self._first_s = pts_s
        if self._rate is not None:
            self._write_constant(image_bgr, pts_s, self._rate)
            return
        pts = max(round((pts_s - self._first_s) / _TIME_BASE), self._last_pts + _SHORTEST if self.frames_written else 0)
        self._video.write(image_bgr, pts, self._duration)
        self._last_pts = pts

    def close(self) -> None:
        """Finish the file and give it its name; see ``LiveSink``. Without a picture there is none."""
        video = self._video
        self._last = None
        if video is None:
            return
        if video.frames_written == 0:
            video.abort()
            _log.warning("%s was not written: there was no picture", self.name)
            return
        video.close()

    def abort(self) -> None:
        """The same, without errors: what was recorded is kept."""
        try:
            self.close()
        except SinkError as error:
            _log.warning("%s", error)

    def _write_constant(self, image_bgr: NDArray[np.uint8], pts_s: float, rate: Fraction) -> None:
        """Put the picture at the place nearest to its time, and the one before at the places between."""
        assert self._video is not None
        assert self._first_s is not None
        place = round((pts_s - self._first_s) * float(rate))
        if place <= self._last_pts:
            return
        if place - self._last_pts > _LONGEST_GAP_S * rate:
            self._first_s = pts_s - (self._last_pts + 1) / float(rate)
            place = self._last_pts + 1
            _log.warning("%s: the clock jumped; the recording goes on without the gap", self.name)
        for between in range(self._last_pts + 1, place):
            assert self._last is not None
            self._video.write(self._last, between, 1)
        self._video.write(image_bgr, place, 1)
        self._last_pts, self._last = place, image_bgr


def _name_left_over(path: Path) -> None:
    """Name the recordings of this name that a run which was killed left behind."""
    for part in left_over(path):
        try:
            found = name_left_over(part, path)
        except OSError as error:
            note(_log, "%s is what a run that was killed recorded; it cannot be renamed: %s", part, error.strerror)
            continue
        if found is not None:
            note(_log, "%s is what a run that was killed recorded", found)
