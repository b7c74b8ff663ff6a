"""The same over Ray: its actors die, and no clip is lost or made twice. Ray runs in a network of its own."""

from __future__ import annotations

import collections
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.clips import FAST, TWELVE, write_clips
from tests.cli.runner import REPOSITORY, names

OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def _has_own_network() -> bool:
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    return subprocess.run([*OWN_NETWORK, "true"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.skipif(not _has_own_network(), reason="no network namespace is to be had, and Ray listens on all"),
]


def _run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "PYTHONPATH": str(REPOSITORY), "MORTAL_NOTES": str(folder), "HOME": str(folder),
        "RAY_TMPDIR": str(folder),
    }  # fmt: skip
    return subprocess.run(
        [*OWN_NETWORK, sys.executable, *map(str, words)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("r")  # Ray's sockets need a short name
    write_clips(folder, TWELVE)
    return folder


def _words(folder: Path) -> list[str]:
    words = ["batch", "clips", "--alpha", "mask.png", "--bg", "#3c5078", "-o", "out", "--report", "report.json", *FAST]
    return [str(word) for word in words]


_WITH_MORTALS = """
import json, sys
from edge_harmony.batch.ray_workers import run_on_ray
from edge_harmony.batch.run import run_jobs
from edge_harmony.cli import build_parser
from edge_harmony.commands.batch import list_jobs
jobs = list_jobs(build_parser().parse_args(json.loads(sys.argv[1])))
outcomes = run_jobs(jobs, lambda hear: run_on_ray(jobs, "tests.batch.clips:MortalMaker", 2, hear))
print(json.dumps([(o.status, o.clip, o.error) for o in outcomes]))
"""


def test_twelve_clips_and_actors_that_die(folder: Path) -> None:
    for order in ("middle-take03", "made-take06"):
        (folder / f"die-{order}").touch()
    (folder / "die-always-take09").touch()
    done = _run(folder, "-c", _WITH_MORTALS, json.dumps(_words(folder)))
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert [status for status, *_ in outcomes] == [
        "current" if n == 5 else "failed" if n == 8 else "done" for n in range(12)
    ]
    assert "its worker was lost 3 times" in outcomes[8][2]
    made = collections.Counter((folder / "made.log").read_text().split())
    rest = [name for name in TWELVE if name != "take09"]
    assert made == collections.Counter(rest)
    assert {f"{name}.mp4" for name in rest} <= names(folder / "out")

    (folder / "die-always-take09").unlink()
    again = _run(folder, "-m", "edge_harmony", *_words(folder), "--ray", "--workers", 1)
    assert again.returncode == 0, again.stderr
    assert "12 clips: 1 done, 11 done already and current, 0 incomplete, 0 failed" in again.stdout
    assert names(folder / "out") == {".edge-harmony", *(f"{name}.mp4" for name in TWELVE)}
    assert json.loads((folder / "report.json").read_text())["current"] == 11


def test_a_cluster_that_does_not_answer(folder: Path) -> None:
    done = _run(folder, "-m", "edge_harmony", *_words(folder), "--ray", "127.0.0.1:1")
    assert done.returncode == 1
    assert "error: no Ray cluster at 127.0.0.1:1" in done.stderr
    assert "ray start --head" in done.stderr
