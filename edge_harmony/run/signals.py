"""Ctrl-C, SIGTERM and a closed terminal: held back until the work is at a place where it can stop, and never lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. When that is inside a function that a C library
calls back (a compiler, a codec), the exception is printed and forgotten: the program goes on as if nothing had
happened. So while ``StopSignals`` is entered a signal is only noted, and acted on where ``check`` is called.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

# SIGHUP comes when the terminal is closed; Windows has none. nohup has it ignored, and so it stays.
_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPING: Final = (signal.SIGINT, *_ENDING)


class Terminated(BaseException):
    """SIGTERM or SIGHUP, carried through the same clean-up as KeyboardInterrupt.

    Attributes:
        name: of the signal.
        exit_code: 143 or 129.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number


class Request:
    """Whether something was asked for, once and for all: from any thread, and from a signal handler.

    ``threading.Event`` takes a lock. A handler that comes while the main thread is in ``set``, for an earlier signal,
    would wait for it for ever.
    """

    def __init__(self) -> None:
        self._made = False

    def set(self) -> None:
        self._made = True

    def is_set(self) -> bool:
        return self._made


@contextmanager
def stop_signals_as_exceptions() -> Generator[None]:
    """Raise ``Terminated`` in the main thread at SIGTERM and SIGHUP, so that temporary files are removed.

    Outside the main thread it does nothing: signals belong to whoever embeds us.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Terminated(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def children_without_signals() -> Generator[None]:
    """Processes and threads started in here never get the signals that stop: whoever started them ends them.

    On Windows, which has no such masks, it does nothing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopSignals:
    """A context in which SIGINT, SIGTERM and SIGHUP wait for the next ``check``, or for its end.

    What was to happen at the signal happens then: the handler that was there before is called, which for SIGINT
    usually raises KeyboardInterrupt. Where the signal would have ended the process without any clean-up, SystemExit
    (143 for SIGTERM, 129 for SIGHUP) is raised instead. A second signal does not wait: whatever hangs is interrupted
    where it is.

    Signals that were ignored stay so. Outside the main thread, which alone gets signals, it does nothing.
    """

    def __init__(self) -> None:
        self._noted: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # None: a handler of another language, not ours to replace
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self.check()

    @property
    def noted(self) -> bool:
        """Whether a signal came."""
        return self._noted is not None

    def take(self) -> int | None:
        """The signal that came, for one who has acted on it: neither ``check`` nor the end will."""
        noted, self._noted = self._noted, None
        return noted

    def check(self) -> None:
        """Act on a signal that came meanwhile: raises what its handler raises, usually KeyboardInterrupt."""
        noted = self.take()
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
