"""What harmonizing one frame costs, end to end and by stage, with OpenCV's own compositing of the frame beside it.

    python benchmarks/harmonize.py                        every case, first result, memory
    python benchmarks/harmonize.py --size 1280x720 --coverage 5 --frames 500
    python benchmarks/harmonize.py --plot sizes.png --bars stages.png
    python benchmarks/harmonize.py --document docs/performance.md
    python benchmarks/harmonize.py --json > timings.json

Arrays in, arrays out, nothing left out: checking, reading down, the network, the full-resolution step. Each round
runs the work and the two OpenCV operations once after another, so that whatever else the machine does falls on
all of them; the medians are over all rounds. The ratios are what compares between machines:

- *blend*: ``cv2.blendLinear``, alpha blending of the whole frame, its float weights prepared outside the clock;
- *paste*: ``cv2.copyTo`` with the mask, a hard-edged paste.

Other programs on the same cores spoil the figures (a second busy process makes them two to four times as long):
the load is printed with them, and ``min`` beside each median says what an undisturbed frame took.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.chart import PALETTE, Line, bar_chart, line_chart, save
from benchmarks.fresh import first_result_s, process_peak_mb
from edge_harmony import Compositor, load_harmonizer
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.harmonize import Harmonizer
from edge_harmony.harmonize.load import MODEL_FOLDER
from edge_harmony.pixels.over import over
from edge_harmony.pixels.synthetic import SyntheticClip
from edge_harmony.run.arguments import size
from edge_harmony.run.timing import StageTimer, timed_ms

HARMONIZER_STAGES = ("read down", "network", "apply")
COMPOSITOR_STAGES = ("read down", "scene", "network", "smooth", "apply", "light wrap", "grain")
SWEEP = ((480, 270), (960, 540), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160), (5120, 2880), (7680, 4320))
MARKERS = ("<!-- figures: written by benchmarks/harmonize.py --document -->", "<!-- end of figures -->")
WARM_UP = 10
CLIP = 4  # different frames
Case = dict[str, Any]


def harmonizer_case(harmonizer: Harmonizer, height: int, width: int, coverage: float, frames: int) -> Case:
    """Harmonize a composite that exists."""
    subject, mask, background = next(SyntheticClip((height, width), coverage, 1).frames(1))
    composite = over(subject, mask, background)
    out = np.empty_like(composite)
    case = _measure(
        lambda _: harmonizer(composite, mask, out=out), HARMONIZER_STAGES, harmonizer.timings,
        (composite, mask, composite[::-1].copy()), frames,
    )  # fmt: skip
    return {"work": f"harmonize, {harmonizer.name}"} | case


def compositor_case(harmonizer: Harmonizer, height: int, width: int, coverage: float, frames: int) -> Case:
    """Composite, harmonize, wrap light and match grain, of a clip whose every frame is another."""
    clip = list(SyntheticClip((height, width), coverage, CLIP, moves=True).frames(CLIP))
    compositor = Compositor(harmonizer, light_wrap=0.3, grain=0.5)
    out = np.empty_like(clip[0][0])

    def work(index: int) -> None:
        compositor.process(*clip[index % len(clip)], out=out)

    stages = (compositor.timings, harmonizer.timings)
    case = _measure(work, COMPOSITOR_STAGES, stages[0], clip[0], frames)
    if compositor.reused:
        raise SystemExit("error: the clip stood still, these figures would say nothing")
    return {"work": f"Compositor.process, {harmonizer.name}"} | case


def _measure(
    work: Callable[[int], object], stages: tuple[str, ...], timings: StageTimer, parts: tuple[Any, ...], frames: int
) -> Case:
    """Medians and minima in milliseconds of the work, its stages and OpenCV's two operations on the same frame."""
    foreground, mask, background = parts
    weight = mask.astype(np.float32) / np.float32(255.0)
    rest = np.float32(1.0) - weight
    blended = np.empty_like(foreground)

    def paste() -> None:
        np.copyto(blended, background)
        cv2.copyTo(foreground, mask, blended)

    rounds: dict[str, list[float]] = {name: [] for name in (*stages, "rest", "total", "cv2 blend", "cv2 paste")}
    for index in range(WARM_UP + frames):
        taken = {"total": timed_ms(lambda: work(index))}  # noqa: B023
        taken["cv2 blend"] = timed_ms(lambda: cv2.blendLinear(foreground, background, weight, rest, blended))
        taken["cv2 paste"] = timed_ms(paste)
        taken |= {stage: timings.last_ms(stage) for stage in stages}
        taken["rest"] = taken["total"] - sum(taken[stage] for stage in stages)
        if index >= WARM_UP:
            for name, value in taken.items():
                rounds[name].append(value)
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    height, width = mask.shape
    return {
        "size": f"{width}x{height}",
        "coverage": round(float((mask > 0).mean()), 3),
        "frames": frames,
        "median_ms": medians,
        "min_ms": {name: min(values) for name, values in rounds.items()},
        "ratio_to_blend": medians["total"] / medians["cv2 blend"],
        "ratio_to_paste": medians["total"] / medians["cv2 paste"],
    }


