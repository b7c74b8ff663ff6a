"""Three stages at once: nothing lost, order kept, errors and interrupts carried over, threads ended."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from edge_harmony.run.overlap import run_overlapped


def _own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name in ("edge-harmony reader", "edge-harmony writer")]


def test_every_item_in_order() -> None:
    written: list[int] = []
    assert run_overlapped(range(200), lambda i: i * i, written.append) == 200
    assert written == [i * i for i in range(200)]
    assert _own_threads() == []


def test_stages_overlap() -> None:
    def slow(item: int) -> int:
        time.sleep(0.01)
        return item

    def items() -> Iterator[int]:
        for item in range(20):
            yield slow(item)

    started = time.perf_counter()
    run_overlapped(items(), slow, lambda item: slow(item) and None)
    assert time.perf_counter() - started < 20 * 0.03 * 0.8  # one after the other they need 0.6 s


@pytest.mark.parametrize("stage", ["read", "work", "write"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_of_any_stage_arrives_and_ends_all(stage: str, error: type[BaseException]) -> None:
    written: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            if stage == "read" and item == 7:
                raise error("read")
            yield item

    def work(item: int) -> int:
        if stage == "work" and item == 7:
            raise error("work")
        return item

    def write(item: int) -> None:
        if stage == "write" and item == 7:
            raise error("write")
        written.append(item)

    with pytest.raises(error, match=stage):
        run_overlapped(items(), work, write)
    assert written == list(range(len(written)))
    assert len(written) <= 7
    assert _own_threads() == []


def test_a_slow_writer_holds_the_reader_back() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for item in range(50):
            read += 1
            yield item

    ahead: list[int] = []

    def write(item: int) -> None:
        time.sleep(0.002)
        ahead.append(read - item)

    run_overlapped(items(), lambda item: item, write)
    assert max(ahead) <= 4  # one written, one ready to be, one worked on, one being read


class Large:
    """Something that can be watched."""

    def __init__(self, number: int) -> None:
        self.number = number


def test_no_more_items_are_alive_than_the_stages_need() -> None:
    items: weakref.WeakSet[Large] = weakref.WeakSet()
    results: weakref.WeakSet[Large] = weakref.WeakSet()
    most = [0, 0]

    def made(number: int, kind: weakref.WeakSet[Large]) -> Large:
        item = Large(number)
        kind.add(item)
        most[:] = max(most[0], len(items)), max(most[1], len(results))
        return item

    def read() -> Iterator[Large]:
        for number in range(30):
            yield made(number, items)

    def write(result: Large) -> None:
        time.sleep(0.003)  # the slowest, as an encoder is

    assert run_overlapped(read(), lambda item: made(item.number, results), write) == 30
    assert most[0] <= 2, "one that is worked on, one that is next"
    assert most[1] == 2, "one that is written, one that is next"


def test_the_iterator_is_closed_where_it_was_used() -> None:
    where: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            where.append(threading.current_thread().name)

    def work(item: int) -> int:
        if item == 3:
            raise ValueError("stop")
        return item

    with pytest.raises(ValueError, match="stop"):
        run_overlapped(items(), work, lambda item: None)
    assert where == ["edge-harmony reader"]


def test_nothing_to_do() -> None:
    assert run_overlapped([], lambda i: i, lambda i: None) == 0
