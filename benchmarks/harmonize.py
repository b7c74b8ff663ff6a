"""What harmonizing one frame costs, end to end and by stage, with OpenCV's own compositing of the frame beside it.

    python benchmarks/harmonize.py                        1080p and 4K, a quarter and all of the frame covered
    python benchmarks/harmonize.py --size 1280x720 --coverage 5 --frames 500
    python benchmarks/harmonize.py --json > timings.json

Arrays in, arrays out, nothing left out: checking, reading down, the network, the full-resolution step. Each round
runs the harmonizer and the two OpenCV operations once after another, so that whatever else the machine does falls on
all of them; the medians are over all rounds. The ratios are what compares between machines:

- *blend*: ``cv2.blendLinear``, alpha blending of the whole frame, its float weights prepared outside the clock;
- *paste*: ``cv2.copyTo`` with the mask, a hard-edged paste.

Other programs on the same cores spoil the figures (a second busy process makes them two to four times as long):
the load is printed with them, and ``min`` beside each median says what an undisturbed frame took.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edge_harmony import load_harmonizer
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.harmonize.base import Harmonizer

STAGES = ("network", "read down", "apply")
WARM_UP = 10
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


def make_scene(height: int, width: int, coverage: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A composite with gradients and grain, and the mask of an ellipse with a soft edge that covers ``coverage``."""
    rng = np.random.default_rng(0)
    y, x = np.linspace(0, 1, height, dtype=np.float32)[:, None], np.linspace(0, 1, width, dtype=np.float32)
    smooth = np.stack([60 + 120 * x + 0 * y, 90 + 80 * y * x, 200 - 130 * y + 0 * x], axis=-1)
    composite = np.clip(smooth + rng.normal(0, 6, smooth.shape).astype(np.float32), 0, 255).astype(np.uint8)
    if coverage >= 1.0:
        return composite, np.full((height, width), 255, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    scale = (coverage / np.pi) ** 0.5  # of both half axes, as shares of the frame's sides
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * scale), int(height * scale)), 0, 0, 360, 255, -1)
    return composite, cv2.GaussianBlur(mask, (0, 0), height / 400)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(harmonizer: Harmonizer, height: int, width: int, coverage: float, frames: int) -> dict:
    """Run one case and return its medians and minima in milliseconds."""
    composite, mask = make_scene(height, width, coverage)
    background = composite[::-1].copy()
    weight = mask.astype(np.float32) / 255.0
    rest = 1.0 - weight
    out = np.empty_like(composite)

    def paste() -> None:
        np.copyto(out, background)
        cv2.copyTo(composite, mask, out)

    works: dict[str, Callable[[], object]] = {
        "total": lambda: harmonizer(composite, mask),
        "cv2 blend": lambda: cv2.blendLinear(composite, background, weight, rest, out),
        "cv2 paste": paste,
    }
    rounds: dict[str, list[float]] = {name: [] for name in (*STAGES, "rest", *works)}
    for index in range(WARM_UP + frames):
        taken = {name: timed(work) for name, work in works.items()}
        taken |= {stage: harmonizer.timings.last_ms(stage) for stage in STAGES}
        taken["rest"] = taken["total"] - sum(taken[stage] for stage in STAGES)
        if index >= WARM_UP:
            for name, value in taken.items():
                rounds[name].append(value)
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    return {
        "size": f"{width}x{height}",
        "coverage": round(float((mask > 0).mean()), 3),
        "frames": frames,
        "median_ms": medians,
        "min_ms": {name: min(values) for name, values in rounds.items()},
        "ratio_to_blend": medians["total"] / medians["cv2 blend"],
        "ratio_to_paste": medians["total"] / medians["cv2 paste"],
    }


def first_result_s(model: str | None, threads: int) -> float:
    """Seconds from the first import to the first harmonized 1080p frame in a new process; the best of three."""
    script = _FIRST.format(model=os.path.abspath(model) if model and os.path.exists(model) else model, threads=threads)
    folder = Path(__file__).resolve().parent.parent
    runs = [
        subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, capture_output=True, text=True)
        for _ in range(3)
    ]
    return min(float(run.stdout) for run in runs)


def print_case(case: dict) -> None:
    """One case as a line of medians, with minima below it."""
    columns = (*STAGES, "rest", "total", "cv2 blend", "cv2 paste")
    head = f"{case['size']:>10} {case['coverage']:>5.0%}"
    print(head + " ".join(f"{case['median_ms'][c]:>10.2f}" for c in columns), end="")
    print(f"   x{case['ratio_to_blend']:.1f} blend, x{case['ratio_to_paste']:.1f} paste")
    print(f"{'min':>16}" + " ".join(f"{case['min_ms'][c]:>10.2f}" for c in columns))


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model's name or an ONNX file (default: base)")
    parser.add_argument("--backend", default="auto", help="auto, onnxruntime or tensorrt")
    parser.add_argument("--threads", type=int, default=2, help="threads for network and pixels (default: 2)")
    parser.add_argument("--frames", type=int, default=200, help="rounds to take the median over (default: 200)")
    parser.add_argument("--size", action="append", metavar="WxH", help="may be repeated (default: 1080p and 4K)")
    parser.add_argument(
        "--coverage", action="append", type=float, metavar="PERCENT", help="of the frame, may be repeated (25 and 100)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args(argv)
    for size in args.size or []:
        if not re.fullmatch(r"\d+x\d+", size):
            parser.error(f"--size {size}: use WIDTHxHEIGHT, such as 1920x1080")
    if args.frames < 1 or args.threads < 1:
        parser.error("--frames and --threads must be at least 1")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run and print every case."""
    args = parse(argv)
    sizes = [tuple(map(int, size.split("x"))) for size in args.size or ("1920x1080", "3840x2160")]
    cv2.setNumThreads(args.threads)
    try:
        harmonizer = load_harmonizer(args.model, args.backend, args.threads)
        first_s = first_result_s(args.model, args.threads)
        cases = []
        if not args.json:
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
            print(f"{harmonizer.name} on {harmonizer.backend}, {args.threads} threads, {platform.processor()}", end="")
            print(f"; load before the start {load:.1f}; first result in a new process {first_s:.2f} s")
            names = " ".join(f"{name:>10}" for name in (*STAGES, "rest", "total", "cv2 blend", "cv2 paste"))
            print(f"{'size':>10} {'cover':>5}{names}   ms, medians of {args.frames}")
        for width, height in sizes:
            for coverage in args.coverage or (25.0, 100.0):
                cases.append(measure(harmonizer, height, width, min(coverage, 100.0) / 100.0, args.frames))
                if not args.json:
                    print_case(cases[-1])
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 1
    if args.json:
        about = {"model": harmonizer.name, "backend": harmonizer.backend, "threads": args.threads}
        print(json.dumps(about | {"first_result_s": first_s, "cases": cases}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
