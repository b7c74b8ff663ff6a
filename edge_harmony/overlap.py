"""Reading, working and writing at the same time, in order and without loss."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.stop_signals import StopSignals

_JOIN_S: Final = 30.0  # longest wait for a thread to end
_POLL_S: Final = 0.1  # how often a waiting thread looks whether it should stop

Item = TypeVar("Item")
Result = TypeVar("Result")


class _End:
    """What comes out of a queue after the last item: with an exception, or None where all went well."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def run_overlapped(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    write: Callable[[Result], None],
    depth: int = 2,
) -> int:
    """Read, work and write at the same time, each item in order, none dropped.

    A reader thread iterates ``items``, the calling thread does ``work``, a writer thread calls ``write``; between
    them lie queues of ``depth`` items. Ctrl-C and SIGTERM are acted on between items, so that no library can swallow
    them in the middle of one (see ``StopSignals``); a second one interrupts the item.

    Returns:
        How many items went through.

    Raises:
        Whatever one of the three raises, in the calling thread, after both threads have ended; at Ctrl-C
        KeyboardInterrupt, whatever else failed. The iterator is closed in the thread that used it.
    """
    with StopSignals() as signals:
        return _run(items, work, write, depth, signals.check)


def _run(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    write: Callable[[Result], None],
    depth: int,
    check: Callable[[], None],
) -> int:
    stop = threading.Event()
    to_work: queue.Queue[Any] = queue.Queue(depth)
    to_write: queue.Queue[Any] = queue.Queue(depth)
    failed: list[BaseException] = []

    def read() -> None:
        iterator = iter(items)
        error: BaseException | None = None
        try:
            for item in iterator:
                if not _put(to_work, item, stop):
                    return
        except BaseException as caught:
            error = caught
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                with contextlib.suppress(Exception):
                    close()
            _put(to_work, _End(error), stop)

    def put_out() -> None:
        try:
            while not isinstance(result := _get(to_write, stop), _End):
                write(result)
        except BaseException as caught:
            failed.append(caught)
            stop.set()

    threads = [
        threading.Thread(target=read, name="edge-harmony reader", daemon=True),
        threading.Thread(target=put_out, name="edge-harmony writer", daemon=True),
    ]
    done = 0
    for thread in threads:
        thread.start()
    try:
        while not isinstance(item := _get(to_work, stop, check), _End):
            if not _put(to_write, work(item), stop, check):
                break
            done += 1
        if isinstance(item, _End) and item.error is not None:
            raise item.error
        _put(to_write, _End(None), stop, check)
        _join(threads[1], None, check)
    finally:
        stop.set()
        for thread in threads:
            _join(thread, _JOIN_S)
    if failed:
        raise failed[0]
    return done


def _nothing() -> None:
    """What the threads beside the main one look after between waits."""


def _put(target: queue.Queue[Any], item: Any, stop: threading.Event, check: Callable[[], None] = _nothing) -> bool:
    """Put, waiting for room; False when told to stop instead."""
    while not stop.is_set():
        check()
        with contextlib.suppress(queue.Full):
            target.put(item, timeout=_POLL_S)
            return True
    return False


def _get(source: queue.Queue[Any], stop: threading.Event, check: Callable[[], None] = _nothing) -> Any:
    """Get, waiting for an item; the end when told to stop instead."""
    while not stop.is_set():
        check()
        with contextlib.suppress(queue.Empty):
            return source.get(timeout=_POLL_S)
    return _End(None)


def _join(thread: threading.Thread, timeout_s: float | None, check: Callable[[], None] = _nothing) -> None:
    """Wait for a thread in short steps, so that Ctrl-C is not held up by it."""
    waited = 0.0
    while thread.is_alive() and (timeout_s is None or waited < timeout_s):
        check()
        thread.join(_POLL_S)
        waited += _POLL_S
    if thread.is_alive():
        raise EdgeHarmonyError(
            f"the {thread.name} thread does not end", "its file or device hangs: check the disk or network behind it"
        )
