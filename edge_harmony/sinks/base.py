"""What takes the results of a running stream."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Display", "LiveSink", "PageSink"]


@runtime_checkable
class LiveSink(Protocol):
    """Takes one picture after the other while a stream runs: a window, a file, a virtual camera, a server, a page.

    The calls are ``start`` once, ``write`` any number of times, then ``close`` or ``abort``, never two at the same
    time; except that of a sink that keeps nothing (``records``) ``abort`` may come while a ``write`` hangs. ``close``
    without ``start`` is fine.

    Attributes:
        name: what to call it in a message and in the counts; never holds a password.
        lossless: True: whoever writes waits until the sink has room. False: pictures are dropped when it has none.
        records: True for what is kept, such as files: closing waits until it is finished. Where the attribute is
            missing, ``lossless`` says it.
        alpha: True: it is given the subject alone with its alpha, uint8 (H, W, 4) BGRA with straight alpha, in place of
            pictures. False, and where the attribute is missing: it is given pictures, which are opaque.
        own_thread: False for what must be used in the thread that runs the stream (a window); True otherwise, and
            where the attribute is missing.
    """

    name: str
    lossless: bool

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        """A stream begins.

        Args:
            size_hw: height and width of the first picture. A later one may have another size: a sink whose size is
                fixed fits it into the first, with bars (``edge_harmony.backgrounds.fit.fit``, ``contain``); others show
                it as it is.
            rate: pictures a second to expect, a hint; the truth is in ``pts_s``.

        Raises:
            SinkError, BackendUnavailableError: the sink cannot work here; nothing is left open or behind. What may
            come into being later, such as a server that is not up yet, is no error.
        """
        ...

    def write(self, image_bgr: NDArray[np.uint8], pts_s: float) -> None:
        """Take one picture.

        Args:
            image_bgr: uint8 (H, W, 3) BGR; only read, and done with on return. Nobody writes into it afterwards, so
                that it can wait in a queue.
            pts_s: presentation time in seconds; grows from picture to picture, gaps are what was dropped.

        Raises:
            SinkError: the sink is broken for good; ``close`` is still to be called.
        """
        ...

    def close(self) -> None:
        """Finish, publish, let go of everything. Idempotent.

        Raises:
            SinkError: what was written could not be finished.
        """
        ...

    def abort(self) -> None:
        """Stop as fast as possible. What can be kept is kept: a file with pictures in it stays playable. Idempotent."""
        ...


@runtime_checkable
class PageSink(LiveSink, Protocol):
    """A live sink that compares by itself: it also gets the plain composite, when it wants it.

    Attributes:
        wants_plain: whether somebody looks at the plain composite just now; asked before each ``write``.
    """

    @property
    def wants_plain(self) -> bool: ...

    def write(self, image_bgr: NDArray[np.uint8], pts_s: float, plain_bgr: NDArray[np.uint8] | None = None) -> None:
        """Take one picture, without the comparison that others see, and the composite before any change of colour."""
        ...


class Display(Protocol):
    """What shows pictures on this machine, used in the thread that runs the stream."""

    def show(self, image_bgr: NDArray[np.uint8]) -> Sequence[str]:
        """Show a picture and return the keys that were pressed, each one character."""
        ...

    def close(self) -> None:
        """Close it."""
        ...
