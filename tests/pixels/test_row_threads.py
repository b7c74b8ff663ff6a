"""Rows shared out between threads: each exactly once, and errors reach the caller."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.pixels.row_threads import available_threads, share_rows


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 500), threads=st.integers(1, 5), band_rows=st.integers(1, 70))
def test_every_row_once(rows: int, threads: int, band_rows: int) -> None:
    seen: list[int] = []
    share_rows(lambda first, last: seen.extend(range(first, last)), rows, threads, band_rows)
    assert sorted(seen) == list(range(rows))


def test_error_reaches_the_caller_after_all_threads_are_done() -> None:
    working = 0
    lock = threading.Lock()

    def work(first: int, last: int) -> None:
        nonlocal working
        with lock:
            working += 1
        try:
            if first == 32:
                raise ValueError("band 32")
        finally:
            with lock:
                working -= 1

    with pytest.raises(ValueError, match="band 32"):
        share_rows(work, 320, 3)
    assert working == 0
    share_rows(lambda first, last: None, 320, 3)  # the pool still works


def test_more_callers_than_the_pool_has_threads() -> None:
    def caller(index: int) -> int:
        rows: list[int] = []
        share_rows(lambda first, last: rows.append(last - first), 100 + index, 8, 1)
        return sum(rows)

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(caller, range(40))) == [100 + index for index in range(40)]


def test_thread_count_is_sensible() -> None:
    assert 1 <= available_threads() <= 8
