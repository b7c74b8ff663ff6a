"""The newest picture, kept for any number of viewers, made into a JPEG once and only when one of them asks."""

from __future__ import annotations

import threading
import time
from typing import Final

import cv2

from edge_harmony.errors import SinkError
from edge_harmony.frame import Frame

_WATCHED_S: Final = 3.0  # how long after its last request a viewer counts as watching
_IDLE_S: Final = 1.0  # how often a picture is kept while nobody watches, so that a new viewer sees one at once


class Shot:
    """One moment: the result, the plain composite where somebody compares, and their JPEGs once asked for.

    Attributes:
        sequence: its number, from 1.
        pts_s: its presentation time in seconds.
        has_plain: whether the plain composite came with it.
    """

    def __init__(self, sequence: int, pts_s: float, image_bgr: Frame, plain_bgr: Frame | None, quality: int) -> None:
        self.sequence = sequence
        self.pts_s = pts_s
        self.has_plain = plain_bgr is not None
        self._images = (image_bgr, plain_bgr)
        self._jpegs: dict[bool, bytes] = {}
        self._quality = quality
        self._lock = threading.Lock()

    def jpeg(self, plain: bool = False) -> bytes:
        """The JPEG of the result or of the plain composite; made by whoever asks first, shared with all others."""
        with self._lock:
            if plain not in self._jpegs:
                image = self._images[plain]
                if image is None:
                    return b""
                done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, self._quality))
                if not done:
                    raise SinkError("the picture for the web page cannot be made into a JPEG")
                self._jpegs[plain] = data.tobytes()
            return self._jpegs[plain]


class LivePicture:
    """Where one thread puts pictures and many wait for the next one. Nobody who waits ever delays the putting.

    Args:
        max_width: pictures wider than this are reduced to it.
        quality: of the JPEGs, 1..100.
    """

    def __init__(self, max_width: int, quality: int) -> None:
        self._max_width = max_width
        self._quality = quality
        self._changed = threading.Condition()
        self._shot: Shot | None = None
        self._sequence = 0
        self._closed = False
        self._last_asked = {False: float("-inf"), True: float("-inf")}
        self._last_kept = float("-inf")

    @property
    def watched(self) -> bool:
        """Whether somebody asked for a picture within the last seconds."""
        return time.monotonic() - max(self._last_asked.values()) < _WATCHED_S

    @property
    def wants_plain(self) -> bool:
        """Whether somebody asked for the plain composite, too, within the last seconds."""
        return time.monotonic() - self._last_asked[True] < _WATCHED_S

    @property
    def sequence(self) -> int:
        """The number of the newest picture that was put, kept or not; 0 before the first."""
        return self._sequence

    def put(self, image_bgr: Frame, pts_s: float, plain_bgr: Frame | None = None) -> None:
        """Take the newest picture; the arrays remain the caller's, who may overwrite them afterwards.

        Costs a reduction or a copy while somebody watches, and nothing but a look at the clock otherwise.
        """
        self._sequence += 1
        now = time.monotonic()
        watched = self.watched
        if not watched and now - self._last_kept < _IDLE_S:
            return
        self._last_kept = now
        plain = self._reduce(plain_bgr) if plain_bgr is not None and self.wants_plain else None
        shot = Shot(self._sequence, pts_s, self._reduce(image_bgr), plain, self._quality)
        with self._changed:
            self._shot = shot
            self._changed.notify_all()

    def wait(self, after: int, timeout_s: float, plain: bool = False) -> Shot | None:
        """The newest picture once its number is greater than ``after``; None after ``timeout_s`` or ``close``.

        A viewer who asks for the plain composite gets a picture without it where none came with it.
        """
        now = time.monotonic()
        self._last_asked[False] = now
        if plain:
            self._last_asked[True] = now
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newer(after), timeout_s)
            self._last_asked[False] = time.monotonic()
            return self._shot if self._newer(after) and not self._closed else None

    def close(self) -> None:
        """Send everybody who waits away."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _newer(self, after: int) -> bool:
        return self._shot is not None and self._shot.sequence > after

    def _reduce(self, image_bgr: Frame) -> Frame:
        height, width = image_bgr.shape[:2]
        if width <= self._max_width:
            return image_bgr.copy()
        size = (self._max_width, max(1, round(height * self._max_width / width)))
        # By area is free of aliasing but costs five times as much, where the factor is no whole number.
        bilinear = width < 2 * self._max_width
        return cv2.resize(image_bgr, size, interpolation=cv2.INTER_LINEAR if bilinear else cv2.INTER_AREA)
