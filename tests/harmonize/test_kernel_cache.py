"""Compiled once per machine, also where the package itself cannot be written to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
from edge_harmony.contract import IDENTITY
from edge_harmony.harmonize.transfer import apply_transform, load_kernel

frame, alpha = np.full((64, 64, 3), 90, np.uint8), np.full((64, 64), 255, np.uint8)
assert (apply_transform(frame, alpha, frame, IDENTITY) == 90).all()
print(sum(load_kernel().harmonize_rows.stats.cache_hits.values()))
"""


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=folder, env=kept | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def package(tmp_path: Path, repository: Path) -> Path:
    """A copy of the runtime in which nothing can be put beside the kernel's source."""
    folder = tmp_path / "installed"
    shutil.copytree(
        repository / "edge_harmony", folder / "edge_harmony", ignore=shutil.ignore_patterns("__pycache__", "*.onnx")
    )
    # A file in the cache folder's place keeps even a superuser, whom permissions do not stop, from making it.
    (folder / "edge_harmony" / "harmonize" / "__pycache__").touch()
    return folder


def test_second_process_compiles_nothing_though_the_package_is_read_only(package: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert run(package, HOME=str(home)).stdout.strip() == "0"
    assert run(package, HOME=str(home)).stdout.strip() == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/null is no home only on Linux")
def test_works_where_nothing_can_be_written(package: Path) -> None:
    done = run(package, HOME="/dev/null")
    assert done.stdout.strip() == "0"
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert "Traceback" not in done.stderr
