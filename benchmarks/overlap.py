"""Reading, harmonizing and writing a clip: each alone, and all at once, as ``edge-harmony process`` does it.

    python benchmarks/overlap.py
    python benchmarks/overlap.py --foreground me.mp4 --mask mask.mp4 --background street.mp4 --plot overlap.png

Each stage is run alone over the whole clip, with as many threads as it likes; then all three at the same time. Were
there a core for each, the whole would take as long as its slowest stage. On fewer cores the stages share them: the
whole cannot be shorter than the processor time of all three divided by the number of cores, which is printed too.

Last, what a GPU could take off the processor, as if it needed no time itself: the network; and the passes over pixels
besides (reading down and applying), less what handing a whole frame over takes, to and from the memory that the GPU
reads. That is a bound on what either is worth.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.chart import bar_chart, save
from edge_harmony import Compositor, load_harmonizer
from edge_harmony.capture import open_source
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.run.overlap import run_overlapped
from edge_harmony.run.timing import StageTimer
from edge_harmony.sinks.video import VideoOptions, VideoSink

CLIP = Path(__file__).resolve().parents[2] / "shared" / "media" / "clip"
HANDED = 200  # frames copied to measure what handing over costs
KEPT = 12  # decoded frames that stages measured alone work on, again and again
PARTS = {"network": ("network",), "pixels": ("read down", "apply")}  # of ``Compositor.timings``: what a GPU could do
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def read(paths: tuple[str, str, str]) -> Iterator[Parts]:
    """Foreground, alpha and background of each frame."""
    with open_source(paths[0]) as front, open_source(paths[1]) as mask, open_source(paths[2]) as back:
        for foreground, cover, background in zip(front, mask, back, strict=False):
            alpha = np.ascontiguousarray(cover.image_bgr[..., 1])
            yield foreground.image_bgr, alpha, background.image_bgr


def cost(work: Callable[[], int]) -> dict[str, float]:
    """Milliseconds a frame, by the clock and of processor time; ``work`` returns how many frames it was."""
    wall, cpu = time.perf_counter(), time.process_time()
    count = work()
    return {
        "wall_ms": (time.perf_counter() - wall) * 1e3 / count,
        "cpu_ms": (time.process_time() - cpu) * 1e3 / count,
        "frames": count,
    }


def run(
    paths: tuple[str, str, str], model: str | None, options: VideoOptions, folder: Path
) -> dict[str, dict[str, float]]:
    """The three stages and the whole, by name."""
    harmonizer = load_harmonizer(model)
    compositor = Compositor(harmonizer)
    compositor.timings = StageTimer(10**6)
    kept: list[Parts] = []
    for parts in read(paths):
        kept.append(parts)
        if len(kept) == KEPT:
            break
    frames = sum(1 for _ in read(paths))
    size_hw = kept[0][0].shape[0], kept[0][0].shape[1]
    results = [compositor.process(*parts) for parts in kept]

    def sink(name: str) -> VideoSink:
        return VideoSink(folder / name, size_hw, Fraction(1, 25), Fraction(25), options)

    def reading() -> int:
        return sum(1 for _ in read(paths))

    def working() -> int:
        compositor.reset()
        for index in range(frames):
            compositor.process(*kept[index % KEPT], pts_s=index / 25)
        return frames

    def handing_over() -> int:
        staged = [np.empty_like(part) for part in (*kept[0], results[0])]
        for index in range(HANDED):
            for target, part in zip(staged, (*kept[index % KEPT], results[index % KEPT]), strict=True):
                np.copyto(target, part)
        return HANDED

    def writing() -> int:
        with sink("alone.mp4") as target:
            for index in range(frames):
                target.write(results[index % KEPT], index, 1)
        return frames

    def whole() -> int:
        compositor.reset()
        with sink("whole.mp4") as target:
            numbered = iter(range(frames))

            def work(parts: Parts) -> np.ndarray:
                return compositor.process(*parts)

            return run_overlapped(read(paths), work, lambda image: target.write(image, next(numbered), 1))

    found = {"reading": cost(reading)}
    compositor.timings.reset()
    found["working"] = cost(working)
    stages = {name: stage.mean_ms for name, stage in compositor.timings.summary().items()}
    for part, names in PARTS.items():
        share = sum(stages[name] for name in names) / stages["total"]
        found["working"][f"{part}_cpu_ms"] = share * found["working"]["cpu_ms"]
    found["handing over"] = cost(handing_over)
    return found | {"writing": cost(writing), "all at once": cost(whole)}


def main(argv: list[str] | None = None) -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("foreground", "mask", "background"):
        parser.add_argument(f"--{name}", default=str(CLIP / f"{name}.mp4"), metavar="VIDEO")
    parser.add_argument("--model", help="a model's name or an ONNX file (default: base)")
    parser.add_argument("--preset", default="medium", help="x264's speed (default: medium)")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    paths = (args.foreground, args.mask, args.background)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = run(paths, args.model, VideoOptions(preset=args.preset), Path(folder))
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 1
    stages = [found[name] for name in ("reading", "working", "writing")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slowest = max(stage["wall_ms"] for stage in stages)
    shared = sum(stage["cpu_ms"] for stage in stages) / cores
    if args.json:
        print(json.dumps(found | {"slowest_ms": slowest, "shared_ms": shared, "cores": cores}, indent=2))
    else:
        for name, stage in found.items():
            print(f"{name:>12}  {stage['wall_ms']:7.2f} ms a frame, {stage['cpu_ms']:7.2f} ms of processor time")
        one_by_one = sum(stage["wall_ms"] for stage in stages)
        print(f"one after another {one_by_one:.2f} ms; the slowest stage {slowest:.2f} ms; ", end="")
        print(f"processor time of all over {cores} cores {shared:.2f} ms")
        every, working = sum(stage["cpu_ms"] for stage in stages), found["working"]
        without = every - working["network_cpu_ms"]
        gain = working["pixels_cpu_ms"] - found["handing over"]["cpu_ms"]
        print(f"processor time of all {every:.2f} ms; with the network on a GPU {without:.2f} ms; ", end="")
        print(f"with whole frames there {without - gain:.2f} ms, {gain / without:.1%} less")
    if args.plot:
        bars = [(name, [("by the clock", stage["wall_ms"])]) for name, stage in found.items()]
        save(args.plot, bar_chart("A 1080p clip: each stage alone, and all at once", bars, "ms a frame"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
