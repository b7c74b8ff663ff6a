"""The newest frame of a live source, whatever happens to the source and however slow its reader is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Final, Literal

from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.contract import MIN_FRAME_SIZE
from edge_harmony.errors import SourceError
from edge_harmony.run.handover import Handover

logger = logging.getLogger(__name__)

State = Literal["live", "lost", "ended"]

TIME_BASE: Final = Fraction(1, 90_000)  # of frames whose source reconnects
_STEADY_S: Final = 10.0  # a connection that lasts this long is a good one: the next outage starts with short waits
_STALL_S: Final = 2.0  # without a frame for so long, a source is as good as lost
_DRIFT_S: Final = 1.0  # by how much a source's clock may differ from ours before it is set anew


class LiveReader:
    """Reads a source in a thread of its own and keeps the newest frame only.

    - However slow the consumer is, the frame it gets is the newest there is: latency does not grow. What it never saw
      is counted in ``dropped``.
    - A source that ``reconnects`` (camera, network) is opened again when it is lost, first after ``backoff_s[0]``
      seconds, then after twice that and so on up to ``backoff_s[1]``. Meanwhile ``state`` is ``"lost"`` and ``read``
      gives None. One line is logged for an outage (warning), and one when it is over (info).
    - A source that does not reconnect ends at its last frame, which is never dropped.
    - Frames of a source that reconnects get new times: its own clock within a connection, on the reader's axis from 0
      at the first frame on; an outage takes the time that it took, and times always rise. ``index`` counts what the
      source delivered, so a gap in it is what was dropped. Frames of other sources keep their times and indices.
    - The size of a frame may differ from the frame before: check ``image_bgr.shape``. Frames that have become too small
      for anything (a side below ``MIN_FRAME_SIZE``) are left out and counted in ``undecodable``.

    Attributes:
        source: the source, which belongs to the reader from now on.
        received: frames that the source delivered.
        outages: how often the source was lost.
    """

    def __init__(
        self, source: Source, *, backoff_s: tuple[float, float] = (0.25, 8.0), give_up_s: float | None = None
    ) -> None:
        """Start reading.

        Args:
            source: what to read; closed by the reader, in the reader's thread.
            backoff_s: shortest and longest wait between two tries to reconnect.
            give_up_s: an outage longer than this is the end, with its error; None tries for ever.
        """
        self.source = source
        self.received = 0
        self.outages = 0
        self._backoff_s, self._give_up_s = backoff_s, give_up_s
        self._newest: Handover[TimedFrame] = Handover()
        self._lost = False
        self._last_s = time.monotonic()
        self._stop = threading.Event()
        self._times = _Timeline()
        self._thread = threading.Thread(target=self._run, name=f"edge-harmony capture {source.name}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """``"live"``; ``"lost"`` during an outage, or when no frame came for two seconds; ``"ended"`` for good.

        Ask before ``read``: a last frame may wait when it has ended.
        """
        if self._newest.finished:
            return "ended"
        stalled = self.source.reconnects and time.monotonic() - self._last_s > _STALL_S
        return "lost" if self._lost or stalled else "live"

    @property
    def dropped(self) -> int:
        """Frames that nobody saw because a newer one came, here or in the source itself."""
        return self._newest.dropped + self.source.skipped

    @property
    def undecodable(self) -> int:
        """Frames that the source left out because they could not be decoded."""
        return self.source.undecodable

    def read(self, timeout_s: float) -> TimedFrame | None:
        """The newest frame that was not read yet, waiting for one up to ``timeout_s``.

        Returns:
            The frame, which the caller owns; None when none came in time, or when the source has ended (``state``).

        Raises:
            Whatever ended the source other than its end: SourceError from a file, or after ``give_up_s``. Every
            further call raises it again.
        """
        return self._newest.take(timeout_s)

    def close(self, timeout_s: float = 6.0) -> None:
        """End the thread and close the source; may be called twice, from any thread.

        Returns at once as a rule, and after ``timeout_s`` at the latest: when a driver or a network hangs just then,
        the thread is left to end by itself as soon as that call returns, and a warning is logged.
        """
        self._stop.set()
        self.source.interrupt()
        if self._thread is threading.current_thread():
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.warning("%s hangs and could not be closed; it is left behind", self.source.name)

    def __enter__(self) -> LiveReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._keep_reading()
        except BaseException as caught:  # carried to whoever reads
            error = caught
        try:
            self.source.close()
        except Exception as caught:
            logger.debug("%s did not close: %s", self.source.name, caught)
        self._newest.finish(error)

    def _keep_reading(self) -> None:
        wait_s, lost_at_s, tries = self._backoff_s[0], None, 0
        while not self._stop.is_set():
            started_s, before = time.monotonic(), self.received
            try:
                for frame in self._one_connection():
                    if lost_at_s is not None:
                        outage_s = time.monotonic() - lost_at_s
                        logger.info("%s is back after %.1f s (%d tries)", self.source.name, outage_s, tries)
                        lost_at_s, tries = None, 0
                    self._take(frame)
                return
            except SourceError as error:
                if not self.source.reconnects or self._stop.is_set():
                    if self._stop.is_set():
                        return
                    raise
                now_s = time.monotonic()
                if lost_at_s is None:
                    lost_at_s = now_s
                    self._lose(error)
                elif self._give_up_s is not None and now_s - lost_at_s > self._give_up_s:
                    raise
                else:
                    logger.debug("%s is still lost: %s", self.source.name, error)
                if self.received > before and now_s - started_s > _STEADY_S:
                    wait_s = self._backoff_s[0]
            tries += 1
            if self._stop.wait(wait_s):
                return
            wait_s = min(2 * wait_s, self._backoff_s[1])

    def _one_connection(self) -> Iterator[TimedFrame]:
        """The source's frames, closed in this thread whatever happens."""
        self._times.start_connection()
        with self.source.reading() as frames:
            for frame in frames:
                if self._stop.is_set():
                    return
                yield frame

    def _lose(self, error: SourceError) -> None:
        reason = error.message.removeprefix(self.source.name).removeprefix(":").strip()
        logger.warning("%s is lost: %s; trying to get it back", self.source.name, reason)
        self._lost = True
        self.outages += 1

    def _take(self, frame: TimedFrame) -> None:
        if min(frame.image_bgr.shape[:2]) < MIN_FRAME_SIZE <= min(self.source.size_hw):
            self.source.undecodable += 1  # a stream that shrank on its way: it may grow again
            return
        if self.source.reconnects:
            pts = self._times.place(frame)
            frame = replace(frame, pts=pts, time_base=TIME_BASE, index=self.received, duration=0)
        self._lost, self._last_s = False, time.monotonic()
        self._newest.put(frame)
        self.received += 1


class _Timeline:
    """Puts the frames of one connection after the other on one axis that always rises, in units of ``TIME_BASE``."""

    def __init__(self) -> None:
        self._origin_s: float | None = None  # arrival of the very first frame
        self._offset_s: float | None = None  # from the connection's clock to the axis
        self._last = -1

    def start_connection(self) -> None:
        """The next frame is the first of a new clock."""
        self._offset_s = None

    def place(self, frame: TimedFrame) -> int:
        """The frame's time on the axis."""
        if self._origin_s is None:
            self._origin_s = frame.captured_s
        arrived_s, own_s = frame.captured_s - self._origin_s, float(frame.time_s)
        if self._offset_s is None or abs(own_s + self._offset_s - arrived_s) > _DRIFT_S:
            self._offset_s = arrived_s - own_s
        self._last = max(self._last + 1, round((own_s + self._offset_s) / TIME_BASE))
        return self._last
