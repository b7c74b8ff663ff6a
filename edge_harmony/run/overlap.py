"""Reading, working and writing at the same time, in order and without loss."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from edge_harmony.run.handover import Handover
from edge_harmony.run.read_ahead import ReadAhead
from edge_harmony.run.signals import StopSignals

_log = logging.getLogger(__name__)

_JOIN_S: Final = 30.0  # longest wait for the writer to end when something failed
_POLL_S: Final = 0.1  # how often a waiting thread looks whether it should stop

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_overlapped(items: Iterable[Item], work: Callable[[Item], Result], write: Callable[[Result], None]) -> int:
    """Read, work and write at the same time, each item in order, none dropped.

    A reader thread iterates ``items``, the calling thread does ``work``, a writer thread calls ``write``; each is at
    most one item ahead of the next, and none keeps an item longer than it needs it. Ctrl-C and SIGTERM are acted on
    between items, so that no library can swallow them in the middle of one (see ``StopSignals``); a second one
    interrupts the item.

    Args:
        items, work: neither gives None.

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
    results: Handover[Result] = Handover()
    failed: list[BaseException] = []

    def put_out() -> None:
        try:
            while (result := results.take()) is not None:
                write(result)
                del result
        except BaseException as caught:
            failed.append(caught)
            results.stop()

    writer = threading.Thread(target=put_out, name="edge-harmony writer", daemon=True)
    writer.start()
    reader = ReadAhead(items)
    done = 0
    try:
        while _wait_for_room(results, check):  # first: an item that waits for it would lie beside the next one
            item = _read(reader, results, check)
            if item is None:
                break
            results.put(work(item))
            del item
            done += 1
        results.finish()
        while writer.is_alive():
            check()
            writer.join(_POLL_S)
    finally:
        results.stop()
        reader.close()
        writer.join(_JOIN_S)
        if writer.is_alive():
            _log.warning("the %s thread does not end: its file or device hangs", writer.name)
    if failed:
        raise failed[0]
    return done


def _wait_for_room(results: Handover[Result], check: Callable[[], None]) -> bool:
    """Wait until the next item may be begun; False when the writer takes no more."""
    check()
    while not results.wait_for_room(_POLL_S):
        if results.stopped:
            return False
        check()
    return True


def _read(reader: ReadAhead[Item], results: Handover[Result], check: Callable[[], None]) -> Item | None:
    """Wait for the next item; None after the last one, and when the writer takes no more."""
    while not results.stopped:
        check()
        ended = reader.state == "ended"
        item = reader.read(_POLL_S)
        if item is not None or ended:
            return item
    return None
