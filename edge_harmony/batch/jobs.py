"""A job is one clip to be made; a maker makes it; its outcome says what came of it, whatever that is."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from edge_harmony.batch.done_before import DoneBefore, Recipe
from edge_harmony.errors import EdgeHarmonyError, SinkError
from edge_harmony.run.exit_code import words_of
from edge_harmony.run.redact import redact

ATTEMPTS: Final = 3  # so often may a worker die of a clip before the clip is given up
_TELL_EVERY_S: Final = 0.25

DONE: Final = "done"
CURRENT: Final = "current"  # done by an earlier run, or by a worker that died after it
INCOMPLETE: Final = "incomplete"  # done, but something in the source was damaged or had to be left out
FAILED: Final = "failed"
NOT_DONE: Final = "not done"  # the run was stopped before

Tell = Callable[[str, Any], None]
"""Takes what happens to a clip: ``frames`` with (done, of how many or None), ``said`` with a line."""


@dataclass(frozen=True)
class Job:
    """One clip.

    Attributes:
        number: its place in the list, from 0.
        clip: its name, for people.
        results: the files that it becomes; the first is the one.
        task: what the maker needs to know; can be pickled.
        overwrite: whether results that are not ours may be replaced.
    """

    number: int
    clip: str
    results: tuple[Path, ...]
    task: Any
    overwrite: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a job; plain values, so that it travels between machines and into the report.

    Attributes:
        number, clip, result: which job; the result's path.
        status: ``DONE``, ``CURRENT``, ``INCOMPLETE``, ``FAILED`` or ``NOT_DONE``.
        frames, seconds: how many, and how long they took; None where this is not known.
        error, hint: why it failed.
        faults: what was damaged or missing.
        deaths: how many workers died of it.
        worker: ``HOST:PROCESS`` that did it.
    """

    number: int
    clip: str
    result: str
    status: str = NOT_DONE
    frames: int | None = None
    seconds: float | None = None
    error: str = ""
    hint: str = ""
    faults: tuple[str, ...] = ()
    deaths: int = 0
    worker: str = ""

    @classmethod
    def of(cls, job: Job, **more: Any) -> Outcome:
        """The outcome of a job."""
        return cls(job.number, job.clip, str(job.results[0]), **more)


@dataclass(frozen=True)
class Made:
    """What a maker gives: the number of frames, the seconds that they took, and what was damaged or missing."""

    frames: int
    seconds: float
    faults: tuple[str, ...] = ()


class Maker(Protocol):
    """Makes clips, one after another; keeps what it can between them, such as the model."""

    def recipe(self, task: Any) -> Recipe:
        """What the result depends on; raises an ``EdgeHarmonyError`` where that cannot be said."""
        ...

    def make(self, task: Any, overwrite: bool, show: Callable[[int, int | None], None]) -> Made:
        """Make it; raises an ``EdgeHarmonyError`` or ``OSError`` where that fails."""
        ...


def do_job(job: Job, maker: Maker, tell: Tell) -> Outcome:
    """Make a clip unless it is done already; whatever goes wrong is its outcome, but for signals that stop us."""
    worker = f"{platform.node()}:{os.getpid()}"
    with _log_told(tell):
        try:
            for path in job.results:
                path.parent.mkdir(parents=True, exist_ok=True)
            done = DoneBefore(job.results, maker.recipe(job.task))
            state = done.look()
            if state == "current":
                done.finish_for_the_dead()
                done.tidy()
                figures = done.entry.get("figures", {})
                faults = tuple(figures.get("faults") or ())
                return Outcome.of(job, status=INCOMPLETE if faults else CURRENT, faults=faults, worker=worker)
            if state == "theirs" and not job.overwrite:
                raise SinkError(f"{job.results[0]} exists already, made by something else", "pass --overwrite")
            done.begin()
            made = maker.make(job.task, state != "absent", _seldom(tell))
            done.finish({"frames": made.frames, "seconds": round(made.seconds, 3), "faults": made.faults})
        except EdgeHarmonyError as error:
            return Outcome.of(job, status=FAILED, error=redact(error.message), hint=redact(error.hint), worker=worker)
        except OSError as error:
            words, hint = words_of(error)
            return Outcome.of(job, status=FAILED, error=redact(words), hint=redact(hint), worker=worker)
        except Exception as error:
            logging.getLogger(__name__).debug("%s", job.clip, exc_info=True)
            words = redact(f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}")
            hint = "run 'edge-harmony process' with this clip and --debug to see where"
            return Outcome.of(job, status=FAILED, error=words, hint=hint, worker=worker)
    status = INCOMPLETE if made.faults else DONE
    return Outcome.of(job, status=status, frames=made.frames, seconds=made.seconds, faults=made.faults, worker=worker)


def _seldom(tell: Tell) -> Callable[[int, int | None], None]:
    """Tells of frames a few times a second."""
    last_s = 0.0

    def show(done: int, total: int | None) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _TELL_EVERY_S:
            last_s = now_s
            tell("frames", (done, total))

    return show


@contextmanager
def _log_told(tell: Tell) -> Generator[None]:
    """Warnings of the library go where the run's messages go, with the clip's name."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell("said", (record.levelno, redact(record.getMessage())))

    handler, root = Teller(logging.WARNING), logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
