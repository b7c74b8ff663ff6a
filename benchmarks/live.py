"""How a stream performs: frames a second, latency from capture to result, and memory over many frames.

    python benchmarks/live.py --clip FOLDER -o live.json            # everything; twenty minutes
    python benchmarks/live.py --clip FOLDER --only throughput mask  # parts of it

FOLDER holds foreground.mp4, mask.mp4 and background.mp4. Everything runs but the encoding of a sink: decoding of all
three videos, matte, foreground colours, network, compositing. The parts:

- throughput: the clip looped, read as fast as it goes, nothing dropped.
- latency: the clip looped and paced at 30 frames a second like a camera, drops counted. Latency is from the moment the
  frame was due until its result was finished; "in frames" is relative to 1/30 s.
- person: the same as throughput, at 720p and with the person matte instead of the mask.
- memory: resident memory of the process over many frames of throughput; the drift compares the mean of the last tenth
  with that of the second tenth, when every cache is warm.

``cpu_ms_a_frame`` is processor time of all threads together: on two cores, 66 is the most that 30 frames a second
allow.

Every part runs in a process of its own. Each also times a fixed piece of work (``yardstick_ms``) before and after, so
that numbers of two machines, or of a busy one, can be compared as ratios. A quiet machine is needed: the load
average at the start is in the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PARTS = ("throughput", "latency", "person", "memory")
GOALS = {
    "throughput": "at least 30 frames a second",
    "latency": "p95 at most 2 frames",
    "person": "at least 20 frames a second",
    "memory": "within 2 %",
}
WARM_UP = 60


def main() -> None:
    """Run the parts asked for and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="folder with foreground, mask and background .mp4")
    parser.add_argument("-o", "--output", type=Path, help="JSON with the results")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run (default all)")
    parser.add_argument("--frames", type=int, default=900, help="frames of the timed parts (default 900)")
    parser.add_argument("--memory-frames", type=int, default=10_000, help="frames of the memory part (default 10000)")
    parser.add_argument("--threads", type=int, help="threads of the network (default: half of the processors)")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(run_part(args.part, args)))
        return
    results: dict[str, Any] = {"machine": machine(), "load_at_start": os.getloadavg()}
    for part in args.only:
        command = [sys.executable, __file__, "--clip", str(args.clip), "--part", part, "--frames", str(args.frames)]
        command += ["--memory-frames", str(args.memory_frames)]
        command += ["--threads", str(args.threads)] if args.threads else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results[part] = {**json.loads(done.stdout.splitlines()[-1]), "goal": GOALS[part]}
        print(part, json.dumps(results[part]), flush=True)
    if args.output:
        args.output.write_text(json.dumps(results, indent=2) + "\n")


def run_part(part: str, args: argparse.Namespace) -> dict[str, Any]:
    """One part, in this process."""
    from edge_harmony.harmonize import load_harmonizer
    from edge_harmony.live import Pipeline
    from edge_harmony.pixels.row_threads import available_threads

    frames = args.memory_frames if part == "memory" else args.frames
    with tempfile.TemporaryDirectory() as folder:
        clip = reduce_clip(args.clip, Path(folder)) if part == "person" else args.clip
        source = paced_at(clip / "foreground.mp4", clip / "mask.mp4", 30) if part == "latency" else None
        before = yardstick_ms()
        pipeline = Pipeline(
            source or str(clip / "foreground.mp4"),
            None if source is not None else "person" if part == "person" else str(clip / "mask.mp4"),
            str(clip / "background.mp4"),
            load_harmonizer(threads=args.threads or max(1, available_threads() // 2)),
            loop=source is None,
        )
        memory_mb: list[float] = []
        started = worked = 0.0
        with pipeline:
            for count, _ in enumerate(pipeline, 1):
                if count == WARM_UP:
                    started, worked = time.perf_counter(), time.process_time()
                if part == "memory" and count % 50 == 0:
                    memory_mb.append(resident_mb())
                if count >= frames + WARM_UP:
                    break
            seconds, worked = time.perf_counter() - started, time.process_time() - worked
            figures = pipeline.figures.snapshot()
    result = {
        "frames": frames,
        "fps": round(frames / seconds, 2),
        "cpu_ms_a_frame": round(1e3 * worked / frames, 2),
        "latency_ms": figures["latency_ms"]["result"],
        "dropped": figures["dropped"]["source"],
        "stages_ms": {name: [one["p50_ms"], one["p95_ms"]] for name, one in figures["stages"].items()},
        "yardstick_ms": [before, yardstick_ms()],
    }
    if part == "latency":
        result["latency_p95_frames"] = round(figures["latency_ms"]["result"]["p95"] * 30 / 1000, 2)
    if part == "memory":
        tenth = max(1, len(memory_mb) // 10)
        early, late = float(np.mean(memory_mb[tenth : 2 * tenth])), float(np.mean(memory_mb[-tenth:]))
        result["memory_mb"] = {"second_tenth": round(early, 1), "last_tenth": round(late, 1), "peak": max(memory_mb)}
        result["memory_drift_percent"] = round(100 * (late / early - 1), 2)
    return result


def paced_at(video: Path, masks: Path, rate: int) -> Any:
    """The clip with its masks, looped, at so many frames a second, whatever it was filmed at."""
    from edge_harmony.capture.pace import Paced
    from edge_harmony.live.opening import open_live_source

    source = open_live_source(str(video), str(masks), loop=True)
    return Paced(source, speed=float(Fraction(rate) / source.rate))


def reduce_clip(clip: Path, folder: Path) -> Path:
    """The clip at 1280 x 720, encoded so well that nothing else changes."""
    from edge_harmony.capture import open_source
    from edge_harmony.sinks.video import VideoOptions, VideoSink

    for name in ("foreground.mp4", "background.mp4"):
        source = open_source(clip / name)
        sink = VideoSink(
            folder / name, (720, 1280), source.time_base, source.rate, VideoOptions(crf=14, preset="veryfast")
        )
        for frame in source:
            image = cv2.resize(frame.image_bgr, (1280, 720), interpolation=cv2.INTER_AREA)
            sink.write(image, frame.pts, frame.duration)
        sink.close()
    return folder


def yardstick_ms() -> float:
    """The median time of a fixed piece of work on one thread: a Gaussian blur of one 1080p frame."""
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        cv2.GaussianBlur(image, (31, 31), 5.0)
        times.append((time.perf_counter() - start) * 1e3)
    cv2.setNumThreads(threads)
    return round(float(np.median(times)), 2)


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), "")
    return {"cpu": model, "processors": os.cpu_count(), "python": platform.python_version(), "opencv": cv2.__version__}


def _cpu_lines() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
