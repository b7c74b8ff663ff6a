"""What cameras and GStreamer pipelines share: frames through OpenCV's VideoCapture."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.native import in_one_line, stderr_lines
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import SourceError
from edge_harmony.run.redact import redact

logger = logging.getLogger(__name__)

TIME_BASE: Final = Fraction(1, 90_000)
_MOST_UNDECODABLE: Final = 60  # frames in a row: then the source counts as lost


class OpenCvSource(Source):
    """A live source that OpenCV captures; a subclass opens the device.

    Frames are stamped when they arrive, and their ``pts`` is that time since the connection's first frame. The
    device is open from the construction on: the first iteration takes it over, later ones open it again.
    """

    live = True
    reconnects = True

    def __init__(self, name: str) -> None:
        """Open the device and read one frame.

        Raises:
            SourceError: it cannot be opened, or gives no frame; with the words of OpenCV or the driver.
        """
        self.name = name
        self.time_base = TIME_BASE
        self._interrupted = threading.Event()
        self._waiting: tuple[Any, TimedFrame] | None = self._connect()
        capture, first = self._waiting
        self.size_hw = (first.image_bgr.shape[0], first.image_bgr.shape[1])
        self.rate = obtained_rate(capture)

    @abstractmethod
    def _open_impl(self) -> Any:
        """A ``cv2.VideoCapture``, open or not; what it writes on standard error is collected."""

    @abstractmethod
    def _refuse(self, reason: str) -> SourceError:
        """The error for a device that does not open or gives nothing; ``reason`` is what was said, or ""."""

    def _settle(self, capture: Any) -> None:
        """Set what can be set once frames are flowing; called after the first frame of each connection."""

    def _arrival_s(self, capture: Any) -> float:
        """When the frame that was just grabbed reached us, by ``time.monotonic()``."""
        return time.monotonic()

    def __iter__(self) -> Iterator[TimedFrame]:
        waiting, self._waiting = self._waiting, None
        capture, first = waiting or self._connect()
        try:
            start_s, index = first.captured_s, 1
            if waiting is None or time.monotonic() - start_s < 1.0:
                yield first
            missing = 0
            while not self._interrupted.is_set():
                if not capture.grab():
                    raise self._lost("it gives no more frames")
                captured_s = self._arrival_s(capture)
                image = _retrieve(capture)
                if image is None:
                    self.undecodable += 1
                    missing += 1
                    if missing > _MOST_UNDECODABLE:
                        raise self._lost(f"{missing} frames in a row could not be decoded")
                    continue
                missing = 0
                pts = round((captured_s - start_s) / TIME_BASE)
                yield TimedFrame(self._check(image), pts, TIME_BASE, index, captured_s=captured_s)
                index += 1
        finally:
            with stderr_lines():  # a device that is gone complains about being let go of
                capture.release()

    def interrupt(self) -> None:
        """End the iteration after the frame that is being waited for."""
        self._interrupted.set()

    def close(self) -> None:
        """Release the device, unless an iteration has it, which releases it when it ends."""
        self._interrupted.set()
        if self._waiting is not None:
            self._waiting[0].release()
            self._waiting = None

    def _connect(self) -> tuple[Any, TimedFrame]:
        with stderr_lines() as said:
            capture = self._open_impl()
            image = None
            if capture.isOpened():
                for _ in range(_MOST_UNDECODABLE):
                    if not capture.grab():
                        break
                    image = _retrieve(capture)
                    if image is not None:
                        break
                    self.undecodable += 1
            captured_s = self._arrival_s(capture) if image is not None else 0.0
            if image is None:
                capture.release()
        words = redact(in_one_line(said))
        if image is None:
            raise self._refuse(words)
        if words:
            logger.debug("%s: %s", self.name, words)
        self._settle(capture)
        return capture, TimedFrame(self._check(image), 0, TIME_BASE, 0, captured_s=captured_s)

    def _lost(self, reason: str) -> SourceError:
        return SourceError(f"{self.name}: {reason}", "check its cable or the program that feeds it")

    def _check(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        if image.dtype != np.uint8:
            raise SourceError(
                f"{self.name} gives {image.dtype} pixels; 8-bit frames are needed",
                "choose another format: --fourcc MJPG",
            )
        if image.ndim == 2 or image.shape[2] == 1:
            return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
        if image.shape[2] == 4:
            return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR).astype(np.uint8, copy=False)
        return image


def obtained_rate(capture: Any) -> Fraction:
    """The rate that a capture says it has; 30 where it does not say."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return Fraction(rate).limit_denominator(1001) if 0 < rate <= 1000 else Fraction(30)


def _retrieve(capture: Any) -> NDArray[Any] | None:
    """The grabbed frame, or None when it does not decode."""
    with contextlib.suppress(cv2.error):
        good, image = capture.retrieve()
        if good and image is not None and image.size:
            return image
    return None
