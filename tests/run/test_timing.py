"""Durations by stage."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_harmony.run.timing import StageTimer


def test_statistics_of_known_durations() -> None:
    timer = StageTimer()
    for value in range(1, 101):
        timer.add("network", float(value))
    summary = timer.summary()["network"]
    assert summary.count == 100
    assert summary.mean_ms == pytest.approx(50.5)
    assert summary.p50_ms == pytest.approx(50.5)
    assert summary.p95_ms == pytest.approx(95.05)
    assert summary.p99_ms == pytest.approx(99.01)
    assert summary.as_dict()["p50_ms"] == summary.p50_ms
    assert timer.last_ms("network") == 100.0
    assert timer.last_ms("never") == 0.0


def test_measures_milliseconds_and_keeps_the_order() -> None:
    timer = StageTimer()
    with timer.stage("slow"):
        time.sleep(0.02)
    with timer.stage("quick"):
        pass
    summary = timer.summary()
    assert list(summary) == ["slow", "quick"]
    assert summary["slow"].p50_ms >= 19.0
    assert summary["quick"].p50_ms < summary["slow"].p50_ms


def test_a_stage_that_raises_is_not_counted() -> None:
    timer = StageTimer()
    with pytest.raises(ValueError, match="x"), timer.stage("failing"):
        raise ValueError("x")
    assert timer.summary() == {}


def test_forgets_beyond_the_window_and_on_reset() -> None:
    timer = StageTimer(window=3)
    for value in (100.0, 1.0, 2.0, 3.0):
        timer.add("a", value)
    assert timer.summary()["a"].mean_ms == pytest.approx(2.0)
    timer.reset()
    assert timer.summary() == {}


def test_several_threads() -> None:
    timer = StageTimer(window=10_000)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: timer.add(f"stage {i % 3}", 1.0), range(3000)))
    assert sum(stage.count for stage in timer.summary().values()) == 3000