def print_case(case: Case) -> None:
    """One case: its total with the ratios, and the stages with their minima below it."""
    medians, least = case["median_ms"], case["min_ms"]
    print(f"{case['work']:<26}{case['size']:>10} {case['coverage']:>5.0%}", end="")
    print(f"  {medians['total']:7.2f} ms (min {least['total']:.2f})", end="")
    print(f"   x{case['ratio_to_blend']:.2f} of cv2 blend {medians['cv2 blend']:.2f}", end="")
    print(f", x{case['ratio_to_paste']:.1f} of cv2 paste {medians['cv2 paste']:.2f}")
    stages = [name for name in medians if name not in ("total", "cv2 blend", "cv2 paste")]
    print("    " + ", ".join(f"{name} {medians[name]:.2f} ({least[name]:.2f})" for name in stages))


def markdown(about: Case, cases: list[Case]) -> str:
    """The table for the documentation."""
    lines = [
        f"Measured on {about['date']}: {about['machine']}, {about['threads']} threads, {about['backend']}; medians "
        f"of {cases[0]['frames']} frames, in brackets the least; load of the machine before {about['load']:.1f}.",
        "",
        "| work | frame | subject | ms | ratio to `cv2` blend | ratio to `cv2` paste |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {case['work']} | {case['size'].replace('x', ' x ')} | {case['coverage']:.0%} "
        f"| **{case['median_ms']['total']:.2f}** ({case['min_ms']['total']:.2f}) "
        f"| {case['ratio_to_blend']:.2f} | {case['ratio_to_paste']:.1f} |"
        for case in cases
    ]
    if about["first_result_s"] is not None:
        lines.append(
            f"| first result in a new process, import included | 1920 x 1080 | | {about['first_result_s']:.2f} s | | |"
        )
    if about["process_peak_mb"] is not None:
        lines.append(
            f"| peak memory of `edge-harmony process` | 1920 x 1080 | | {about['process_peak_mb']:.0f} MB | | |"
        )
    return "\n".join(lines) + "\n"


