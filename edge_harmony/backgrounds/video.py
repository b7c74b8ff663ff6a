"""A video as a background: looped by its own clock, whatever the rate of what stands in front of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from fractions import Fraction
from typing import Final

from edge_harmony.backgrounds.fit import fit
from edge_harmony.capture.looped import Looped
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import EdgeHarmonyError, SourceError
from edge_harmony.pixels.frame import Frame
from edge_harmony.run.read_ahead import ReadAhead

_LATEST_S: Final = 1.0  # a live clock that is further behind starts from where it is


class VideoBackground:
    """Shows a video at its own speed, again and again: frames are repeated or passed over as its timestamps say.

    Args:
        source: is closed with this object. One of a single frame is read once.
        size_hw, mode: how frames are fitted (see ``fit``).
        sample_aspect_ratio: of the pixels of what stands in front.
        ahead: how many frames are decoded before they are due, in a thread of their own; 0 decodes in the thread that
            asks, and none before its time.
        exact: wait for the frame that is due, for files where nothing is late; else show the newest there is, and after
            a pause (nobody asked for more than a second) go on where it was.
        say: told once when the file cannot be read any more, and its last picture stays; None raises that instead.

    Raises:
        SourceError: the first frame cannot be read.
    """

    def __init__(
        self,
        source: Source,
        size_hw: tuple[int, int],
        mode: str = "cover",
        sample_aspect_ratio: Fraction = Fraction(1),
        ahead: int = 0,
        exact: bool = True,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._loop = Looped(source, repeat_stills=False)
        self._size_hw, self._mode = size_hw, mode
        self._exact, self._say = exact, say
        self._shape = float(source.sample_aspect_ratio / sample_aspect_ratio)
        self._frames = self._fitted_frames() if ahead else self._loop.__iter__()
        self._reader = ReadAhead(self._frames, ahead, "edge-harmony background video") if ahead else None
        try:
            first = next(self._frames, None) if self._reader is None else self._reader.read()
            if first is None:
                raise SourceError(f"{source.name} holds no frame", "name another background")
        except BaseException:
            self.close()
            raise
        self._shown = first
        self._next: TimedFrame | None = None
        self._fitted: tuple[Frame, Frame] | None = None  # the picture shown, as it was and as it is fitted
        self._shift_s: Fraction | float = Fraction(0)  # by how much this video's clock is behind the stream's
        self._failed = False

    def at(self, time_s: Fraction | float, size_hw: tuple[int, int]) -> Frame:
        """The picture that is due.

        Args:
            time_s: since the start; must not go back.
            size_hw: of the frame in front.

        Returns:
            uint8 (h, w, 3), only to be read; the same array as long as it stays the same. Of another size than asked
            for, where that has just changed.

        Raises:
            SourceError: the file cannot be read any more, and nobody wants to be told instead.
        """
        self._size_hw = size_hw
        while self._next is not None or self._is_over(time_s):
            if self._next is None:
                self._next = self._read()
                if self._next is None:
                    break
            late_s = self._late_s(time_s, self._next.time_s)
            if late_s < 0:
                break
            if late_s > _LATEST_S and not self._exact:
                self._shift_s += late_s
            self._shown, self._next = self._next, None
        return self._picture()

    @property
    def faults(self) -> list[str]:
        """What was damaged in the file, a sentence each."""
        return self._loop.faults

    def close(self) -> None:
        """Stop decoding and close the file; may be called twice."""
        if self._reader is not None:
            self._reader.close()
        else:
            self._frames.close()
        self._loop.close()

    def _is_over(self, time_s: Fraction | float) -> bool:
        """Whether the time of the frame that is shown is over, or the file does not say how long it lasts."""
        shown = self._shown
        return not shown.duration or self._late_s(time_s, shown.time_s + shown.duration * shown.time_base) >= 0

    def _late_s(self, time_s: Fraction | float, due_s: Fraction) -> Fraction | float:
        """By how much a time is past another of this video's clock; of a float, rounded as one."""
        return time_s - self._shift_s - due_s

    def _read(self) -> TimedFrame | None:
        """The next frame; None where none is there yet, or comes any more."""
        try:
            if self._reader is None:
                return next(self._frames, None)
            return None if self._failed else self._reader.read(None if self._exact else 0.0)
        except EdgeHarmonyError as error:
            if self._say is None:
                raise
            self._failed = True
            self._say(f"{error.message}; the background's last picture stays")
            return None

    def _picture(self) -> Frame:
        shown = self._shown.image_bgr
        if self._reader is not None:
            return shown
        if self._fitted is None or self._fitted[0] is not shown:
            self._fitted = shown, self._fit(shown)
        return self._fitted[1]

    def _fitted_frames(self) -> Generator[TimedFrame, None, None]:
        """Fitted in the thread that decodes."""
        with self._loop.reading() as frames:
            for frame in frames:
                yield replace(frame, image_bgr=self._fit(frame.image_bgr))

    def _fit(self, picture: Frame) -> Frame:
        return fit(picture, self._size_hw, self._mode, self._shape)
