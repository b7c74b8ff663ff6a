"""A wish from a signal handler: another signal in the midst of it must not lock the thread."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from edge_harmony.run.signals import Request


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_signal_within_a_request_is_no_deadlock() -> None:
    request, depth = Request(), 0

    def note(_number: int, _frame: object) -> None:
        nonlocal depth
        depth += 1
        request.set()

    def within(_frame: object, event: str, _argument: object) -> object:
        if event == "call" and depth == 1:
            signal.raise_signal(signal.SIGUSR1)
        return within

    before = signal.signal(signal.SIGUSR1, note)
    thread = threading.main_thread()
    assert threading.current_thread() is thread
    tracing = sys.gettrace()
    try:
        sys.settrace(within)
        signal.raise_signal(signal.SIGUSR1)
    finally:
        sys.settrace(tracing)
        signal.signal(signal.SIGUSR1, before)
    assert request.is_set()
    assert depth == 2
