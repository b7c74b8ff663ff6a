"""A frame's rows shared out between threads, safely from any number of callers at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_MOST_THREADS = 8  # the full-resolution step is bound by memory beyond this

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def available_threads() -> int:
    """How many threads this process may use well: its processors, at most 8."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        count = os.cpu_count() or 1
    return max(1, min(count, _MOST_THREADS))


def share_rows(work: Callable[[int, int], None], rows: int, threads: int, band_rows: int = 32) -> None:
    """Call ``work(first_row, last_row)`` for bands that together cover all rows, on several threads.

    The caller's thread works too and takes whatever the others have not begun, so that a busy machine, or another
    caller that holds the pool, costs speed but never a dead-lock. Bands are handed out as threads become free:
    a foreground that sits in one part of the frame is shared evenly.

    Args:
        work: must let go of the interpreter lock to gain anything, and must be safe for disjoint bands.
        rows: how many rows there are.
        threads: how many threads may work, this one included.
        band_rows: rows in a band.

    Raises:
        Exception: the first that ``work`` raised, once no thread works on this call any more.
    """
    starts = iter(range(0, rows, band_rows))

    def drain() -> None:
        while (start := next(starts, None)) is not None:
            work(start, min(start + band_rows, rows))

    helpers = _summon(drain, min(threads, -(-rows // band_rows)) - 1)
    try:
        drain()
    finally:
        failures = [helper.exception() for helper in helpers if not helper.cancel()]
    for failure in failures:
        if failure is not None:
            raise failure


def _summon(task: Callable[[], None], count: int) -> list[Future[None]]:
    if count < 1:
        return []
    try:
        pool = _shared_pool()
        return [pool.submit(task) for _ in range(count)]
    except RuntimeError:  # the interpreter is shutting down: the caller works alone
        return []


def _shared_pool() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(_MOST_THREADS - 1, thread_name_prefix="edge-harmony-rows")
        return _pool


def _forget_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
