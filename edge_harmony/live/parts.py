"""The parts that each frame is composited from, made in a thread while the frame before is composited."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from edge_harmony.backgrounds.live import LiveBackground
from edge_harmony.capture.source import TimedFrame
from edge_harmony.live.controls import Controls
from edge_harmony.live.figures import Figures
from edge_harmony.live.subject import Subject
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.run.signals import Request

POLL_S: Final = 0.05  # how often a waiting loop looks at keys and controls
_EMPTY_S: Final = 1.0  # without a subject, until it is said
_HELD_EVERY_S: Final = 0.1  # how often the picture is repeated while the source is lost


class Reader(Protocol):
    """What frames are read from: ``LiveReader`` or ``ReadAhead``."""

    @property
    def dropped(self) -> int:
        """Frames that nobody saw."""
        ...

    @property
    def outages(self) -> int:
        """How often the source was lost."""
        ...

    @property
    def state(self) -> str:
        """``live``, ``lost`` or ``ended``; asked before ``read``, whose None is then the end."""
        ...

    def read(self, timeout_s: float) -> TimedFrame | None:
        """The next frame, or None."""
        ...

    def close(self) -> None:
        """End its thread."""
        ...


@dataclass(frozen=True)
class Parts:
    """One frame, ready for the compositor.

    Attributes:
        frame: as it was captured.
        subject_bgr: the subject's own colour, uint8 (H, W, 3).
        alpha: uint8 (H, W), of this very frame.
        background_bgr: uint8 (h, w, 3), only to be read.
        steady_key: equal to the last frame's while steadiness over time makes sense.
        pts_s: seconds since the first frame.
        lost: there is no new frame, because the source is lost: background alone, alpha is 0 everywhere.
        nobody: a matte looked for the subject and found none.
    """

    frame: TimedFrame
    subject_bgr: Frame
    alpha: Alpha
    background_bgr: Frame
    steady_key: tuple[Any, ...]
    pts_s: float
    lost: bool = False
    nobody: bool = False


class PartsReader:
    """Gives each frame's parts, until the source ends or ``stop`` is set; for one thread.

    Args:
        reader: where frames come from.
        subject, background: what is done to them; used by the iterating thread alone.
        controls: followed with each frame. A background that is set from outside is added to what it suggests, and
            one that cannot be opened is taken out.
        figures: told how long ``background`` takes.
        stop: ends the iteration.
        say: told which matte was chosen.
    """

    def __init__(
        self,
        reader: Reader,
        subject: Subject,
        background: LiveBackground,
        controls: Controls,
        figures: Figures,
        stop: Request,
        say: Callable[[str], None],
    ) -> None:
        self._reader, self._subject, self._background = reader, subject, background
        self._controls, self._figures = controls, figures
        self._stop, self._say = stop, say
        self._first_s: float | None = None
        self._said_choice = ""
        self._empty_since: float | None = None  # when the matte found nobody any more
        self._said_empty = False

    def __iter__(self) -> Iterator[Parts]:
        last: Parts | None = None
        said_lost, last_s = False, 0.0
        while not self._stop.is_set():
            state = self._reader.state  # before the frame: what ends in between gave its last one
            frame = self._reader.read(POLL_S)
            self._follow_background()
            now = time.monotonic()
            if frame is None:
                if state == "ended":
                    return
                if state == "lost" and last is not None and now - last_s > _HELD_EVERY_S:
                    if not said_lost:
                        self._figures.say("the source is lost: waiting for it to come back", 1e9)
                        said_lost = True
                    last_s = now
                    yield self._without_frame(last, now)
                continue
            if said_lost:
                said_lost = False
                self._figures.say("the source is back")
                self._subject.reset()
            last, last_s = self._cut(frame, now), now
            yield last

    def _cut(self, frame: TimedFrame, now: float) -> Parts:
        self._first_s = float(frame.time_s) if self._first_s is None else self._first_s
        pts_s = float(frame.time_s) - self._first_s
        self._subject.follow(self._controls.snapshot())
        subject_bgr, alpha = self._subject.cut(frame, now)
        if self._subject.choice != self._said_choice:
            self._said_choice = self._subject.choice
            self._say(self._said_choice)
        with self._figures.timer.stage("background"):
            behind = self._background.at(pts_s, frame.image_bgr, alpha)
        shape, outages = frame.image_bgr.shape, self._reader.outages
        steady_key = (shape, self._background.generation, outages, self._subject.generation)
        return Parts(frame, subject_bgr, alpha, behind, steady_key, pts_s, nobody=self._nobody(alpha, now))

    def _nobody(self, alpha: Alpha, now: float) -> bool:
        """Whether a matte found nobody; said after a while, and taken back when somebody comes."""
        if self._subject.matte is None or alpha.any():
            if self._said_empty:
                self._figures.say("somebody is there")
            self._empty_since, self._said_empty = None, False
            return False
        self._empty_since = now if self._empty_since is None else self._empty_since
        if not self._said_empty and now - self._empty_since > _EMPTY_S:
            self._figures.say("nobody is there", 1e9)
            self._said_empty = True
        return True

    def _without_frame(self, last: Parts, now: float) -> Parts:
        """The background goes on; the subject is the compositor's to hold or to leave out."""
        pts_s = last.pts_s + max(0.0, now - (last.frame.captured_s or now))
        empty = np.zeros_like(last.alpha)
        behind = self._background.at(pts_s, last.frame.image_bgr, empty)
        return Parts(last.frame, last.subject_bgr, empty, behind, last.steady_key, pts_s, lost=True)

    def _follow_background(self) -> None:
        wanted = self._controls.get("background")
        if self._background.refused:
            refused, self._background.refused = self._background.refused, ""
            self._controls.withdraw("background", refused)
            if wanted == refused:
                wanted = self._background.wanted
                self._controls.set("background", wanted)
        if wanted and wanted != self._background.wanted:
            self._background.change(wanted)
            if not wanted.startswith("#"):  # colours come by the dozen while someone looks for one
                self._controls.offer("background", wanted)


def next_after(backgrounds: Sequence[str], shown: str) -> str:
    """The background that follows in the list, round and round; "" for an empty list."""
    if not backgrounds:
        return ""
    place = backgrounds.index(shown) + 1 if shown in backgrounds else 0
    return backgrounds[place % len(backgrounds)]
