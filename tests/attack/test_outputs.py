"""What is written to may be full, closed or gone: a show goes on and says so once, a video is finished."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_harmony.capture.file import open_file

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
SHOW = [sys.executable, "-m", "edge_harmony", "stream", "--source", "test:64x64@20,frames=60", "--realtime", "--bg",
        "#102030", "--model", "none", "--no-window", "--stats", "json", "-o", "show.mp4"]  # fmt: skip
MADE = [sys.executable, "-m", "edge_harmony", "process", "test:64x64,frames=20", "--bg", "#102030", "--model", "none",
        "-o", "made.mp4"]  # fmt: skip


@pytest.mark.parametrize("where", ["full", "gone", "closed"])
def test_figures_that_nobody_takes(where: str, tmp_path: Path) -> None:
    if where == "full":
        if not Path("/dev/full").exists():
            pytest.skip("needs /dev/full")
        target, before = os.open("/dev/full", os.O_WRONLY), None
    else:
        reading, target = os.pipe()
        os.close(reading)
        before = (lambda: os.close(1)) if where == "closed" else None
    done = subprocess.run(
        SHOW, cwd=tmp_path, env=ENVIRONMENT, stdout=target, stderr=subprocess.PIPE, text=True, timeout=120,
        preexec_fn=before,
    )  # fmt: skip
    os.close(target)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("standard output takes no more") == (0 if where == "closed" else 1), done.stderr
    assert len(list(open_file(tmp_path / "show.mp4"))) >= 40  # the newest frame counts: a busy machine leaves some out


@pytest.mark.parametrize("closed", [(2,), (1,), (0, 1, 2)])
def test_a_video_is_made_with_its_streams_closed(closed: tuple[int, ...], tmp_path: Path) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run(MADE, cwd=tmp_path, env=ENVIRONMENT, timeout=120, preexec_fn=close)
    assert done.returncode == 0
    assert len(list(open_file(tmp_path / "made.mp4"))) == 20
