"""Ctrl-C and SIGTERM: held back until the work is at a place where it can stop, and never lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. When that is inside a function that a C library
calls back (a compiler, a codec), the exception is printed and forgotten: the program goes on as if nothing had
happened. So while ``StopSignals`` is entered a signal is only noted, and acted on where ``check`` is called.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM, carried through the same clean-up as KeyboardInterrupt."""


@contextmanager
def sigterm_as_exception() -> Iterator[None]:
    """Raise ``Terminated`` in the main thread at SIGTERM, so that temporary files are removed.

    Outside the main thread it does nothing: signals belong to whoever embeds us.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopSignals:
    """A context in which SIGINT and SIGTERM wait for the next ``check``, or for its end.

    What was to happen at the signal happens then: the handler that was there before is called, which for SIGINT
    usually raises KeyboardInterrupt. Where SIGTERM would have ended the process without any clean-up, SystemExit(143)
    is raised instead. A second signal does not wait: whatever hangs is interrupted where it is.

    Signals that were ignored stay so. Outside the main thread, which alone gets signals, it does nothing.
    """

    def __init__(self) -> None:
        self._noted: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # None: a handler of another language, not ours to replace
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self.check()

    def check(self) -> None:
        """Act on a signal that came meanwhile: raises what its handler raises, usually KeyboardInterrupt."""
        noted, self._noted = self._noted, None
        if noted is not None:
            self._act(noted, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._noted is not None:
            self._act(number, frame)
        self._noted = number

    def _act(self, number: int, frame: FrameType | None) -> None:
        handler: Callable[[int, FrameType | None], Any] | int | None = self._before.get(number)
        if callable(handler):
            handler(number, frame)
        else:
            raise SystemExit(128 + number)
