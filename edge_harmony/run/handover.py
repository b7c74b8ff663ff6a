"""Items on their way from the thread that makes them to the one that takes them; every such place is one of these."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Handover(Generic[Item]):
    """A few items between two threads, in order; each side learns when the other has ended.

    Whoever must lose nothing asks ``wait_for_room`` before it makes an item: then none is made that would have to
    wait, and none grows old. Whoever shows what happens now just puts: the oldest that waits makes way.

    Items are large as a rule: whoever has one lets go of it (``del``) before the next ``take`` or ``wait_for_room``.

    Args:
        room: how many items may wait, at least 1.

    Attributes:
        dropped: how many items made way for newer ones.
    """

    def __init__(self, room: int = 1) -> None:
        self.dropped = 0
        self._room = max(1, room)
        self._changed = threading.Condition()
        self._waiting: deque[Item] = deque()
        self._error: BaseException | None = None
        self._finished = False
        self._stopped = False

    def wait_for_room(self, timeout_s: float | None = None) -> bool:
        """Wait until an item can be put without dropping another.

        Returns:
            False when there was no room in time, or when nobody takes any more (``stopped``).
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._waiting) < self._room, timeout_s)
            return not self._stopped and len(self._waiting) < self._room

    def put(self, item: Item) -> None:
        """Hand an item over, at once; where there is no room the oldest is dropped. After the end nothing happens."""
        with self._changed:
            if self._stopped or self._finished:
                return
            if len(self._waiting) >= self._room:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            self._changed.notify_all()

    def finish(self, error: BaseException | None = None) -> None:
        """Nothing more will be put; what waits can still be taken, and then ``error`` is raised there."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def take(self, timeout_s: float | None = None) -> Item | None:
        """The next item.

        Returns:
            None when none came in time, or when none will come any more: always so where ``finished`` was true before.

        Raises:
            What ``finish`` was given, after the items before it, at every call.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finished or self._stopped, timeout_s)
            if self._waiting:
                item = self._waiting.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None and not self._stopped:
                raise self._error
            return None

    def stop(self) -> int:
        """Nobody takes any more: let go of what waits, and say how many that were."""
        with self._changed:
            self._stopped = True
            left = len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return left

    @property
    def finished(self) -> bool:
        """Whether nothing more will be put. Ask before ``take``, not after it: an item may come in between."""
        return self._finished

    @property
    def stopped(self) -> bool:
        """Whether nobody takes any more."""
        return self._stopped
