"""The newest picture, kept for any number of viewers, made into a JPEG once and only when one of them asks."""

from __future__ import annotations

import threading
import time
from typing import Final

import cv2

from edge_harmony.errors import SinkError
from edge_harmony.pixels.frame import Frame

_WATCHED_S: Final = 3.0  # how long after its last request a viewer counts as watching


class Shot:
    """One moment: the result, the plain composite where somebody compares, and their JPEGs once asked for.

    Attributes:
        sequence: its number, from 1.
        pts_s: its presentation time in seconds.
        image_bgr: the result.
        plain_bgr: the plain composite, or None.
    """

    def __init__(self, sequence: int, pts_s: float, image_bgr: Frame, plain_bgr: Frame | None) -> None:
        self.sequence = sequence
        self.pts_s = pts_s
        self.image_bgr = image_bgr
        self.plain_bgr = plain_bgr
        self._jpegs: dict[bool, bytes] = {}
        self._lock = threading.Lock()

    def jpeg(self, max_width: int, quality: int, plain: bool = False) -> bytes:
        """The JPEG of the result or of the plain composite; made by whoever asks first, shared with all others.

        Returns:
            The bytes; none where there is no plain composite.
        """
        with self._lock:
            if plain not in self._jpegs:
                image = self.plain_bgr if plain else self.image_bgr
                self._jpegs[plain] = b"" if image is None else _encode(_reduce(image, max_width), quality)
            return self._jpegs[plain]


class LivePicture:
    """Where one thread puts pictures and many wait for the next one. Nobody who waits ever delays the putting.

    Args:
        max_width: pictures wider than this are reduced to it for the JPEGs.
        quality: of the JPEGs, 1..100.
    """

    def __init__(self, max_width: int, quality: int) -> None:
        self._max_width = max_width
        self._quality = quality
        self._changed = threading.Condition()
        self._shot: Shot | None = None
        self._closed = False
        self._last_asked = {False: float("-inf"), True: float("-inf")}

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
        """The number of the newest picture; 0 before the first."""
        shot = self._shot
        return shot.sequence if shot is not None else 0

    def put(self, image_bgr: Frame, pts_s: float, plain_bgr: Frame | None = None) -> None:
        """Show a picture; takes microseconds, because whatever it costs is left to those who watch.

        The arrays are kept until the next picture comes and must not be changed any more. The very array that is
        shown already is passed over, so a frozen picture costs its viewers nothing.
        """
        with self._changed:
            last = self._shot
            if last is not None and last.image_bgr is image_bgr and (plain_bgr is None or last.plain_bgr is not None):
                return
            self._shot = Shot(self.sequence + 1, pts_s, image_bgr, plain_bgr)
            self._changed.notify_all()

    def wait(self, after: int, timeout_s: float, plain: bool = False) -> Shot | None:
        """The newest picture once its number is greater than ``after``; None after ``timeout_s`` or ``close``.

        Args:
            after: number of the last picture that was seen; 0 takes whatever there is.
            timeout_s: how long to wait.
            plain: whether the plain composite is wanted, too. The first pictures after it was asked for come
                without it.
        """
        now = time.monotonic()
        self._last_asked[False] = now
        if plain:
            self._last_asked[True] = now
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.sequence > after, timeout_s)
            self._last_asked[False] = time.monotonic()
            return self._shot if self.sequence > after and not self._closed else None

    def jpeg(self, shot: Shot, plain: bool = False) -> bytes:
        """The JPEG of a picture from ``wait``, of the size and quality given; none where there is no plain one."""
        return shot.jpeg(self._max_width, self._quality, plain)

    def close(self) -> None:
        """Send everybody who waits away."""
        with self._changed:
            self._closed = True
            self._shot = None
            self._changed.notify_all()


def _reduce(image_bgr: Frame, max_width: int) -> Frame:
    height, width = image_bgr.shape[:2]
    if width <= max_width:
        return image_bgr
    size = (max_width, max(1, round(height * max_width / width)))
    # By area is free of aliasing but costs five times as much, where the factor is no whole number.
    bilinear = width < 2 * max_width
    return cv2.resize(image_bgr, size, interpolation=cv2.INTER_LINEAR if bilinear else cv2.INTER_AREA)


def _encode(image_bgr: Frame, quality: int) -> bytes:
    done, data = cv2.imencode(".jpg", image_bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise SinkError("a picture for the web page cannot be made into a JPEG")
    return data.tobytes()
