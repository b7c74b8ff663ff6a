"""How long each stage takes, kept for the last frames."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np


def timed_ms(work: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


@dataclass(frozen=True)
class StageStatistics:
    """Durations of one stage in milliseconds, over the frames that are still remembered."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    def as_dict(self) -> dict[str, float]:
        """The same as a dictionary, for JSON."""
        return asdict(self)


class StageTimer:
    """Durations by stage name. May be used from several threads; measuring costs about a microsecond.

    Args:
        window: how many durations of each stage to remember; older ones are forgotten.
    """

    def __init__(self, window: int = 1000) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._stages: dict[str, deque[float]] = {}

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Time what happens inside ``with timer.stage("read down"):``. A stage that raises is not counted."""
        start = time.perf_counter()
        yield
        self.add(name, (time.perf_counter() - start) * 1e3)

    def add(self, name: str, duration_ms: float) -> None:
        """Note one duration, in milliseconds."""
        with self._lock:
            self._stages.setdefault(name, deque(maxlen=self._window)).append(duration_ms)

    def last_ms(self, name: str) -> float:
        """The newest duration of a stage in milliseconds; 0.0 if it has not run."""
        with self._lock:
            durations = self._stages.get(name)
            return durations[-1] if durations else 0.0

    def summary(self) -> dict[str, StageStatistics]:
        """Statistics of each stage, in the order in which the stages first ran."""
        with self._lock:
            copies = {name: np.array(durations) for name, durations in self._stages.items()}
        summary = {}
        for name, durations in copies.items():
            p50, p95, p99 = (float(value) for value in np.percentile(durations, (50, 95, 99)))
            summary[name] = StageStatistics(len(durations), float(durations.mean()), p50, p95, p99)
        return summary

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._stages.clear()
