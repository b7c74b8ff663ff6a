"""The newest frame, however slow the reader, and whatever happens to the source."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.capture import CaptureOptions, open_source
from edge_harmony.capture.live import LiveReader
from edge_harmony.capture.pace import Paced
from edge_harmony.capture.pattern import Pattern, Scene
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import SourceError
from tests.capture.scenes import write_clip

PATIENCE_S = 30.0  # how long a test waits for what must happen; a good run waits for none of it
QUICK = (0.005, 0.02)

Step = Callable[[], None] | int  # a number of frames to give, or something to do


class Scripted(Source):
    """A live source that does at each connection what its list says: give frames, raise, wait."""

    live = True
    reconnects = True

    def __init__(self, *connections: list[Step], size_hw: tuple[int, int] = (64, 64)) -> None:
        self.name, self.size_hw = "scripted camera", size_hw
        self.rate, self.time_base = Fraction(25), Fraction(1, 1000)
        self.connections = list(connections)
        self.tried_s: list[float] = []
        self.closed = False
        self.interrupted = threading.Event()

    def __iter__(self) -> Iterator[TimedFrame]:
        self.tried_s.append(time.monotonic())
        steps = self.connections.pop(0) if self.connections else [lambda: self.interrupted.wait(PATIENCE_S)]
        index = 0
        for step in steps:
            if not isinstance(step, int):
                step()
                continue
            for _ in range(step):
                image = np.full((*self.size_hw, 3), index, np.uint8)
                yield TimedFrame(image, 40 * index, self.time_base, index, captured_s=time.monotonic())
                index += 1

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        self.closed = True


def fail(message: str = "unplugged") -> Callable[[], None]:
    def lose() -> None:
        raise SourceError(message, "plug it in")

    return lose


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def our_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("edge-harmony capture")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(our_threads())
    yield
    wait_for(lambda: set(our_threads()) <= before)


def test_latency_stays_flat_for_a_minute_of_a_consumer_that_is_too_slow() -> None:
    """A minute of 30 frames a second, played 20 times as fast; the consumer takes three frames' time for each."""
    speed, rate = 20.0, 30
    source = Paced(Pattern((64, 64), Fraction(rate), Scene(frames=60 * rate)), speed)
    latencies, behind, seen = [], [], 0
    with LiveReader(source) as reader:
        while True:
            ready = reader.received  # whatever is read from here on must be at least this new
            frame = reader.read(PATIENCE_S)
            if frame is None:
                break
            behind.append(ready - 1 - frame.index)
            seen += 1
            time.sleep(3.0 / rate / speed)
            latencies.append((time.monotonic() - frame.captured_s) * speed)
        assert reader.state == "ended"
        assert reader.received == 60 * rate
        assert reader.dropped == 60 * rate - seen > 20 * rate
    assert max(behind) <= 0, "a frame was given although a newer one was there"
    third = len(latencies) // 3
    early, late = np.median(latencies[:third]), np.median(latencies[-third:])
    assert late < early + 0.2, f"latency grew from {early:.3f} s to {late:.3f} s"  # a queue would make it 40 s


def test_the_last_frame_of_a_file_is_not_lost_and_then_it_ends(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "a.mp4", 8, time_base=Fraction(1, 100)), CaptureOptions(realtime=True))
    with LiveReader(source) as reader:
        wait_for(lambda: reader.state == "ended")
        frame = reader.read(0)
        assert frame is not None
        assert (frame.index, frame.time_s) == (7, Fraction(7, 100))
        assert reader.dropped == 7
        assert reader.read(0) is None
        assert reader.read(PATIENCE_S) is None  # at once
        assert (reader.state, reader.outages) == ("ended", 0)


def test_a_file_read_without_realtime_drops_nothing_and_with_it_keeps_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 12, time_base=Fraction(1, 25))
    assert [f.index for f in open_source(clip)] == list(range(12))
    frames = list(open_source(clip, CaptureOptions(realtime=True)))
    assert [f.index for f in frames] == list(range(12))
    for frame in frames:
        assert frame.captured_s - frames[0].captured_s >= float(frame.time_s) - 0.001  # never early


def test_an_interrupted_pause_ends_at_once() -> None:
    reader = LiveReader(Paced(Pattern((64, 64), Fraction(1, 60), Scene(frames=3))))  # a frame a minute
    assert reader.read(PATIENCE_S) is not None
    start = time.monotonic()
    reader.close()
    assert time.monotonic() - start < 10
    assert reader.state == "ended"


def test_a_lost_source_comes_back_with_one_line_for_the_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    go_on = threading.Event()
    source = Scripted([3, fail("no more frames")], [fail()], [fail()], [fail()], [5, lambda: go_on.wait(PATIENCE_S)])
    with LiveReader(source, backoff_s=QUICK) as reader:
        wait_for(lambda: reader.received == 8)
        assert (reader.state, reader.outages) == ("live", 1)
        assert len(source.tried_s) == 5
        go_on.set()
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert warnings == ["scripted camera is lost: no more frames; trying to get it back"]
    assert [r.getMessage() for r in caplog.records if "is back after" in r.getMessage()] != []
    assert source.closed


