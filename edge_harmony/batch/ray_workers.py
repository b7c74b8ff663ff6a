"""Jobs shared out over a Ray cluster; the only importer of Ray.

Every node needs this package, and the same files under the same paths (a shared file system).
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from edge_harmony.batch.jobs import ATTEMPTS, FAILED, Job, Outcome, do_job
from edge_harmony.batch.workers import Hear, make_maker
from edge_harmony.errors import BackendUnavailableError

_ASK_EVERY_S: Final = 0.5
_KNOCK_S: Final = 10.0


class _RayWorker:
    """What runs on the nodes: one job at a time, and a second thread that answers how far it is."""

    def __init__(self, maker: str, threads: int, folder: str) -> None:
        with contextlib.suppress(OSError):
            os.chdir(folder)  # names on the command line count from there
        self._maker = make_maker(maker, threads)
        self._told: deque[tuple[str, Any]] = deque(maxlen=1000)

    def do(self, job: Job) -> Outcome:
        self._told.clear()
        return do_job(job, self._maker, lambda kind, what: self._told.append((kind, what)))

    def told(self) -> list[tuple[str, Any]]:
        """What happened since it was asked last."""
        told = []
        with contextlib.suppress(IndexError):
            while True:
                told.append(self._told.popleft())
        return told


def run_on_ray(
    jobs: Sequence[Job], maker: str, count: int | None, hear: Hear, address: str = "", gpus: float = 0.0
) -> None:
    """Do every job on a Ray cluster, as ``run_on_workers`` does on one machine.

    An actor that dies is begun again, elsewhere if need be, and its job with it, which goes on after what is done.

    Args:
        jobs, maker, hear: see there.
        count: how many workers there are; None: as many as the cluster has processors.
        address: of the cluster's head (``HOST:6379``, ``ray://...``, ``auto``); "" begins one on this machine alone.
        gpus: how much of a GPU each worker takes.

    Raises:
        BackendUnavailableError: Ray is not installed, or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
    except ImportError as error:
        raise BackendUnavailableError(f"Ray cannot be used: {error}", "pip install 'edge-harmony[ray]'") from error
    where: dict[str, Any] = {"address": address}
    if not address:  # a cluster of our own, for this machine alone
        where = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        os.environ.setdefault("RAY_worker_niceness", "0")  # by itself it lets every other program go first (15)
    try:
        _knock(address)
        ray.init(**where, configure_logging=False, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        words = f"no Ray cluster at {address or 'this machine'}: {' '.join(str(error).split())[:300]}"
        raise BackendUnavailableError(words, _HINT) from error
    try:
        _run(ray, jobs, maker, count, hear, gpus)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError when nobody listens at ``HOST:PORT``: Ray itself would try for minutes."""
    match = re.fullmatch(r"(?:ray://)?\[?([^/\[\]]+)\]?:(\d{1,5})", address)
    if match:
        socket.create_connection((match[1], int(match[2])), _KNOCK_S).close()


_HINT: Final = "begin one with 'ray start --head', and name the address that it prints"


def _run(ray: Any, jobs: Sequence[Job], maker: str, count: int | None, hear: Hear, gpus: float) -> None:
    processors = max(1, int(ray.cluster_resources().get("CPU", 1)))
    count = min(count or processors, len(jobs))
    threads = max(1, processors // count)
    kind = ray.remote(
        max_restarts=-1,
        max_task_retries=ATTEMPTS - 1,
        num_cpus=min(threads, processors / count),
        num_gpus=gpus,
        concurrency_groups={"ask": 1},
    )(_RayWorker)
    actors = [kind.remote(maker, threads, os.getcwd()) for _ in range(count)]
    waiting, free = deque(jobs), deque(actors)
    busy: dict[Any, tuple[Job, Any]] = {}
    asked: dict[Any, Job] = {}
    while waiting or busy:
        while waiting and free:
            job, actor = waiting.popleft(), free.popleft()
            hear(job, "begun", None)
            busy[actor.do.remote(job)] = job, actor
        ended, _ = ray.wait(list(busy), timeout=_ASK_EVERY_S)
        _hear_told(ray, busy, asked, hear)
        for one in ended:
            job, actor = busy.pop(one)
            try:
                outcome = ray.get(one)
            except ray.exceptions.RayError as error:
                words = f"its worker was lost {ATTEMPTS} times: {' '.join(str(error).split())[:200]}"
                hint = "the clip, or a library that it needs, ends the process: try it with 'edge-harmony process'"
                outcome = Outcome.of(job, status=FAILED, error=words, hint=hint, deaths=ATTEMPTS)
            hear(job, "ended", outcome)
            free.append(actor)


def _hear_told(ray: Any, busy: dict[Any, tuple[Job, Any]], asked: dict[Any, Job], hear: Hear) -> None:
    """Pass on what the workers have told; ask those that have answered again."""
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0) if asked else ([], [])
    for one in answered:
        job = asked.pop(one)
        with contextlib.suppress(ray.exceptions.RayError):
            for kind, what in ray.get(one):
                hear(job, kind, what)
    still = {job.number for job in asked.values()}
    for job, actor in busy.values():
        if job.number not in still:
            asked[actor.told.options(concurrency_group="ask").remote()] = job
