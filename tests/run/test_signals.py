"""Ctrl-C and SIGTERM while frames are worked on: not lost in a library's callback, acted on between items."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_harmony.run.overlap import run_overlapped
from edge_harmony.run.signals import STOPPING, StopSignals


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt and SIGTERM kills, before each test; and after it whatever was."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def in_a_callback(number: int) -> None:
    """Get a signal inside a function that C calls: an exception in there is lost."""

    @ctypes.PYFUNCTYPE(None)
    def called() -> None:
        signal.raise_signal(number)
        time.sleep(0)  # handlers run between instructions

    called()


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)],
)
def test_a_signal_in_a_callback_is_not_lost(number: signal.Signals, raised: type[BaseException]) -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 3:
            in_a_callback(number)
        done.append(item)
        return item

    with pytest.raises(raised) as caught:
        run_overlapped(range(1000), work, lambda item: None)
    assert done == [0, 1, 2, 3], "the item was finished, and no other begun"
    assert raised is KeyboardInterrupt or caught.value.args == (128 + number,)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert not [t for t in threading.enumerate() if t.name in ("edge-harmony reader", "edge-harmony writer")]


@pytest.mark.parametrize("stage", ["reader", "writer"])
def test_a_slow_reader_or_writer_does_not_hold_it_up(stage: str) -> None:
    """The main thread waits for the other; what is in hand there is finished, the rest is not."""
    started = threading.Event()
    ended = threading.Event()

    def slow() -> None:
        started.set()
        ended.wait(20)

    def items() -> Iterator[int]:
        for item in range(1000):
            if stage == "reader" and item == 2:
                slow()
            yield item

    def write(item: int) -> None:
        if stage == "writer" and item == 2:
            slow()

    def press() -> None:
        started.wait(20)
        signal.raise_signal(signal.SIGINT)  # the interpreter runs the handler in the main thread
        ended.set()

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_overlapped(items(), lambda item: item, write)
    thread.join()


def test_a_signal_during_the_last_item_counts() -> None:
    def write(item: int) -> None:
        if item == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_overlapped(range(5), lambda item: item, write)


def test_a_signal_comes_before_an_error() -> None:
    """Ctrl-C reaches the whole group of processes, so something of ours may fail at the same time."""

    def work(item: int) -> int:
        signal.raise_signal(signal.SIGINT)
        raise ValueError("a child process was interrupted")

    with pytest.raises(KeyboardInterrupt) as caught:
        run_overlapped(range(5), work, lambda item: None)
    assert isinstance(caught.value.__context__, ValueError)


def test_the_second_signal_interrupts_what_hangs() -> None:
    def work(item: int) -> int:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        raise AssertionError("was to be interrupted here")

    with pytest.raises(KeyboardInterrupt):
        run_overlapped(range(5), work, lambda item: None)


def test_handlers_of_an_application_are_called() -> None:
    """One that raises nothing, as GUI toolkits and asyncio have, decides for itself: the work goes on."""
    called: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: called.append(number))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def work(item: int) -> int:
        if item in (2, 5):
            in_a_callback(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        return item

    assert run_overlapped(range(8), work, lambda item: None) == 8
    assert called == [signal.SIGINT, signal.SIGINT]


def test_a_signal_waits_for_the_end_of_the_context() -> None:
    reached: list[str] = []

    def stopped() -> None:
        with StopSignals():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert reached == ["the end"]


def test_outside_the_main_thread_nothing_is_installed() -> None:
    counts: list[int] = []
    thread = threading.Thread(target=lambda: counts.append(run_overlapped(range(5), lambda i: i, lambda i: None)))
    thread.start()
    thread.join(20)
    assert counts == [5]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_program_without_handlers_cleans_up(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """In a process of its own, stopped from outside again and again at the worst places: inside callbacks."""
    program = """
import ctypes, pathlib, sys, time
from edge_harmony.run.overlap import run_overlapped

@ctypes.PYFUNCTYPE(None)
def called():
    deadline = time.monotonic() + 0.02
    while time.monotonic() < deadline:
        pass

def work(item):
    called()
    if item == 1:
        print("running", flush=True)
    return item

part = pathlib.Path("part")
part.touch()
try:
    run_overlapped(range(3000), work, lambda item: None)
except KeyboardInterrupt:
    sys.exit(130)
finally:
    part.unlink()
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE, env=_environment())  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "")
    assert list(tmp_path.iterdir()) == []


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
