"""From a source to its sinks while it runs: newest frame in, finished picture out."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.backgrounds.live import LiveBackground, expand
from edge_harmony.capture import CaptureOptions
from edge_harmony.capture.live import LiveReader
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.live.controls import Controls
from edge_harmony.live.figures import Figures
from edge_harmony.live.opening import mask_file, open_compositor, open_live_source, open_subject
from edge_harmony.live.parts import POLL_S, Parts, PartsReader, Reader, next_after
from edge_harmony.live.result import Result
from edge_harmony.live.screen import Screen
from edge_harmony.live.screenshot import Screenshots
from edge_harmony.live.view import matte_view, side_view, split_view
from edge_harmony.matte.base import Matte
from edge_harmony.pixels.frame import Frame
from edge_harmony.run.read_ahead import ReadAhead
from edge_harmony.run.signals import Request
from edge_harmony.sinks.base import Display, LiveSink
from edge_harmony.sinks.fanout import Fanout

_log = logging.getLogger(__name__)


class Pipeline:
    """Runs a stream: reads, mattes, composites, harmonizes and hands out.

        with Pipeline("0", background="beach.jpg") as pipeline:
            for result in pipeline:
                show(result.image_bgr)

    Reading, cutting out the subject, decoding a background video and every sink have threads of their own;
    compositing happens in the thread that iterates, which is also the one that callbacks and windows see. A live
    source gives its newest frame, so that a slow consumer loses frames, never time; a file loses none.

    Exceptions from any part, and from callbacks, appear in the thread that iterates, after everything was closed;
    files that were being written are finished first, so they play. No thread outlives ``close``.

    Attributes:
        controls: what can be changed while it runs.
        figures: rates, latency, drops, stages.
        compositor: the one that is used.
        source: the source.
    """

    def __init__(
        self,
        source: Source | str | int,
        matte: Matte | str | None = "auto",
        background: str | Frame | Sequence[str] = "blur",
        harmonizer: Harmonizer | str | None = "auto",
        sinks: Sequence[LiveSink] = (),
        *,
        controls: Controls | None = None,
        figures: Figures | None = None,
        capture: CaptureOptions | None = None,
        realtime: bool = False,
        loop: bool = False,
        matte_options: Mapping[str, Any] | None = None,
        estimate: bool = True,
        fit: str = "cover",
        hold: str = "picture",
        screenshots: str | Path = ".",
        window: Display | None = None,
        say: Callable[[str], Any] = _log.warning,
    ) -> None:
        """Open everything; nothing runs before it is iterated.

        Args:
            source: what ``edge_harmony.capture.open_source`` opens, or a source, which is closed with the pipeline.
            matte: ``auto``, ``person``, ``person:fine``, ``chroma``, ``plate`` (taken after a countdown),
                ``FILE.onnx``, a mask video or picture, ``none``, or a matte; None (and ``none``) takes the alpha that
                comes with the frames, and without one passes the frame as it is.
            background: ``#rrggbb``, ``blur``, a picture, a video, a folder of them, or an array uint8 (h, w, 3);
                several of them to step through.
            harmonizer: from ``load_harmonizer``; ``auto``, or a model's path, loads one; None composites without
                changing colours.
            sinks: each gets a thread, and is closed with the pipeline.
            controls, figures: made here unless given.
            capture: what to ask of a camera or network stream that is opened here.
            realtime: play a file at its own speed, as if it were a camera; else it is read as fast as it goes, and
                nothing is dropped.
            loop: start a file again when it ends.
            matte_options: options of the matte's class, for a ``matte`` that is opened here.
            estimate: whether the subject's own colour is estimated at soft edges.
            fit: how a background of another shape fills the frame: ``cover``, ``contain`` or ``stretch``.
            hold: what is shown while the source is lost: the last ``picture``, or the ``background`` alone.
            screenshots: folder for them.
            say: told, in words for people, which matte was chosen and which background cannot be read.
            window: a window with ``show(image_bgr) -> keys`` and ``close()``, used in the thread that iterates.

        Raises:
            EdgeHarmonyError: whatever cannot be opened; nothing stays open then.
        """
        if hold not in ("picture", "background"):
            raise ConfigError(f"hold is {hold!r}", "use picture or background")
        self.controls = controls or Controls()
        self.figures = figures or Figures()
        self._hold, self._tell = hold, say
        self._stop = Request()
        self._closing = contextlib.ExitStack()
        self._closed = self._started = False
        self._on_frame: Callable[[TimedFrame], Any] | None = None
        self._last: Result | None = None
        self._steady_key: tuple[Any, ...] | None = None
        with self._closing:  # closes what is open when something fails
            self.source = open_live_source(source, mask_file(matte), capture, realtime, loop)
            self._closing.callback(self.source.close)
            self._subject = open_subject(
                matte, self.source, self.controls, self.figures.timer, matte_options or {}, estimate, self._closing
            )
            first: Any = background if isinstance(background, np.ndarray) else self._suggest(background)
            exact = not self.source.live
            self._background = LiveBackground(
                first, self.source.size_hw, fit, exact, self._say, self.source.sample_aspect_ratio
            )
            self._closing.callback(self._background.close)
            self.compositor = open_compositor(harmonizer, self.controls, fit, self._closing)
            self.figures.add_timer(self.compositor.timings)
            self._screenshots = Screenshots(screenshots, self.figures.say)
            self._closing.callback(self._screenshots.close)
            self._screen = None if window is None else Screen(window, self.controls, self.figures)
            if self._screen is not None:
                self._closing.callback(self._screen.close)
            self._sinks = Fanout(sinks)
            self._closing.callback(self._sinks.close)
            self._closing = self._closing.pop_all()
        self.figures.watch(self._watched)
        self._reader: Reader | None = None

    def __iter__(self) -> Iterator[Result]:
        """Start, and give each result as it is finished; ends with the source, ``stop``, or the action ``quit``.

        Raises:
            EdgeHarmonyError: something failed for good; or the pipeline ran already.
        """
        if self._started or self._closed:
            raise EdgeHarmonyError("a pipeline runs once", "make another one")
        self._started = True
        try:
            parts_ahead = self._start()
            while not self._stop.is_set():
                self._serve()
                ended = parts_ahead.state == "ended"
                parts = parts_ahead.read(POLL_S)
                if parts is None:
                    if ended:
                        break
                    if self._last is not None:
                        self._show(self._last, again=True)
                    continue
                result = self._finish(parts)
                if self._sinks.sinks:
                    self._sinks.write(result.image_bgr, result.pts_s, result.cut_out, result.after(), result.before)
                self._show(result)
                yield result
        except BaseException:
            self._give_up()
            raise
        self.close()

    def run(
        self,
        on_result: Callable[[Result], Any] | None = None,
        on_frame: Callable[[TimedFrame], Any] | None = None,
    ) -> dict[str, Any]:
        """Run to the end.

        Args:
            on_result: called with each result, in this thread.
            on_frame: called with each captured frame before it is composited, in this thread; not to be changed.

        Returns:
            The last ``figures.snapshot()``.

        Raises:
            As iterating; and what a callback raises, after everything was closed.
        """
        self._on_frame = on_frame
        try:
            for result in self:
                if on_result is not None:
                    on_result(result)
        except BaseException:
            self._give_up()
            raise
        return self.figures.snapshot()

    @property
    def failures(self) -> list[Exception]:
        """What went wrong with sinks while the others went on."""
        return list(self._sinks.failures)

    @property
    def exhausted(self) -> bool:
        """Whether every sink, page and window that there was has failed."""
        return self._screen is None and bool(self._sinks.sinks) and self._sinks.working == 0

    def stop(self) -> None:
        """Ask it to end after the frame at hand; from any thread, a signal handler or a callback."""
        self._stop.set()

    def close(self) -> None:
        """End every thread, finish every file, close everything; may be called twice.

        Call it from the thread that iterates, or after it has ended; ``stop`` is for other threads.
        """
        self._stop.set()
        if self._closed:
            return
        self._closed = True
        self.figures.end()
        self._closing.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _give_up(self) -> None:
        """Close; what failed first is what the caller is to see."""
        try:
            self.close()
        except Exception as error:
            _log.warning("while closing: %s", error)

    def _suggest(self, background: str | Sequence[str]) -> str:
        """Offer the backgrounds that were named; the first of them."""
        specs = expand([background] if isinstance(background, str) else list(background))
        if not specs:
            raise ConfigError("there is no background", "name a picture, a video, #rrggbb, or blur")
        self.controls.suggest("background", specs)
        self.controls.set("background", specs[0])
        return specs[0]

    def _start(self) -> ReadAhead[Parts]:
        reader: Reader
        if self.source.live:
            reader = LiveReader(self.source)
        else:
            reader = ReadAhead(self.source, 2, "edge-harmony reader", self.figures.timer, "read")
        self._reader = reader
        self._closing.callback(reader.close)
        made = PartsReader(
            reader, self._subject, self._background, self.controls, self.figures, self._stop, self._say,
        )  # fmt: skip
        parts_ahead = ReadAhead(made, 1, "edge-harmony matte")
        self._closing.callback(parts_ahead.close)
        self._closing.callback(self._stop.set)  # before the threads are waited for
        self._sinks.start(self.source.size_hw, self.source.rate)
        return parts_ahead

    def _finish(self, parts: Parts) -> Result:
        """Composite one frame's parts, in the thread that iterates."""
        settings = self.controls.snapshot()
        pts_s = parts.pts_s if self._last is None else max(parts.pts_s, self._last.pts_s + 1e-3)
        held = parts.lost or settings["frozen"]
        if held and self._last is not None and not (parts.lost and self._hold == "background"):
            result = replace(
                self._last, frame_bgr=parts.frame.image_bgr, alpha=parts.alpha, background_bgr=parts.background_bgr,
                index=parts.frame.index, pts_s=pts_s, captured_s=parts.frame.captured_s, latency_ms=0.0, held=True,
            )  # fmt: skip
        else:
            result = self._composite(parts, settings, pts_s)
        self._last = result
        self.figures.count(result.held)
        return result

    def _composite(self, parts: Parts, settings: Mapping[str, Any], pts_s: float) -> Result:
        if self._on_frame is not None and not parts.lost:
            self._on_frame(parts.frame)
        compositor = self.compositor
        if parts.steady_key != self._steady_key:
            if self._steady_key is not None:
                compositor.reset()
            self._steady_key = parts.steady_key
        compositor.strength = settings["strength"] if settings["harmonize"] else 0.0
        compositor.smoothing = settings["smoothing"]
        compositor.light_wrap, compositor.grain = settings["light_wrap"], settings["grain"]
        layers = parts.subject_bgr, parts.alpha, parts.background_bgr
        if settings["matte_view"]:
            image = after = matte_view(parts.alpha)
        elif parts.nobody and settings["nobody"] == "picture":
            image = after = parts.frame.image_bgr.copy()
        else:
            image = after = compositor.process(*layers, pts_s=pts_s)
            if settings["compare"] != "off":
                before = compositor.composite(*layers)
                side = settings["compare"] == "side"
                image = side_view(before, image) if side else split_view(before, image, settings["split"])
        cut_out = functools.cache(lambda: compositor.cut_out_again(parts.subject_bgr, parts.alpha))
        captured_s = parts.frame.captured_s or time.monotonic()
        latency_ms = (time.monotonic() - captured_s) * 1e3
        if not parts.lost:
            self.figures.note_latency(captured_s)
        return Result(
            image, parts.frame.image_bgr, parts.alpha, parts.background_bgr, parts.frame.index, pts_s, captured_s,
            latency_ms, parts.lost, lambda: compositor.composite(*layers), after, cut_out,
        )  # fmt: skip

    def _show(self, result: Result, again: bool = False) -> None:
        if self._screen is not None:
            self._screen.show(result, self._subject.countdown.text(time.monotonic()), again)

    def _serve(self) -> None:
        """Do what was asked for since the last frame."""
        for action in self.controls.take_actions():
            if action == "quit":
                self._stop.set()
            elif action == "screenshot" and self._last is not None:
                self._screenshots.save(self._last.image_bgr)
            elif action == "plate" and not self._subject.take_plate(time.monotonic()):
                self._say("this matte uses no clean plate; --matte plate does")
            elif action == "next_background":
                following = next_after(self.controls.suggested("background"), self.controls.get("background"))
                if following:
                    self.controls.set("background", following)
            elif action == "help" and self._screen is not None:
                self._screen.toggle_help()

    def _say(self, text: str) -> None:
        self._tell(text)
        self.figures.say(text)

    def _watched(self) -> dict[str, Any]:
        reader = self._reader
        height, width = self.source.size_hw
        return {
            "source": self.source.name,
            "size": f"{width}x{height}",
            "state": "starting" if reader is None else "ended" if self._closed else reader.state,
            "outages": 0 if reader is None else reader.outages,
            "undecodable": self.source.undecodable,
            "dropped": {"source": 0 if reader is None else reader.dropped, **self._sinks.dropped},
            "countdown": self._subject.countdown.text(time.monotonic()),
        }
