"""Items between two threads: none lost unless it may be, and each side learns of the other's end."""

from __future__ import annotations

import threading
import time
import weakref

import pytest

from edge_harmony.run.handover import Handover
from edge_harmony.run.read_ahead import ReadAhead

PATIENCE_S = 20.0


def in_thread(work: object) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_whoever_waits_for_room_loses_nothing() -> None:
    handover: Handover[int] = Handover(3)
    most = 0

    def make() -> None:
        for number in range(500):
            assert handover.wait_for_room(PATIENCE_S)
            handover.put(number)
        handover.finish()

    maker = in_thread(make)
    taken = []
    while (item := handover.take(PATIENCE_S)) is not None:
        most = max(most, len(handover._waiting))
        taken.append(item)
    maker.join(PATIENCE_S)
    assert taken == list(range(500))
    assert handover.dropped == 0
    assert most <= 3


def test_whoever_does_not_wait_keeps_the_newest() -> None:
    handover: Handover[int] = Handover(2)
    for number in range(7):
        handover.put(number)
    assert not handover.wait_for_room(0)
    assert [handover.take(0), handover.take(0), handover.take(0)] == [5, 6, None]
    assert handover.dropped == 5


def test_room_comes_when_an_item_is_taken() -> None:
    handover: Handover[int] = Handover()
    handover.put(1)
    waited = []
    waiter = in_thread(lambda: waited.append(handover.wait_for_room(PATIENCE_S)))
    time.sleep(0.02)
    assert not waited
    assert handover.take() == 1
    waiter.join(PATIENCE_S)
    assert waited == [True]


def test_what_waits_is_taken_before_the_end_and_the_error_comes_after_it() -> None:
    handover: Handover[int] = Handover(5)
    handover.put(1)
    handover.put(2)
    handover.finish(ValueError("cut short"))
    handover.put(3)  # too late
    assert handover.finished
    assert [handover.take(), handover.take()] == [1, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="cut short"):
            handover.take()


def test_the_end_wakes_a_taker_that_waits_without_limit() -> None:
    handover: Handover[int] = Handover()
    got = []
    taker = in_thread(lambda: got.append(handover.take()))
    handover.finish()
    taker.join(PATIENCE_S)
    assert got == [None]


def test_stopping_wakes_both_sides_and_lets_go_of_what_waits() -> None:
    class Large:
        pass

    handover: Handover[Large] = Handover()
    item = Large()
    watched = weakref.ref(item)
    handover.put(item)
    del item
    got = []
    maker = in_thread(lambda: got.append(handover.wait_for_room()))
    time.sleep(0.02)
    assert handover.stop() == 1
    maker.join(PATIENCE_S)
    assert got == [False]
    assert watched() is None
    handover.put(Large())
    assert handover.take(0) is None
    handover.finish(ValueError("nobody hears it"))
    assert handover.take(0) is None
    assert handover.stopped
    assert handover.stop() == 0


def test_a_last_item_between_two_questions_is_not_lost() -> None:
    """Whoever asks whether it has ended before it takes, as every reader here does, misses nothing."""
    for _ in range(200):
        handover: Handover[int] = Handover()

        def make(handover: Handover[int] = handover) -> None:
            handover.put(1)
            handover.finish()

        maker = in_thread(make)
        seen = []
        while True:
            ended = handover.finished
            item = handover.take(0)
            if item is not None:
                seen.append(item)
            elif ended:
                break
        assert seen == [1]
        maker.join(PATIENCE_S)


def test_reading_ahead_begins_the_next_when_the_last_one_is_read() -> None:
    begun = []

    def numbers():
        for number in range(4):
            begun.append(number)
            yield number
        raise OSError("unplugged")

    reader = ReadAhead(numbers(), 1)
    for number in range(4):
        deadline = time.monotonic() + PATIENCE_S
        while len(begun) < number + 1:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(0.01)
        assert len(begun) == number + 1, "one waits to be read, and no other has been begun"
        assert reader.read(PATIENCE_S) == number
    with pytest.raises(OSError, match="unplugged"):
        reader.read(PATIENCE_S)
    assert reader.state == "ended"
    reader.close()
    reader.close()


def test_closing_a_reader_closes_the_iterator_in_its_own_thread() -> None:
    where = []

    def numbers():
        try:
            while True:
                yield 1
        finally:
            where.append(threading.current_thread().name)

    reader = ReadAhead(numbers(), 2, "edge-harmony counting")
    assert reader.read(PATIENCE_S) == 1
    reader.close()
    assert where == ["edge-harmony counting"]
    assert reader.read(0) is None
