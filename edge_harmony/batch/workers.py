"""Jobs shared out over processes of this machine, each of which may die without any job being lost."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from edge_harmony.batch.jobs import ATTEMPTS, FAILED, Job, Maker, Outcome, do_job
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.run.signals import Terminated, stop_signals_as_exceptions

_END_S: Final = 15.0  # how long a worker may take to clean up

Hear = Callable[[Job, str, Any], None]
"""Hears of a job that it was ``begun``; its ``frames`` (done, of how many); what is ``said`` (level, line); and that it
``ended`` (outcome)."""


def run_on_workers(jobs: Sequence[Job], maker: str, count: int, hear: Hear) -> None:
    """Do every job, in processes of their own.

    A worker that dies costs no job: another takes its place and its job, and goes on after what is done already. A job
    of which ``ATTEMPTS`` workers have died has failed.

    Args:
        jobs: in the order in which they are begun.
        maker: ``package.module:name`` of what makes clips, called with the number of threads it may use (None: all).
        count: how many workers there are at most. Each gets its share of the processors, where the system allows it.
        hear: called in this thread.

    Raises:
        EdgeHarmonyError: no worker comes into being.
    """
    waiting = deque(jobs)
    deaths = dict.fromkeys((job.number for job in jobs), 0)
    shares = _shares(min(count, len(jobs)))
    workers: dict[int, _Worker] = {}
    try:
        while waiting or any(worker.job is not None for worker in workers.values()):
            for place in range(len(shares)):
                if waiting and place not in workers:
                    workers[place] = _Worker(maker, shares[place])
                if waiting and workers[place].job is None:
                    job = waiting.popleft()
                    hear(job, "begun", None)
                    workers[place].begin(job)
            by_connection = {worker.connection: place for place, worker in workers.items()}
            for connection in wait(list(by_connection)):
                place = by_connection[connection]  # pyright: ignore[reportArgumentType]
                worker = workers[place]
                if worker.hear(hear, deaths):
                    continue
                del workers[place]
                how = worker.end()
                job = worker.job
                if job is None:
                    raise EdgeHarmonyError(f"a worker {how} before it could begin", "start it with --debug")
                deaths[job.number] += 1
                if deaths[job.number] < ATTEMPTS:
                    hear(job, "said", (30, f"its worker {how}; it is begun again"))
                    waiting.appendleft(job)
                else:
                    hint = "the clip, or a library that it needs, ends the process: try it with 'edge-harmony process'"
                    words = f"{ATTEMPTS} workers ended over it, the last one {how}"
                    hear(job, "ended", Outcome.of(job, status=FAILED, error=words, hint=hint, deaths=ATTEMPTS))
    finally:
        for worker in workers.values():
            worker.stop()
        for worker in workers.values():
            worker.end()


class _Worker:
    """One process, from this side."""

    def __init__(self, maker: str, processors: frozenset[int] | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.job: Job | None = None
        self._process = context.Process(target=_serve, args=(theirs, maker, processors, list(sys.path)), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, job: Job) -> None:
        """Hand over a job; a process that is gone shows when it is heard."""
        self.job = job
        with contextlib.suppress(OSError):
            self.connection.send(job)

    def hear(self, hear: Hear, deaths: dict[int, int]) -> bool:
        """Pass on one message; False when there will be no more, because the process has ended."""
        try:
            kind, what = self.connection.recv()
        except (EOFError, OSError):
            return False
        job = self.job
        assert job is not None
        if kind == "ended":
            self.job = None
            what = replace(what, deaths=deaths[job.number])
        elif kind == "broken":
            raise what
        hear(job, kind, what)
        return True

    def stop(self) -> None:
        """Have it clean up and end."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self) -> str:
        """Wait for its end; says how it ended."""
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        if code < 0:
            try:
                return f"was ended by {signal.Signals(-code).name}"
            except ValueError:
                return f"was ended by signal {-code}"
        return f"ended with exit code {code}"


def _shares(count: int) -> list[frozenset[int] | None]:
    """The processors shared out; None where the system knows no such thing, or there are too few."""
    try:
        processors = sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return [None] * count
    if count < 2 or len(processors) < count:
        return [None] * count
    return [frozenset(processors[place::count]) for place in range(count)]


def _serve(connection: Connection, maker: str, processors: frozenset[int] | None, path: list[str]) -> None:
    """The process: does one job after another until the other side has no more, or is gone."""
    sys.path[:] = path
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: who began us ends us in order
    if processors is not None:
        os.sched_setaffinity(0, processors)  # before any library counts them
    threading.Thread(target=_end_with_parent, daemon=True).start()
    at_once = threading.Lock()

    def tell(kind: str, what: Any) -> None:
        with at_once:
            connection.send((kind, what))

    try:
        with stop_signals_as_exceptions():
            work = make_maker(maker, None if processors is None else len(processors))
            while True:
                tell("ended", do_job(connection.recv(), work, tell))
    except EdgeHarmonyError as error:
        tell("broken", error)
    except (EOFError, BrokenPipeError):
        pass  # no more to do, or nobody to do it for
    except Terminated as stopped:
        os._exit(stopped.exit_code)
    os._exit(0)


def make_maker(name: str, threads: int | None) -> Maker:
    """The maker called ``package.module:name``, which may use so many threads."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)(threads)


def _end_with_parent() -> None:
    """Be stopped, and clean up, when the process that began this one is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
