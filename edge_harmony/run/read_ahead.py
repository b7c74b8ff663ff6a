"""An iterator in a thread of its own, a fixed number of items ahead of whoever reads."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from edge_harmony.run.handover import Handover
from edge_harmony.run.timing import StageTimer

_log = logging.getLogger(__name__)

_JOIN_S: Final = 30.0  # longest wait for the thread to end

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Iterates in a thread; loses nothing and keeps the order.

    The thread begins an item only when fewer than ``ahead`` finished ones wait to be read. With ``ahead=1`` it thus
    begins the next item at the moment the last one is read: both sides work at the same time, and no item grows old
    in a queue.

    Args:
        items: iterated, and closed where it can be, in the thread.
        ahead: how many finished items may wait; at least 1.
        name: the thread's name.
        timer, stage: where to note how long each item takes, in milliseconds; None notes nothing.

    Attributes:
        dropped, outages: 0; here so that files can be read like cameras.
    """

    dropped = 0
    outages = 0

    def __init__(
        self,
        items: Iterable[Item],
        ahead: int = 1,
        name: str = "edge-harmony reader",
        timer: StageTimer | None = None,
        stage: str = "",
    ) -> None:
        self._items = items
        self._timer, self._stage = timer, stage
        self._ready: Handover[Item] = Handover(ahead)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """``live``, or ``ended`` when no more items will come than wait already: ask before ``read``."""
        return "ended" if self._ready.finished else "live"

    def read(self, timeout_s: float | None = None) -> Item | None:
        """The next item; None when none came in time, or none will come any more (``state``, asked before).

        Raises:
            What the iterator raised, after the items before it, at every call.
        """
        return self._ready.take(timeout_s)

    def close(self) -> None:
        """End the thread and drop what was not read; may be called twice, from any thread but its own."""
        self._ready.stop()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            _log.warning("the %s thread does not end: its file or device hangs", self._thread.name)

    def _run(self) -> None:
        error: BaseException | None = None
        iterator: Iterator[Item] | None = None
        try:
            iterator = iter(self._items)
            while self._ready.wait_for_room():
                if self._timer is None:
                    item = next(iterator)
                else:
                    with self._timer.stage(self._stage):
                        item = next(iterator)
                self._ready.put(item)
                del item  # or the last one would be kept alive while this waits
        except StopIteration:
            pass
        except BaseException as caught:
            error = caught
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                with contextlib.suppress(Exception):
                    close()
            self._ready.finish(error)
