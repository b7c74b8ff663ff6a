"""Reading, working and writing at the same time, in order and without loss."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.run.signals import StopSignals

_JOIN_S: Final = 30.0  # longest wait for a thread to end
_POLL_S: Final = 0.1  # how often a waiting thread looks whether it should stop

Item = TypeVar("Item")
Result = TypeVar("Result")


class _End:
    """What comes after the last item: with an exception, or None where all went well."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Handover:
    """Items on their way from the thread that makes them to the one that takes them.

    An item is begun only once the one before it has been taken: frames are large, and one that waits while the next is
    being made is as far ahead as any stage needs.
    """

    def __init__(self) -> None:
        self._room = threading.Semaphore(1)
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def wait_for_room(self, stop: threading.Event, check: Callable[[], None]) -> bool:
        """Wait until the next item may be begun; False when told to stop instead."""
        while not stop.is_set():
            check()
            if self._room.acquire(timeout=_POLL_S):
                return True
        return False

    def put(self, item: Any) -> None:
        """Hand over what was begun."""
        self._items.put(item)

    def get(self, stop: threading.Event, check: Callable[[], None]) -> Any:
        """Wait for an item and take it; the end when told to stop instead."""
        while not stop.is_set():
            check()
            with contextlib.suppress(queue.Empty):
                item = self._items.get(timeout=_POLL_S)
                self._room.release()
                return item
        return _End(None)


def run_overlapped(items: Iterable[Item], work: Callable[[Item], Result], write: Callable[[Result], None]) -> int:
    """Read, work and write at the same time, each item in order, none dropped.

    A reader thread iterates ``items``, the calling thread does ``work``, a writer thread calls ``write``; each is at
    most one item ahead of the next, and none keeps an item longer than it needs it. Ctrl-C and SIGTERM are acted on
    between items, so that no library can swallow them in the middle of one (see ``StopSignals``); a second one
    interrupts the item.

    Returns:
        How many items went through.

    Raises:
        Whatever one of the three raises, in the calling thread, after both threads have ended; at Ctrl-C
        KeyboardInterrupt, whatever else failed. The iterator is closed in the thread that used it.
    """
    with StopSignals() as signals:
        return _run(items, work, write, signals.check)


def _run(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    write: Callable[[Result], None],
    check: Callable[[], None],
) -> int:
    stop = threading.Event()
    to_work, to_write = _Handover(), _Handover()
    failed: list[BaseException] = []

    def read() -> None:
        iterator = iter(items)
        end = _End(None)
        try:
            while to_work.wait_for_room(stop, _nothing):
                to_work.put(next(iterator))
        except StopIteration:
            pass
        except BaseException as caught:
            end = _End(caught)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                with contextlib.suppress(Exception):
                    close()
            to_work.put(end)

    def put_out() -> None:
        try:
            while not isinstance(result := to_write.get(stop, _nothing), _End):
                write(result)
                del result
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
        while to_write.wait_for_room(stop, check):  # first: an item that waits for it would lie beside the next one
            item = to_work.get(stop, check)
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                break
            to_write.put(work(item))
            del item
            done += 1
        to_write.put(_End(None))
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
