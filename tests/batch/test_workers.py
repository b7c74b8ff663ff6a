"""Workers die at every point, and no clip is lost or made twice."""

from __future__ import annotations

import collections
import json
import os
from pathlib import Path

import pytest

from edge_harmony.batch.jobs import CURRENT, DONE, FAILED, Outcome
from edge_harmony.batch.run import run_jobs
from edge_harmony.batch.workers import run_on_workers
from edge_harmony.capture.video import VideoFile
from edge_harmony.cli import build_parser
from edge_harmony.commands.batch import list_jobs
from tests.batch.clips import FAST, TWELVE, write_clips
from tests.cli.runner import names

MAKER = "tests.batch.clips:MortalMaker"


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MORTAL_NOTES", str(tmp_path))
    return tmp_path


def _run(folder: Path, workers: int = 2) -> list[Outcome]:
    words = ["batch", folder / "clips", "--alpha", folder / "mask.png", "--bg", "#3c5078", "-o", folder / "out", *FAST]
    jobs = list_jobs(build_parser().parse_args([str(word) for word in words]))
    return run_jobs(jobs, lambda hear: run_on_workers(jobs, MAKER, workers, hear), folder / "report.json")


def _made(folder: Path) -> dict[str, int]:
    return dict(collections.Counter((folder / "made.log").read_text().split()))


@pytest.mark.slow
def test_twelve_clips_and_workers_that_die_at_every_point(notes: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_clips(notes, TWELVE)
    for order in ("begin-take02", "middle-take05", "made-take07", "begin-take12", "made-take12"):
        (notes / f"die-{order}").touch()
    outcomes = _run(notes)
    assert not list(notes.glob("die-*"))
    assert [Path(o.clip).stem for o in outcomes] == TWELVE
    assert {Path(o.clip).stem for o in outcomes if o.status == CURRENT} == {"take07", "take12"}  # made by the dead
    assert {o.status for o in outcomes} == {DONE, CURRENT}
    assert {Path(o.clip).stem: o.deaths for o in outcomes if o.deaths} == {
        "take02": 1, "take05": 1, "take07": 1, "take12": 2,
    }  # fmt: skip
    assert _made(notes) == dict.fromkeys(TWELVE, 1)
    assert names(notes / "out") == {".edge-harmony", *(f"{name}.mp4" for name in TWELVE)}  # and nothing half done
    assert names(notes / "out" / ".edge-harmony") == {f"{name}.mp4.json" for name in TWELVE}
    assert all(len(list(VideoFile(notes / "out" / f"{name}.mp4"))) == 4 for name in TWELVE)
    assert sum("was ended by SIGKILL" in record.getMessage() for record in caplog.records) == 5
    report = json.loads((notes / "report.json").read_text())
    assert (report["clips"], report["done"], report["current"], report["failed"]) == (12, 10, 2, 0)

    again = _run(notes)
    assert {o.status for o in again} == {CURRENT}
    assert _made(notes) == dict.fromkeys(TWELVE, 1)


def test_a_clip_that_ends_every_worker_is_given_up_and_costs_no_other(notes: Path) -> None:
    write_clips(notes, ["a", "b", "c"])
    (notes / "die-always-b").touch()
    outcomes = _run(notes, workers=1)
    assert [o.status for o in outcomes] == [DONE, FAILED, DONE]
    assert "SIGKILL" in outcomes[1].error
    assert outcomes[1].deaths == 3
    assert _made(notes) == {"a": 1, "c": 1}


def test_each_worker_has_its_share_of_the_processors(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_harmony.batch import workers

    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 5, 7}, raising=False)
    assert workers._shares(2) == [{0, 2, 7}, {1, 5}]
    assert workers._shares(1) == [None]
    assert workers._shares(6) == [None] * 6
