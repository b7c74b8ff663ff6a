"""Figures of a running stream: stages, latency from capture to display, rates, drops."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from edge_harmony.run.timing import StageTimer

_WINDOW: Final = 1000  # results over which percentiles are taken
_NOW: Final = 15  # results that count as now
_RECENT_S: Final = 2.0  # span of the current rate
_NOTICE_S: Final = 5.0  # how long a message stays


class Figures:
    """Collects the figures of one stream. Every method may be called from any thread.

    Attributes:
        timer: durations of the stages outside the compositor: ``read``, ``matte``, ``foreground``, ``background``.
    """

    def __init__(self) -> None:
        self.timer = StageTimer(_WINDOW)
        self._lock = threading.Lock()
        self._timers: list[StageTimer] = [self.timer]
        self._started_s: float | None = None
        self._ended_s: float | None = None
        self._frames = self._held = 0
        self._done_s: deque[float] = deque(maxlen=_WINDOW)
        self._latency_ms: dict[str, deque[float]] = {}
        self._notice, self._notice_until_s = "", 0.0
        self._watched: Callable[[], Mapping[str, Any]] = dict

    def add_timer(self, timer: StageTimer) -> None:
        """Show another timer's stages too."""
        with self._lock:
            self._timers.append(timer)

    def watch(self, look: Callable[[], Mapping[str, Any]]) -> None:
        """Take more entries of the snapshot from a function: the source's state, the drops of each sink."""
        self._watched = look

    def count(self, held: bool = False) -> None:
        """One result is finished; ``held`` when it repeats an earlier one."""
        now = time.monotonic()
        with self._lock:
            self._started_s = now if self._started_s is None else self._started_s
            self._frames += 1
            self._held += held
            self._done_s.append(now)

    def note_latency(self, captured_s: float, kind: str = "result") -> None:
        """A frame captured at ``captured_s``, ``time.monotonic()``, is a ``result`` now, or on ``display``."""
        with self._lock:
            kept = self._latency_ms.setdefault(kind, deque(maxlen=_WINDOW))
            kept.append((time.monotonic() - captured_s) * 1e3)

    def say(self, text: str, seconds: float = _NOTICE_S) -> None:
        """Show a message to whoever watches, for a while; it replaces the last."""
        with self._lock:
            self._notice, self._notice_until_s = text, time.monotonic() + seconds

    @property
    def notice(self) -> str:
        """The message of the moment, or ""."""
        with self._lock:
            return self._notice if time.monotonic() < self._notice_until_s else ""

    def end(self) -> None:
        """The stream is over: rates are no longer taken up to now."""
        with self._lock:
            self._ended_s = self._ended_s or time.monotonic()

    def snapshot(self) -> dict[str, Any]:
        """All figures, ready for JSON.

        Returns:
            ``frames`` (results so far), ``held`` (of them repetitions, while the source was lost or the picture
            frozen), ``seconds``, ``fps`` (over the last two seconds), ``fps_mean``, ``latency_ms`` (by kind:
            ``result``, ``display``; each ``p50``, ``p95``, ``max`` over the last 1000, and ``now`` over
            the last 15, their median), ``stages`` (by name:
            ``p50_ms``, ``p95_ms``), ``notice``, and what ``watch`` adds: ``source``, ``state``, ``dropped``,
            ``outages``, ``undecodable``, ``size``.
        """
        with self._lock:
            frames, held, started, ended = self._frames, self._held, self._started_s, self._ended_s
            done = list(self._done_s)
            latencies = {kind: np.array(kept) for kind, kept in self._latency_ms.items()}
            timers = list(self._timers)
        now = ended or time.monotonic()
        seconds = now - started if started is not None else 0.0
        recent = [moment for moment in done if moment > now - _RECENT_S]
        span = max(now - recent[0], 1e-3) if len(recent) > 1 else 0.0
        stages = {
            "composite" if name == "total" else name: {"p50_ms": round(one.p50_ms, 2), "p95_ms": round(one.p95_ms, 2)}
            for timer in timers
            for name, one in timer.summary().items()
        }
        return {
            "frames": frames,
            "held": held,
            "seconds": round(seconds, 3),
            "fps": round((len(recent) - 1) / span, 2) if span else 0.0,
            "fps_mean": round((frames - 1) / seconds, 2) if frames > 1 and seconds > 0 else 0.0,
            "latency_ms": {kind: _percentiles(kept) for kind, kept in latencies.items()},
            "stages": stages,
            "notice": self.notice,
            **self._watched(),
        }


def summary_lines(figures: Mapping[str, Any]) -> list[str]:
    """A snapshot in a few lines for people."""
    latency = figures["latency_ms"].get("display") or figures["latency_ms"].get("result")
    dropped = {name: count for name, count in figures.get("dropped", {}).items() if count}
    lines = [
        f"{figures['frames']} frames in {figures['seconds']:.1f} s, {figures['fps_mean']:.1f} a second"
        + (f", of them {figures['held']} held" if figures["held"] else "")
    ]
    if latency:
        lines.append(f"latency from capture: {latency['p50']:.0f} ms, 95 % under {latency['p95']:.0f} ms")
    lines.append("dropped: " + (", ".join(f"{name} {count}" for name, count in dropped.items()) or "none"))
    if figures.get("outages"):
        lines.append(f"the source was lost {figures['outages']} times")
    if figures.get("undecodable"):
        lines.append(f"pictures that were torn or could not be decoded, and were not shown: {figures['undecodable']}")
    stages = ", ".join(
        f"{name} {times['p50_ms']:.1f} / {times['p95_ms']:.1f}" for name, times in figures["stages"].items()
    )
    if stages:
        lines.append(f"ms a stage (median / 95 %): {stages}")
    return lines


def _percentiles(kept: np.ndarray) -> dict[str, float]:
    p50, p95 = np.percentile(kept, (50, 95))
    now = np.median(kept[-_NOW:])
    return {name: round(float(v), 2) for name, v in (("now", now), ("p50", p50), ("p95", p95), ("max", kept.max()))}
