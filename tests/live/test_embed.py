"""The example for embedders runs, headless, and does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np


def test_example_of_an_ar_loop(repository: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    environment.pop("DISPLAY", None)
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / "embed.py"), "--frames", "5", "--save", "last.png"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "5 frames" in done.stdout
    picture = cv2.imread(str(tmp_path / "last.png"))
    assert picture.shape == (360, 640, 3)
    assert picture[2, 2].tolist() == [200, 120, 40]  # the background, to the bit
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100  # and a subject before it
