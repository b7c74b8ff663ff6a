"""Several sinks at once, each at its own pace."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import EdgeHarmonyError, SinkError
from edge_harmony.run.handover import Handover
from edge_harmony.sinks.base import LiveSink, PageSink

_log = logging.getLogger(__name__)

_WAITING: Final = 4  # pictures that may wait for a sink: enough for an encoder's keyframe, little enough memory
_STALL_S: Final = 30.0  # a lossless sink that takes nothing for so long has failed
_CLOSE_S: Final = 5.0  # to close what keeps nothing: windows, cameras, connections
_CUT_S: Final = 1.0  # for a sink that was cut off
_FINISH_S: Final = 60.0  # to finish what is kept: files

Picture = Callable[[], NDArray[np.uint8]]


class Fanout:
    """Hands every picture to several sinks, each in a thread of its own.

    - A sink that is slow or blocks loses pictures (the oldest that wait), and the others and the caller go on;
      ``dropped`` counts them. For a lossless sink the caller waits, up to half a minute, then it counts as failed.
    - A sink that fails is closed, logged once, and noted in ``failures``; the others go on.
    - A page (``PageSink``), which takes pictures and returns at once, and a sink with ``own_thread = False`` (a window)
      are used in the caller's thread.

    It is a ``LiveSink`` itself. Not for use by two threads at once, except for the figures, which any thread may read.

    Attributes:
        sinks: in the order given.
        failures: what broke, in order; each error once.
    """

    name = "all sinks"

    def __init__(
        self, sinks: Sequence[LiveSink], *, waiting: int = _WAITING, stall_s: float = _STALL_S,
        close_s: float = _CLOSE_S, finish_s: float = _FINISH_S,
    ) -> None:  # fmt: skip
        """Take the sinks, which belong to the fan-out from now on.

        Args:
            sinks: not started yet.
            waiting: pictures that may wait for each, at least 1.
            stall_s: how long the caller waits for a lossless sink that takes nothing.
            close_s: how long ``close`` waits for all the sinks that keep nothing, together.
            finish_s: how long it waits for each that ``records`` and makes no progress.
        """
        self.sinks = list(sinks)
        self.failures: list[Exception] = []
        self.lossless = any(sink.lossless for sink in self.sinks)
        self._stall_s, self._close_s, self._finish_s = stall_s, close_s, finish_s
        names = _distinct([sink.name for sink in self.sinks])
        self._lanes = [
            _CallersLane(sink, name, self.failures)
            if isinstance(sink, PageSink) or not getattr(sink, "own_thread", True)
            else _Lane(sink, name, waiting, self.failures)
            for sink, name in zip(self.sinks, names, strict=True)
        ]
        self._closed = False

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        """Start every sink, in the caller's thread; when one cannot, those that could are given up, and it raises."""
        for lane in self._lanes:
            try:
                lane.sink.start(size_hw, rate)
            except BaseException:
                self._closed = True
                for other in self._lanes:
                    with contextlib.suppress(Exception):
                        other.sink.abort()
                raise
        for lane in self._lanes:
            lane.run()

    def write(
        self, image_bgr: NDArray[np.uint8], pts_s: float, cut_out: Picture | None = None,
        uncompared: NDArray[np.uint8] | None = None, plain: Picture | None = None,
    ) -> None:  # fmt: skip
        """Hand out one picture, which nobody may write into any more; raises nothing that a sink raises.

        Args:
            image_bgr, pts_s: as for ``LiveSink``.
            cut_out: gives the subject alone, BGRA, for the sinks with ``alpha``; called only where there is one.
            uncompared: the picture for pages, which compare by themselves, where it is another than ``image_bgr``.
            plain: gives the plain composite, for the pages that want it; called only where one does.
        """
        alone: NDArray[np.uint8] | None = None
        for lane in self._lanes:
            if lane.page is not None:
                before = plain() if plain is not None and lane.page.wants_plain else None
                lane.put((image_bgr if uncompared is None else uncompared, pts_s, before), self._stall_s)
            elif lane.alpha and cut_out is not None:
                alone = cut_out() if alone is None else alone
                lane.put((alone, pts_s), self._stall_s)
            else:
                lane.put((image_bgr, pts_s), self._stall_s)

    @property
    def dropped(self) -> dict[str, int]:
        """How many pictures each sink left out, by its name; names that are alike are numbered."""
        return {lane.name: lane.dropped for lane in self._lanes}

    @property
    def written(self) -> dict[str, int]:
        """How many pictures each sink took, by its name."""
        return {lane.name: lane.written for lane in self._lanes}

    @property
    def working(self) -> int:
        """How many sinks have not failed."""
        return sum(lane.error is None for lane in self._lanes)

    def close(self) -> None:
        """Write what waits and close every sink; bounded in time, whatever a sink does. Idempotent.

        One that hangs is given up: its thread, a daemon, ends when its device lets go of it.

        Raises:
            SinkError: the first thing that went wrong meanwhile with a sink that ``records``; all were closed anyway.
        """
        self._end(aborted=False)

    def abort(self) -> None:
        """Stop every sink as fast as possible; raises nothing. Idempotent."""
        with contextlib.suppress(Exception):
            self._end(aborted=True)

    def __enter__(self) -> Fanout:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _end(self, aborted: bool) -> None:
        if self._closed:
            return
        self._closed = True
        before = [lane.error for lane in self._lanes]
        for lane in self._lanes:
            lane.end(aborted)
        deadline_s = time.monotonic() + self._close_s
        for lane in sorted(self._lanes, key=lambda lane: lane.records):
            lane.join(deadline_s, self._finish_s)
        for lane, known in zip(self._lanes, before, strict=True):
            if lane.records and lane.error is not None and known is None:
                raise lane.error