def draw_sizes(path: Path, harmonizer: Harmonizer, frames: int) -> None:
    """Total, and OpenCV's blending, over sizes from 270p to 8K, for small and full subjects."""
    lines = []
    blend: list[float] = []
    for index, coverage in enumerate((0.05, 0.25, 1.0)):
        found = [harmonizer_case(harmonizer, h, w, coverage, max(5, frames // 5)) for w, h in SWEEP]
        totals = [case["median_ms"]["total"] for case in found]
        blend = [case["median_ms"]["cv2 blend"] for case in found]
        megapixels = [w * h / 1e6 for w, h in SWEEP]
        lines.append(Line(f"subject {coverage:.0%}", megapixels, totals, PALETTE[index], dots=True))
    lines.append(Line("cv2 alpha blend", [w * h / 1e6 for w, h in SWEEP], blend, PALETTE[6], 1, dots=True))
    names = [(w * h / 1e6, f"{h}p" if h < 4320 else "8K") for w, h in SWEEP]
    title = f"Harmonizing one frame, {harmonizer.name} on {harmonizer.backend}, {harmonizer.threads} threads"
    save(path, line_chart(title, lines, "height of a 16:9 frame", "ms", logarithmic=True, x_names=names))


def draw_bars(path: Path, cases: list[Case]) -> None:
    """Where the time of each case goes."""
    bars = []
    for case in cases:
        stages = [s for s in case["median_ms"] if s not in ("total", "cv2 blend", "cv2 paste")]
        name = f"{case['work'].split(',')[0][:18]} {case['size'].split('x')[1]}p {case['coverage']:.0%}"
        bars.append((name, [(stage, max(case["median_ms"][stage], 0.0)) for stage in stages]))
    save(path, bar_chart("Where a frame's time goes (medians)", bars, "ms"))


def run_cases(args: argparse.Namespace) -> list[Case]:
    """Every case asked for; printed as they come unless JSON is."""
    sizes_hw = args.size or [(1080, 1920), (2160, 3840)]
    coverages = [min(coverage, 100.0) / 100.0 for coverage in args.coverage or (25.0, 100.0)]
    models = [args.model]
    if args.model is None and (MODEL_FOLDER / "nano.onnx").is_file():
        models.append("nano")
    cases: list[Case] = []
    for model in models:
        harmonizer = load_harmonizer(model, args.backend, args.threads)
        for height, width in sizes_hw:
            for coverage in coverages:
                cases.append(harmonizer_case(harmonizer, height, width, coverage, args.frames))
                _ = args.json or print_case(cases[-1])
        if model == models[0]:
            height, width = sizes_hw[0]
            cases.append(compositor_case(harmonizer, height, width, coverages[0], args.frames))
            _ = args.json or print_case(cases[-1])
            if args.plot:
                draw_sizes(args.plot, harmonizer, args.frames)
    return cases


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model's name or an ONNX file (default: base, and nano where there is one)")
    parser.add_argument("--backend", default="auto", help="auto, onnxruntime or tensorrt")
    parser.add_argument("--threads", type=int, default=2, help="threads for network and pixels (default: 2)")
    parser.add_argument("--frames", type=int, default=200, help="rounds to take the median over (default: 200)")
    parser.add_argument(
        "--size", type=size(), action="append", metavar="WxH", help="may be repeated (default: 1080p and 4K)"
    )
    parser.add_argument(
        "--coverage", action="append", type=float, metavar="PERCENT", help="of the frame, may be repeated (25 and 100)"
    )
    parser.add_argument("--frames-only", action="store_true", help="neither first result nor peak memory")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the cost over sizes from 270p to 8K")
    parser.add_argument("--bars", type=Path, metavar="PNG", help="draw where each case's time goes")
    parser.add_argument("--document", type=Path, metavar="FILE", help="put the table between a page's two markers")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    args = parser.parse_args(argv)
    if args.frames < 1 or args.threads < 1:
        parser.error("--frames and --threads must be at least 1")
    if args.document and not all(marker in args.document.read_text() for marker in MARKERS):
        parser.error(f"{args.document} has not the two markers: {' '.join(MARKERS)}")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run and print every case."""
    args = parse(argv)
    cv2.setNumThreads(args.threads)
    try:
        with load_harmonizer(args.model, args.backend, args.threads) as harmonizer:
            about: Case = {
                "date": datetime.date.today().isoformat(),
                "machine": _machine(),
                "model": harmonizer.name,
                "backend": harmonizer.backend,
                "threads": args.threads,
                "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"),
                "first_result_s": None if args.frames_only else first_result_s(args.model, args.threads),
                "process_peak_mb": None if args.frames_only else process_peak_mb(args.model),
            }
        if not args.json:
            print(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in about.items() if value is not None))
        cases = run_cases(args)
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 1
    if args.bars:
        draw_bars(args.bars, cases)
    if args.document:
        page = args.document.read_text()
        before, after = page.split(MARKERS[0])[0], page.split(MARKERS[1])[1]
        args.document.write_text(f"{before}{MARKERS[0]}\n{markdown(about, cases)}{MARKERS[1]}{after}")
    if args.json:
        print(json.dumps(about | {"cases": cases}, indent=2))
    return 0


def _machine() -> str:
    """The processor's name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        name = found[1].strip() if found else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


if __name__ == "__main__":
    sys.exit(main())
