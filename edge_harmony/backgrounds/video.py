"""A video as a background: decoded ahead in a thread, looped by its own clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

from edge_harmony.backgrounds.fit import fit
from edge_harmony.capture.source import Source
from edge_harmony.errors import EdgeHarmonyError, SourceError
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.run.read_ahead import ReadAhead

_AHEAD: Final = 3  # frames decoded before they are due
_LATEST_S: Final = 1.0  # a clock that is further behind starts from where it is


class VideoBackground:
    """Shows a video at its own speed, whatever the rate of what stands in front of it, again and again.

    Frames are repeated or passed over as the video's timestamps say. After a pause (nobody asked for more than a
    second) it goes on where it was. When the file cannot be read any more, which is said once, its last picture
    stays.

    Args:
        source: is closed with this object.
        size_hw, mode: frames are fitted in the thread that decodes.
        exact: wait for the frame that is due, for files where nothing is late; else show the newest there is.
        say: told what happened when reading fails.

    Raises:
        SourceError: the first frame cannot be read.
    """

    def __init__(
        self,
        source: Source,
        size_hw: tuple[int, int],
        mode: str,
        exact: bool,
        say: Callable[[str], None],
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        self._source, self._size_hw, self._mode = source, size_hw, mode
        self._exact, self._say = exact, say
        self._shape = float(source.sample_aspect_ratio / sample_aspect_ratio)
        self._frames = ReadAhead(self._rounds(), _AHEAD, "edge-harmony background video")
        try:
            first = self._frames.read()
            if first is None:
                raise SourceError(f"{source.name} holds no frame", "name another background")
        except BaseException:
            self.close()
            raise
        self._shown = first[1]
        self._shift_s = 0.0  # by how much this video's clock is behind the stream's
        self._next: tuple[Fraction, Frame] | None = None
        self._failed = False

    def at(self, time_s: float, _frame_bgr: Frame, _alpha: Alpha) -> Frame:
        """The picture that is due at a time since the start; the same array as long as it stays the same."""
        self._size_hw = (_frame_bgr.shape[0], _frame_bgr.shape[1])
        while True:
            if self._next is None:
                self._next = self._read()
                if self._next is None:
                    break
            late_s = time_s - self._shift_s - float(self._next[0])
            if late_s < 0:
                break
            if late_s > _LATEST_S and not self._exact:
                self._shift_s += late_s
            self._shown, self._next = self._next[1], None
        return self._shown

    def close(self) -> None:
        """Stop decoding; may be called twice."""
        self._frames.close()
        self._source.close()

    def _read(self) -> tuple[Fraction, Frame] | None:
        if self._failed:
            return None
        try:
            return self._frames.read(None if self._exact else 0.0)
        except EdgeHarmonyError as error:
            self._failed = True
            self._say(f"{error.message}; the background's last picture stays")
            return None

    def _rounds(self) -> Iterator[tuple[Fraction, Frame]]:
        """Every frame with the time at which it is due, for ever; a video of one frame gives it once."""
        origin = Fraction(0)
        while True:
            first_s: Fraction | None = None
            end_s, count = Fraction(0), 0
            for frame in self._source:
                first_s = frame.time_s if first_s is None else first_s
                length = frame.duration * frame.time_base or 1 / self._source.rate
                end_s = frame.time_s + length
                count += 1
                picture = fit(frame.image_bgr, self._size_hw, self._mode, self._shape)
                picture.setflags(write=False)
                yield origin + frame.time_s - first_s, picture
            if first_s is None or count == 1:
                return
            origin += end_s - first_s
