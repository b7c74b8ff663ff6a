"""A run over many clips: what is said while it runs, and its report."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from edge_harmony import __version__
from edge_harmony.batch.jobs import CURRENT, DONE, FAILED, INCOMPLETE, NOT_DONE, Job, Outcome
from edge_harmony.batch.workers import Hear
from edge_harmony.run.redact import redact_values
from edge_harmony.run.whole_file import WholeFile, unwritable

_log = logging.getLogger(__name__)


def run_jobs(jobs: Sequence[Job], go: Callable[[Hear], None], report: Path | None = None) -> list[Outcome]:
    """Do all jobs, saying how it goes, and write the report, also when it is stopped.

    Args:
        jobs: what there is to do.
        go: does them, and has what happens heard: ``run_on_workers`` or ``run_on_ray``.
        report: a JSON file for all outcomes; replaced if it exists.

    Returns:
        The outcome of each job, in their order.
    """
    outcomes = {job.number: Outcome.of(job) for job in jobs}
    started, began_s = datetime.datetime.now(datetime.timezone.utc), time.monotonic()
    try:
        with _display(len(jobs)) as display:

            def hear(job: Job, kind: str, what: Any) -> None:
                if kind == "ended":
                    outcomes[job.number] = what
                    display(job, kind, what)
                    _say(what, sum(o.status != NOT_DONE for o in outcomes.values()), len(jobs))
                elif kind == "said":
                    _log.log(what[0], "%s: %s", job.clip, what[1])
                else:
                    display(job, kind, what)

            go(hear)
    finally:
        if report is not None:
            _write_report(report, list(outcomes.values()), started, time.monotonic() - began_s)
    return list(outcomes.values())


def _say(outcome: Outcome, number: int, of: int) -> None:
    """One line for a clip that has ended."""
    place = f"[{number}/{of}]"
    if outcome.status == FAILED:
        _log.warning("%s %s: %s (%s)", place, outcome.clip, outcome.error, outcome.hint)
        return
    if outcome.frames is None:
        for words in outcome.faults:  # those of a clip that was done just now were said at once
            _log.warning("%s: %s", outcome.clip, words)
        print(f"{place} {outcome.result}  done already", flush=True)
    else:
        rate = f"{outcome.frames / outcome.seconds:.1f}" if outcome.seconds else "many"
        print(f"{place} {outcome.result}  {outcome.frames} frames, {rate} a second", flush=True)


def _write_report(path: Path, outcomes: list[Outcome], started: datetime.datetime, seconds: float) -> None:
    counts = collections.Counter(outcome.status for outcome in outcomes)
    content = {
        "version": __version__,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "clips": len(outcomes),
        **{name.replace(" ", "_"): counts[name] for name in (DONE, CURRENT, INCOMPLETE, FAILED, NOT_DONE)},
        "results": [redact_values(dataclasses.asdict(outcome)) for outcome in outcomes],
    }
    file = WholeFile(path, overwrite=True)
    try:
        file.temporary.write_text(json.dumps(content, indent=1) + os.linesep, encoding="utf-8")
    except OSError as error:
        file.discard()
        raise unwritable(path, error) from error
    file.commit()


@contextlib.contextmanager
def _display(count: int) -> Generator[Hear]:
    """Bars on standard error, one for all and one for each clip at work, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda job, kind, what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console, shared = Console(stderr=True), sys.stdout.isatty()  # where lines and bars meet, lines go above
    with Progress(*columns, console=console, transient=True, redirect_stdout=shared) as bars:
        everything = bars.add_task("all clips", total=count)
        tasks: dict[int, Any] = {}

        def show(job: Job, kind: str, what: Any) -> None:
            if job.number not in tasks:
                tasks[job.number] = bars.add_task(job.clip[-40:], total=None)
            if kind == "frames":
                bars.update(tasks[job.number], completed=what[0], total=what[1])
            elif kind == "ended":
                bars.remove_task(tasks.pop(job.number))
                bars.advance(everything)

        yield show
