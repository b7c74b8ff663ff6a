"""Where results go: sinks in their own threads, pages with before and after, and a window with text over it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

from edge_harmony.backgrounds.fit import fit
from edge_harmony.capture.source import Source
from edge_harmony.live.controls import Controls
from edge_harmony.live.figures import Figures
from edge_harmony.live.hotkeys import press
from edge_harmony.live.overlay import draw
from edge_harmony.live.result import Result
from edge_harmony.pixels.frame import Frame
from edge_harmony.sinks.base import Display, LiveSink, PageSink
from edge_harmony.sinks.fanout import Fanout

_FIGURES_EVERY_S: Final = 0.5  # how often the figures on the picture change: often enough, and readable


class Outputs:
    """Hands results to sinks, pages and a window.

    Sinks get pictures of the first one's size for ever: a source that changes its size is fitted into it, with bars.
    Figures, help, notices and the countdown are drawn for the window alone; a page shows them itself, and compares
    with its own slider, so it gets the picture without the comparison.

    Args:
        sinks: those that are a ``PageSink`` also get the plain composite when they want it.
        window: or None.
        controls: what keys act on.
        figures: what is drawn, and told when a picture was shown.
    """

    def __init__(self, sinks: Sequence[LiveSink], window: Display | None, controls: Controls, figures: Figures) -> None:
        self._pages = [sink for sink in sinks if isinstance(sink, PageSink)]
        others = [sink for sink in sinks if not isinstance(sink, PageSink)]
        self._fanout = Fanout(others) if others else None
        self._window, self._controls, self._figures = window, controls, figures
        self._size_hw: tuple[int, int] = (0, 0)
        self._show_help = False
        self._drawn: tuple[float, dict[str, Any]] | None = None

    def start(self, source: Source) -> None:
        """Frames of the source's size and rate will come.

        Raises:
            SinkError: a sink cannot start.
        """
        self._size_hw = source.size_hw
        for sink in (*self._pages, *([self._fanout] if self._fanout else [])):
            sink.start(source.size_hw, source.rate)

    def put(self, result: Result, countdown: str) -> None:
        """Hand out one result; waits only for sinks that must lose nothing."""
        for page in self._pages:
            before = result.before() if page.wants_plain else None
            page.write(self._fitted(result.after()), result.pts_s, before)
        if self._fanout is not None:
            self._fanout.write(self._fitted(result.image_bgr), result.pts_s, lambda: self._fitted(result.cut_out()))
        self._show(result, countdown)
        if self._window is not None and not result.held:
            self._figures.note_latency(result.captured_s, "display")

    def idle(self, result: Result | None, countdown: str) -> None:
        """Nothing new: keep the window answering."""
        if result is not None and self._window is not None:
            self._show(result, countdown)

    def toggle_help(self) -> None:
        """Show the list of keys, or hide it."""
        self._show_help = not self._show_help

    def dropped(self) -> dict[str, int]:
        """How many pictures each sink left out, by its name."""
        return dict(self._fanout.dropped) if self._fanout is not None else {}

    @property
    def failures(self) -> list[Exception]:
        """What went wrong with sinks while the others went on."""
        return list(self._fanout.failures) if self._fanout is not None else []

    @property
    def exhausted(self) -> bool:
        """Whether there were outputs and all of them have failed."""
        if self._fanout is None or self._pages or self._window is not None:
            return False
        return self._fanout.working == 0

    def close(self) -> None:
        """Finish every file and close everything; may be called twice.

        Raises:
            SinkError: a file could not be finished.
        """
        with contextlib.ExitStack() as stack:
            if self._window is not None:
                stack.callback(self._window.close)
            for page in self._pages:
                stack.callback(page.close)
            if self._fanout is not None:
                stack.callback(self._fanout.close)

    def _fitted(self, image: Frame) -> Frame:
        return image if image.shape[:2] == self._size_hw else fit(image, self._size_hw, "contain")

    def _show(self, result: Result, countdown: str) -> None:
        if self._window is None:
            return
        figures = self._figures_now() if self._controls.get("figures") else None
        image = draw(result.image_bgr, figures, self._show_help, self._figures.notice, countdown)
        for key in self._window.show(image):
            said = press(self._controls, key)
            if said:
                self._figures.say(said, 1.5)

    def _figures_now(self) -> dict[str, Any]:
        now = time.monotonic()
        if self._drawn is None or now - self._drawn[0] > _FIGURES_EVERY_S:
            self._drawn = (now, self._figures.snapshot())
        return self._drawn[1]