class _Lane:
    """One sink, the pictures that wait for it, and its thread."""

    def __init__(self, sink: LiveSink, name: str, waiting: int, failures: list[Exception]) -> None:
        self.sink, self.name = sink, name
        self.page = sink if isinstance(sink, PageSink) else None
        self.records = sink.lossless or getattr(sink, "records", False)
        self.alpha = bool(getattr(sink, "alpha", False))
        self.written = 0
        self.error: Exception | None = None
        self._failures = failures
        self._pictures: Handover[tuple[Any, ...]] = Handover(waiting)
        self._given_up = 0  # pictures that waited when it was aborted
        self._failing = threading.Lock()
        self._aborted = False
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        self._thread = threading.Thread(target=self._work, name=f"edge-harmony sink {self.name}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Pictures that the sink never got while it worked."""
        return self._pictures.dropped + self._given_up

    def put(self, picture: tuple[Any, ...], stall_s: float) -> None:
        """Hand over what the sink's ``write`` is to be given."""
        if self._thread is None or self.error is not None:
            return
        if self.sink.lossless and not self._pictures.wait_for_room(stall_s) and not self._pictures.stopped:
            self._fail(SinkError(f"{self.name} took no picture for {stall_s:g} s", "is its disk still there?"))
        self._pictures.put(picture)

    def end(self, aborted: bool) -> None:
        """Ask the thread to finish; returns at once."""
        self._aborted = aborted
        if aborted:
            self._given_up += self._pictures.stop()
        self._pictures.finish()

    def join(self, deadline_s: float, finish_s: float) -> None:
        """Wait for the end: a sink that records as long as it writes, another until the deadline."""
        if self._thread is None:
            self._close_sink()
            return
        if self.records:
            written = -1
            while self._thread.is_alive() and written != self.written:
                written = self.written
                self._thread.join(finish_s)
        else:
            self._thread.join(max(0.1, deadline_s - time.monotonic()))
            if self._thread.is_alive():  # cut it off: often that ends the write that hangs
                with contextlib.suppress(Exception):
                    self.sink.abort()
                self._thread.join(_CUT_S)
        if self._thread.is_alive():
            self._fail(SinkError(f"{self.name} hangs and could not be closed", "is its device still there?"))

    def _work(self) -> None:
        while (picture := self._pictures.take()) is not None:
            if not self._write(picture):
                break
            del picture  # or the last one would be kept alive while this waits
        self._close_sink()

    def _write(self, picture: tuple[Any, ...]) -> bool:
        try:
            self.sink.write(*picture)
        except Exception as error:
            self._fail(error)
            return False
        self.written += 1
        return True

    def _close_sink(self) -> None:
        try:
            self.sink.abort() if self._aborted else self.sink.close()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Note the first thing that goes wrong."""
        with self._failing:
            if self.error is not None:
                return
            self.error = error
        self._pictures.stop()
        self._failures.append(error)
        hint = f" ({error.hint})" if isinstance(error, EdgeHarmonyError) and error.hint else ""
        expected = isinstance(error, EdgeHarmonyError)
        _log.error("%s ended: %s%s; the others go on", self.name, error, hint, exc_info=None if expected else error)


class _CallersLane(_Lane):
    """A sink that works in the caller's thread."""

    def __init__(self, sink: LiveSink, name: str, failures: list[Exception]) -> None:
        super().__init__(sink, name, 1, failures)
        self._open = False

    def run(self) -> None:
        self._open = True

    def put(self, picture: tuple[Any, ...], stall_s: float) -> None:
        if self._open and self.error is None and not self._write(picture):
            self._close_sink()

    def join(self, deadline_s: float, finish_s: float) -> None:
        if self.error is None:
            self._close_sink()


def _distinct(names: list[str]) -> list[str]:
    """The names, those that came before with a number behind them."""
    seen: dict[str, Any] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
