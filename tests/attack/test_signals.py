"""Two signals at any two moments of a recording: it ends in words, and what was recorded plays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_harmony.capture.file import open_file
from tests.attack.how_long import many

REPOSITORY = Path(__file__).resolve().parents[2]
RECORD = [sys.executable, "-m", "edge_harmony", "stream", "--source", "test:64x64@30", "--bg", "#102030", "--model",
          "none", "--no-window", "--stats", "none", "-o", "a.mp4", "-o", "b.mkv"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("seed", range(many(3, 60)))
def test_two_signals(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    first, second = (chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]) for _ in range(2))

    def usual() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    process = subprocess.Popen(
        RECORD, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True, preexec_fn=usual,
    )  # fmt: skip
    ends = time.monotonic() + 60
    while not any(p.stat().st_size > 2_000 for p in tmp_path.iterdir()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < ends
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 0.3))
    process.send_signal(first)
    time.sleep(chance.choice([0, 0.001, 0.01, 0.05, 0.2]))
    process.send_signal(second)
    errors = process.communicate(timeout=60)[1]
    # The second may come when all is done and Python itself is about to end.
    assert process.returncode in (0, 129, 130, 143, -second), errors
    assert "this is a bug" not in errors, errors
    assert "Traceback" not in errors, errors
    for path in tmp_path.iterdir():
        if not path.name.startswith("."):
            assert list(open_file(path))
