"""Reading, working and writing at once: in order, and with few items in memory."""

from __future__ import annotations

import threading
import time
import weakref

import pytest

from edge_harmony.overlap import run_overlapped


class Item:
    """Something that can be watched."""

    def __init__(self, number: int) -> None:
        self.number = number


def test_everything_arrives_in_order() -> None:
    written: list[int] = []
    assert run_overlapped(range(100), lambda item: item * 2, written.append) == 100
    assert written == list(range(0, 200, 2))


def test_no_more_items_are_alive_than_the_stages_need() -> None:
    items: weakref.WeakSet[Item] = weakref.WeakSet()
    results: weakref.WeakSet[Item] = weakref.WeakSet()
    most = [0, 0]

    def made(number: int, kind: weakref.WeakSet[Item]) -> Item:
        item = Item(number)
        kind.add(item)
        most[:] = max(most[0], len(items)), max(most[1], len(results))
        return item

    def read():
        for number in range(30):
            yield made(number, items)

    def write(result: Item) -> None:
        time.sleep(0.003)  # the slowest, as an encoder is

    assert run_overlapped(read(), lambda item: made(item.number, results), write) == 30
    assert most == [2, 2], "one that is worked on, one that is next"


def test_stages_work_at_the_same_time() -> None:
    """Each stage waits for the others to be busy: alone, it would wait for ever."""
    meet = threading.Barrier(3, timeout=20.0)

    def stage(item: int) -> int:
        if item >= 0 and not done.is_set():
            meet.wait()
        return item

    done = threading.Event()
    seen: list[int] = []

    def read():
        yield 0
        yield 1
        stage(2)  # while 1 is worked on and 0 is written
        done.set()
        yield 2

    def work(item: int) -> int:
        return stage(item) if item == 1 else item

    def write(item: int) -> None:
        seen.append(stage(item) if item == 0 else item)

    assert run_overlapped(read(), work, write) == 3
    assert seen == [0, 1, 2]


def test_an_error_of_the_reader_comes_after_what_it_had_read() -> None:
    written: list[int] = []

    def read():
        yield 1
        yield 2
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        run_overlapped(read(), lambda item: item, written.append)
    assert written in ([1], [1, 2])