def test_waits_between_tries_grow_to_their_limit() -> None:
    source = Scripted([1, fail()], *[[fail()] for _ in range(5)], [1, lambda: source.interrupted.wait(PATIENCE_S)])
    with LiveReader(source, backoff_s=(0.02, 0.1)) as reader:
        wait_for(lambda: reader.received == 2)
    waits = np.diff(source.tried_s)
    for waited, least in zip(waits, (0.02, 0.04, 0.08, 0.1, 0.1, 0.1), strict=True):
        assert waited >= least - 0.001


def test_state_while_it_is_lost_and_the_error_when_it_is_given_up() -> None:
    source = Scripted([1, fail("gone")], *[[fail("still gone")] for _ in range(1000)])
    with LiveReader(source, backoff_s=QUICK, give_up_s=0.2) as reader:
        assert reader.read(PATIENCE_S) is not None
        wait_for(lambda: reader.state == "lost")
        wait_for(lambda: reader.state == "ended")
        with pytest.raises(SourceError, match="still gone"):
            reader.read(0)


def test_times_rise_through_outages_and_indices_count_on() -> None:
    pause = lambda: time.sleep(0.15)  # noqa: E731
    source = Scripted([4, fail()], [fail()], [pause, 4, fail()], [2, lambda: source.interrupted.wait(PATIENCE_S)])
    frames = []

    def keep(frame: TimedFrame) -> None:  # every frame, also those that nobody reads
        take(frame)
        frames.append(reader.read(0))

    reader = LiveReader.__new__(LiveReader)
    take = reader._take
    reader._take = keep  # type: ignore[method-assign]
    reader.__init__(source, backoff_s=QUICK)  # type: ignore[misc]
    with reader:
        wait_for(lambda: reader.received == 10)
    times = [float(f.time_s) for f in frames]
    assert (np.diff(times) > 0).all()
    assert times[:4] == pytest.approx([0, 0.04, 0.08, 0.12], abs=1e-4)  # the source's own clock within a connection
    assert np.diff(times[4:8]) == pytest.approx([0.04] * 3, abs=1e-4)
    assert times[4] >= 0.15  # an outage takes the time that it took
    assert [f.index for f in frames] == list(range(10))


def test_another_size_after_an_outage_is_delivered() -> None:
    source = Scripted([2, fail()], [lambda: setattr(source, "size_hw", (80, 96)), 2, lambda: held.wait(PATIENCE_S)])
    held = threading.Event()
    with LiveReader(source, backoff_s=QUICK) as reader:
        wait_for(lambda: reader.received == 4)
        frame = reader.read(0)
        assert frame is not None
        assert frame.image_bgr.shape == (80, 96, 3)
        held.set()


def test_an_error_that_is_no_outage_reaches_the_reader() -> None:
    class Broken(Scripted):
        reconnects = False

    with LiveReader(Broken([2, fail("file is cut short")])) as reader:
        wait_for(lambda: reader.state == "ended")
        frame = reader.read(0)  # what came before it is not lost
        assert frame is not None
        assert frame.index == 1
        for _ in range(2):
            with pytest.raises(SourceError, match="cut short"):
                reader.read(0)
        assert reader.outages == 0

    def bug() -> None:
        raise ZeroDivisionError

    with LiveReader(Scripted([bug])) as reader, pytest.raises(ZeroDivisionError):
        reader.read(PATIENCE_S)


def test_a_source_without_frames_for_a_while_counts_as_lost() -> None:
    held = threading.Event()
    with LiveReader(Scripted([1, lambda: held.wait(PATIENCE_S)])) as reader:
        assert reader.read(PATIENCE_S) is not None
        assert reader.state == "live"
        wait_for(lambda: reader.state == "lost")
        assert reader.read(0.01) is None
        held.set()


def test_close_is_bounded_when_the_native_read_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """The reader sits in a blocking read of the operating system, which nothing can interrupt."""
    readable, writable = os.pipe()
    source = Scripted([1, lambda: os.read(readable, 1)])
    reader = LiveReader(source)
    assert reader.read(PATIENCE_S) is not None
    start = time.monotonic()
    reader.close(timeout_s=0.2)
    assert time.monotonic() - start < 10
    assert any("hangs" in r.getMessage() for r in caplog.records)
    os.write(writable, b"x")  # the device answers after all: now the thread ends by itself, and lets go of the device
    wait_for(lambda: not our_threads())
    assert source.closed
    os.close(readable)
    os.close(writable)


def test_close_during_an_outage_and_twice() -> None:
    source = Scripted([fail()])
    reader = LiveReader(source, backoff_s=(PATIENCE_S, PATIENCE_S))
    wait_for(lambda: reader.outages == 1)
    start = time.monotonic()
    reader.close()
    reader.close()
    assert time.monotonic() - start < 10
    assert source.closed
    assert reader.read(0) is None
