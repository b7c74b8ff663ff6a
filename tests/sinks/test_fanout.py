"""Several sinks at once: none holds up another, and none takes another down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from edge_harmony.errors import SinkError
from edge_harmony.sinks.base import LiveSink
from edge_harmony.sinks.fanout import Fanout

PATIENCE_S = 20.0
IMAGE = np.zeros((4, 6, 3), np.uint8)


class Sink:
    """A sink that notes its calls; ``gate`` closed makes it block."""

    def __init__(self, name: str = "sink", lossless: bool = False, own_thread: bool = True) -> None:
        self.name, self.lossless, self.own_thread = name, lossless, own_thread
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.taken: list[float] = []
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self.fails_at: dict[str, Exception] = {}

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails_at:
            raise self.fails_at[name]

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        self._call("start")

    def write(self, image_bgr: np.ndarray, pts_s: float) -> None:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        self.gate.wait(PATIENCE_S)
        self._call("write")
        self.taken.append(pts_s)

    def close(self) -> None:
        self._call("close")

    def abort(self) -> None:
        self._call("abort")


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def _started(*sinks: LiveSink, **settings: float) -> Fanout:
    fanout = Fanout(sinks, **settings)  # type: ignore[arg-type]
    fanout.start((4, 6), Fraction(25))
    return fanout


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("edge-harmony sink")]


def test_fanout_is_a_live_sink() -> None:
    assert isinstance(Fanout([]), LiveSink)
    assert isinstance(Sink(), LiveSink)


def test_every_sink_gets_every_picture_in_order_and_threads_end() -> None:
    sinks = [Sink("a", lossless=True), Sink("b", lossless=True)]
    with _started(*sinks) as fanout:
        assert len(_threads()) == 2
        for index in range(200):
            fanout.write(IMAGE, index / 25)
    assert [s.taken for s in sinks] == [[i / 25 for i in range(200)]] * 2
    assert [s.calls[-1] for s in sinks] == ["close", "close"]
    assert fanout.dropped == {"a": 0, "b": 0}
    assert fanout.written == {"a": 200, "b": 200}
    assert not _threads()


def test_a_sink_that_blocks_holds_up_nobody() -> None:
    blocked, lively = Sink("blocked"), Sink("lively", lossless=True)
    blocked.gate.clear()
    fanout = _started(blocked, lively, waiting=3)
    fanout.write(IMAGE, 0.0)
    assert blocked.entered.wait(PATIENCE_S)
    for index in range(1, 101):
        fanout.write(IMAGE, float(index))  # would never return if it waited for the blocked one
    _wait(lambda: len(lively.taken) == 101)
    assert blocked.taken == []
    assert fanout.dropped == {"blocked": 97, "lively": 0}
    blocked.gate.set()
    _wait(lambda: len(blocked.taken) == 4)
    assert blocked.taken == [0.0, 98.0, 99.0, 100.0]  # the oldest were dropped, the newest are shown
    fanout.close()
    assert fanout.written["blocked"] + fanout.dropped["blocked"] == 101


def test_the_caller_waits_for_a_lossless_sink() -> None:
    slow = Sink(lossless=True)
    slow.gate.clear()
    fanout = _started(slow, waiting=2)
    feeder = threading.Thread(target=lambda: [fanout.write(IMAGE, float(i)) for i in range(10)])
    feeder.start()
    assert slow.entered.wait(PATIENCE_S)
    time.sleep(0.05)
    assert feeder.is_alive()
    slow.gate.set()
    feeder.join(PATIENCE_S)
    fanout.close()
    assert slow.taken == [float(i) for i in range(10)]


def test_a_lossless_sink_that_takes_nothing_fails_in_the_end() -> None:
    dead, lively = Sink("dead", lossless=True), Sink("lively")
    dead.gate.clear()
    fanout = _started(dead, lively, waiting=1, stall_s=0.1, finish_s=0.1, close_s=0.1)
    for index in range(5):
        fanout.write(IMAGE, float(index))
    assert [type(error) for error in fanout.failures] == [SinkError]
    assert fanout.working == 1
    fanout.close()
    dead.gate.set()


@pytest.mark.parametrize("error", [SinkError("the disk is full", "free some"), RuntimeError("a bug")])
def test_a_sink_that_fails_is_closed_and_reported_once_and_the_others_go_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Sink("bad", lossless=True), Sink("good", lossless=True)
    bad.fails_at["write"] = error
    fanout = _started(bad, good)
    for index in range(20):
        fanout.write(IMAGE, float(index))
    _wait(lambda: "close" in bad.calls)
    fanout.close()  # does not raise again what was reported
    assert fanout.failures == [error]
    assert bad.calls == ["start", "write", "close"]
    assert len(good.taken) == 20
    assert [r.getMessage().count("bad ended") for r in caplog.records] == [1]
    assert fanout.working == 1


def test_what_fails_while_a_file_is_finished_is_raised_after_all_were_closed() -> None:
    bad, good = Sink("bad", lossless=True), Sink("good")
    bad.fails_at["close"] = SinkError("no room for the index")
    fanout = _started(bad, good)
    fanout.write(IMAGE, 0.0)
    with pytest.raises(SinkError, match="index"):
        fanout.close()
    assert good.calls[-1] == "close"
    fanout.close()


def test_a_sink_that_cannot_start_ends_those_that_could() -> None:
    good, bad = Sink("good"), Sink("bad")
    bad.fails_at["start"] = SinkError("no such folder")
    with pytest.raises(SinkError, match="folder"):
        _started(good, bad)
    assert good.calls == ["start", "abort"]
    assert not _threads()


def test_closing_is_bounded_when_a_sink_hangs() -> None:
    hung, good = Sink("hung"), Sink("good", lossless=True)
    hung.gate.clear()
    fanout = _started(hung, good, close_s=0.1)
    fanout.write(IMAGE, 0.0)
    assert hung.entered.wait(PATIENCE_S)
    fanout.close()  # returns: the gate would hold it up for much longer
    assert not hung.gate.is_set()
    assert "hangs" in str(fanout.failures[0])
    assert hung.calls[-1] == "abort"
    assert good.calls[-1] == "close"
    hung.gate.set()
    _wait(lambda: not _threads())


def test_a_window_is_used_in_the_callers_thread() -> None:
    window, other = Sink("window", own_thread=False), Sink("other", lossless=True)
    with _started(window, other) as fanout:
        fanout.write(IMAGE, 0.0)
        assert window.taken == [0.0]
    assert window.threads == {threading.current_thread().name}
    assert other.threads == {"edge-harmony sink other"}
    assert window.calls[-1] == "close"


class Page(Sink):
    """A sink that compares by itself."""

    def __init__(self) -> None:
        super().__init__("page")
        self.wants_plain = False
        self.seen: list[tuple[np.ndarray, np.ndarray | None]] = []

    def write(self, image_bgr: np.ndarray, pts_s: float, plain_bgr: np.ndarray | None = None) -> None:
        super().write(image_bgr, pts_s)
        self.seen.append((image_bgr, plain_bgr))


def test_a_page_compares_by_itself_in_the_callers_thread() -> None:
    page, other = Page(), Sink("other", lossless=True)
    uncompared, plain, made = IMAGE + 1, IMAGE + 2, []

    def make_plain() -> np.ndarray:
        made.append(plain)
        return plain

    with _started(page, other) as fanout:
        fanout.write(IMAGE, 0.0, uncompared=uncompared, plain=make_plain)
        assert made == []  # nobody looks at it
        page.wants_plain = True
        fanout.write(IMAGE, 0.1, uncompared=uncompared, plain=make_plain)
    assert page.threads == {threading.current_thread().name}
    assert [image is uncompared for image, _ in page.seen] == [True, True]
    assert page.seen[0][1] is None
    assert page.seen[1][1] is plain


def test_a_page_that_fails_takes_no_other_down() -> None:
    page, other = Page(), Sink("other", lossless=True)
    page.fails_at["write"] = SinkError("the page is gone")
    with _started(page, other) as fanout:
        for index in range(3):
            fanout.write(IMAGE, float(index))
    assert other.taken == [0.0, 1.0, 2.0]
    assert [str(error) for error in fanout.failures] == ["the page is gone"]
    assert page.calls == ["start", "write", "close"]


def test_names_that_are_alike_are_told_apart() -> None:
    fanout = Fanout([Sink("a"), Sink("a"), Sink("b")])
    assert list(fanout.dropped) == ["a", "a (2)", "b"]


def test_an_exception_of_the_caller_aborts() -> None:
    sink = Sink()
    with pytest.raises(KeyError), _started(sink):
        raise KeyError
    assert sink.calls[-1] == "abort"
    assert not _threads()
