"""What only a new process can tell: how soon the first result is there, and how much memory a run takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

from edge_harmony.pixels.synthetic import SyntheticClip
from edge_harmony.sinks.video import VideoSink

_ROOT = Path(__file__).resolve().parent.parent
_FIRST = """
import time
start = time.perf_counter()
import numpy, edge_harmony
frame = numpy.full((1080, 1920, 3), 90, numpy.uint8)
mask = numpy.zeros((1080, 1920), numpy.uint8)
mask[300:800, 500:1200] = 255
edge_harmony.load_harmonizer({model!r}, threads={threads})(frame, mask)
print(time.perf_counter() - start)
"""
_PROCESS = """
import resource, sys
from edge_harmony.cli import main
code = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("peak", peak / (2**20 if sys.platform == "darwin" else 1024))
sys.exit(code)
"""


def first_result_s(model: str | None, threads: int) -> float:
    """Seconds from the first import to the first harmonized 1080p frame in a new process; the best of three."""
    script = _FIRST.format(model=_absolute(model), threads=threads)
    return min(float(_run(script).split()[-1]) for _ in range(3))


def process_peak_mb(model: str | None, frames: int = 30) -> float | None:
    """Peak memory in megabytes of ``edge-harmony process`` on a 1080p clip, encoding included; None on Windows."""
    if sys.platform == "win32":
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_clip(folder, frames)
        chosen = [] if model is None else ["--model", str(_absolute(model))]
        printed = _run(
            _PROCESS, "process", str(folder / "foreground.mp4"), "--alpha", str(folder / "mask.mp4"),
            "--bg", str(folder / "background.mp4"), "-o", str(folder / "out.mp4"), *chosen,
        )  # fmt: skip
    return float(printed.split("peak ")[1])


def _write_clip(folder: Path, frames: int) -> None:
    """Foreground, mask and background as three 1080p videos in H.264, as users have them."""
    clip = list(SyntheticClip((1080, 1920), 0.25, 4, moves=True).frames(4))
    for position, name in enumerate(("foreground", "mask", "background")):
        with VideoSink(folder / f"{name}.mp4", (1080, 1920), Fraction(1, 25), Fraction(25)) as sink:
            for index in range(frames):
                sink.write(clip[index % len(clip)][position], index, 1)


def _absolute(model: str | None) -> str | None:
    return os.path.abspath(model) if model and os.path.exists(model) else model


def _run(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=_ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: a new process failed:\n{done.stderr}")
    return done.stdout
