"""A wish from a signal handler: another signal in the midst of it must not lock the thread."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from edge_harmony.run.signals import Request


def asked_for_amid_signals(request: Request | threading.Event) -> int:
    """Ask from a signal handler, into which the same signal comes at each step; returns how often it came."""
    depth = 0

    def note(_number: int, _frame: object) -> None:
        nonlocal depth
        depth += 1
        request.set()

    def at_each_step(_frame: object, _event: str, _argument: object) -> object:
        if 1 <= depth < 50:
            signal.raise_signal(signal.SIGUSR1)
        return at_each_step

    def too_long(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGALRM)}
    tracing = sys.gettrace()
    signal.signal(signal.SIGUSR1, note)
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    try:
        sys.settrace(at_each_step)
        signal.raise_signal(signal.SIGUSR1)
    finally:
        sys.settrace(tracing)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return depth


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_signal_within_a_request_is_no_deadlock() -> None:
    request = Request()
    assert asked_for_amid_signals(request) > 1
    assert request.is_set()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_within_an_event_it_is_one() -> None:
    with pytest.raises(TimeoutError):
        asked_for_amid_signals(threading.Event())
