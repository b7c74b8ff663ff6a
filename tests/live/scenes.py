"""Sources that can be made to do anything, and parts small enough for quick tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import SourceError
from edge_harmony.live import Controls, Pipeline
from tests.scenes import flat

SIZE_HW = (90, 160)


def picture(index: int, size_hw: tuple[int, int] = SIZE_HW) -> tuple[np.ndarray, np.ndarray]:
    """A frame with a bright square that moves, and its exact alpha."""
    height, width = size_hw
    image = flat(size_hw, (60, 90, 40))
    alpha = np.zeros((height, width), np.uint8)
    left = (index * 3) % (width - 40)
    image[20:70, left : left + 40] = (40, 90, 200)
    alpha[20:70, left : left + 40] = 255
    return image, alpha


class Frames(Source):
    """A file of ``count`` frames with exact alpha."""

    has_alpha = True

    def __init__(self, count: int | None = 20, size_hw: tuple[int, int] = SIZE_HW, rate: int = 25) -> None:
        self.name, self.size_hw, self.rate = "frames", size_hw, Fraction(rate)
        self.time_base, self.frame_count = Fraction(1, rate), count
        self.closed = 0

    def __iter__(self) -> Iterator[TimedFrame]:
        index = 0
        while self.frame_count is None or index < self.frame_count:
            image, alpha = picture(index, self.size_hw)
            yield TimedFrame(image, index, self.time_base, index, alpha, 1, captured_s=time.monotonic())
            index += 1

    def close(self) -> None:
        self.closed += 1


class Camera(Frames):
    """A camera that a test can unplug, plug in again, and set to another size. Its frames come every 10 ms."""

    live = True
    reconnects = True

    def __init__(self, size_hw: tuple[int, int] = SIZE_HW) -> None:
        super().__init__(None, size_hw, 100)
        self.name = "test camera"
        self.plugged = threading.Event()
        self.plugged.set()
        self.connections = 0
        self._interrupted = threading.Event()

    def __iter__(self) -> Iterator[TimedFrame]:
        self.connections += 1
        started = time.monotonic()
        index = 0
        while not self._interrupted.wait(0.01):
            if not self.plugged.is_set():
                raise SourceError("test camera: no such device", "plug it in")
            image, alpha = picture(index, self.size_hw)
            now = time.monotonic()
            yield TimedFrame(image, round((now - started) * 1000), Fraction(1, 1000), index, alpha, captured_s=now)
            index += 1

    def interrupt(self) -> None:
        self._interrupted.set()


def pipeline(source: object | None = None, **options: object) -> Pipeline:
    """A pipeline without a model, on a plain background unless told otherwise."""
    options = {"matte": None, "background": "#204060", "harmonizer": None, **options}
    return Pipeline(Frames() if source is None else source, **options)


def own_threads() -> list[str]:
    """Names of our threads that are alive, but for the process-wide pool that works on a frame's rows."""
    names = (t.name for t in threading.enumerate())
    return sorted(name for name in names if name.startswith("edge-harmony") and "rows" not in name)


def wait_until(true: object, timeout_s: float = 20.0) -> None:
    """Wait until a condition holds; fails when it does not in time."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


__all__ = ["Camera", "Controls", "Frames", "own_threads", "picture", "pipeline", "wait_until"]
