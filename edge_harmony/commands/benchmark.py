"""``edge-harmony benchmark``: how long each stage takes, on each backend that can run here.

``--json`` writes one object, whose fields stay as they are (``format`` changes otherwise; fields may be added)::

    {
      "format": "edge_harmony.benchmark.1",
      "version": "0.1.0",
      "machine": {"system", "architecture", "processor", "processors", "python", "opencv", "numpy", "gpu", "load"},
      "clip": {"source": null or the file, "size": "1920x1080", "frames": 120},
      "results": [{
          "backend": "onnxruntime", "precision": "fp32", "model": "base.onnx", "model_name": "base", "threads": 2,
          "frames": 120, "size": "1920x1080",
          "stages": {"network": {"count", "mean_ms", "p50_ms", "p95_ms", "p99_ms"}, ...},   in order of the work
          "end_to_end": {the same}, "throughput_fps": 61.3,
          "held": 0,                 frames for which the network was not asked, since nothing had changed
          "gpu_frames": null,        or a frame engine by itself: {"latency": {the same}, "throughput_fps",
                                     "graph_refusal": why no CUDA graph was replayed, or empty}
          "gpu_memory": null,        or, on a GPU that shares the host's memory, the engine's call:
                                     {"mapped": {the same}, "copied": {the same}}
          "peak_mb": 310.2,          of a process that does this and nothing else
          "clip_mb": 95.1,           that the clip made in memory takes of it
          "cv2_blend": {the same}, "ratio_to_blend": 2.1
      }, ...],
      "unavailable": [{"backend", "precision", "reason", "hint"}, ...]
    }

Exit code: 0, or 1 when a backend or precision that was asked for by name could not run: the others are shown first.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import platform
import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.errors import BackendUnavailableError, ConfigError, SinkError
from edge_harmony.run.arguments import Subparsers, parse_size

if TYPE_CHECKING:
    from edge_harmony.speed.cases import Case

FORMAT = "edge_harmony.benchmark.1"
_LIMIT_S = 3600.0  # for one case
_PRECISIONS = ("fp32", "fp16", "int8")

_DESCRIPTION = """\
Put the same clip through every backend that can run here, each in a process of its own, and say how long each stage
took: the median, and what 95 and 99 of 100 frames stay under. Nothing is left out of "end to end": for the clip that is
made in memory it is everything from arrays to array, for --source reading and the matte come on top. OpenCV's alpha
blending of the same frames runs beside it: the ratio to it compares machines.

A backend that cannot run is listed with the reason. Other programs on the same processors spoil the figures.
"""

_EPILOG = """\
examples:
  edge-harmony benchmark
  edge-harmony benchmark --backend onnxruntime --precision fp32 fp16 --size 1280x720 --frames 300
  edge-harmony benchmark --source talk.mp4 --alpha talk_mask.mp4 --bg sea.jpg --json figures.json
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "benchmark",
        help="how long each stage takes, on each backend",
        usage="edge-harmony benchmark [--backend NAME ...] [--precision NAME ...] [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--backend", nargs="+", metavar="NAME", help="onnxruntime, tensorrt (default: all)")
    parser.add_argument(
        "--precision", nargs="+", metavar="NAME", choices=_PRECISIONS, help="fp32, fp16, int8 (default: all)"
    )
    parser.add_argument(
        "--model", metavar="FILE", help="the FP32 model, or an engine (default: the model of the package)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads for network and pixels (default: all)")
    parser.add_argument("--frames", type=int, default=120, metavar="N", help="frames that are counted (default: 120)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON too; - prints them alone")
    clip = parser.add_argument_group("clip")
    clip.add_argument("--size", metavar="WxH", help="of the clip made in memory (default: 1920x1080)")
    clip.add_argument("--source", metavar="CLIP", help="a video or pictures of your own instead")
    clip.add_argument("--alpha", metavar="MASK", help="its mask, a picture or video (not needed with an alpha channel)")
    clip.add_argument("--bg", metavar="BACKGROUND", help="its new background: a picture, a video or #rrggbb")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do it; see ``main`` for what comes of the errors."""
    size_hw = _check_usage(args)
    from edge_harmony.harmonize.load import BACKENDS
    from edge_harmony.speed.cases import list_cases

    for name in args.backend or ():
        if name not in BACKENDS:
            near = difflib.get_close_matches(name, BACKENDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(BACKENDS)}"
            raise ConfigError(f"unknown backend {name!r}", hint)
    backends = list(dict.fromkeys(args.backend or ("onnxruntime", *BACKENDS)))
    precisions = list(dict.fromkeys(args.precision or _PRECISIONS))
    machine = _machine()
    results, unavailable = [], []
    for case in list_cases(args.model, backends, precisions):
        answer = _measure(case, args, size_hw) if case.model else case
        (results if isinstance(answer, dict) else unavailable).append(answer)
    if not results:
        raise _not_measured(unavailable[0])
    report = {
        "format": FORMAT,
        "version": _version(),
        "machine": machine,
        "clip": {"source": args.source, "size": results[0]["size"], "frames": args.frames},
        "results": results,
        "unavailable": [{key: value for key, value in asdict(case).items() if key != "model"} for case in unavailable],
    }
    if args.json == "-":
        print(json.dumps(report, indent=2))
    else:
        _print_table(report)
        if args.json:
            _write(report, args.json)
    _refuse_missing(args, results, unavailable)
    return 0


def _write(report: dict[str, Any], file: str) -> None:
    try:
        Path(file).write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise SinkError(f"{file} cannot be written: {error.strerror}", "name another file") from None
    print(file)


def _check_usage(args: argparse.Namespace) -> tuple[int, int]:
    """The size (H, W) of the clip made in memory, once the options go together."""
    from edge_harmony.contract import MIN_FRAME_SIZE

    if args.frames < 1:
        raise ConfigError(f"--frames is {args.frames}", "use 1 or more; from about 100 on p99 means something")
    if args.source is None:
        for option in ("alpha", "bg"):
            if getattr(args, option) is not None:
                raise ConfigError(f"--{option} belongs to --source", "name your clip with --source, or leave it out")
    elif args.size is not None:
        raise ConfigError("--size and --source do not go together", "a clip of your own has its own size")
    return parse_size(args.size or "1920x1080", MIN_FRAME_SIZE)


def _measure(case: Case, args: argparse.Namespace, size_hw: tuple[int, int]) -> dict[str, Any] | Case:
    """The figures of a case, or the case with the reason why there are none."""
    from dataclasses import replace

    from edge_harmony.run import child_process

    arguments = {
        "model": case.model,
        "backend": case.backend,
        "frames": args.frames,
        "size_hw": size_hw,
        "threads": args.threads,
        "source": args.source,
        "alpha": args.alpha,
        "background": args.bg,
    }
    with _working(f"{case.backend} {case.precision} ..."):
        answer = child_process.call("edge_harmony.speed.measure:measure", arguments, _LIMIT_S)
    if answer.reason:
        return replace(case, reason=answer.reason, hint=answer.hint)
    return {"backend": case.backend, "precision": case.precision, **answer.value}


def _refuse_missing(args: argparse.Namespace, results: Sequence[dict[str, Any]], unavailable: Sequence[Case]) -> None:
    """Raise when something that was asked for by name could not run; what could has been shown by then."""
    asked = [("backend", name) for name in args.backend or ()] + [("precision", p) for p in args.precision or ()]
    for kind, name in asked:
        if not any(result[kind] == name for result in results):
            raise _not_measured(next(case for case in unavailable if getattr(case, kind) == name))


def _not_measured(case: Case) -> BackendUnavailableError:
    return BackendUnavailableError(f"{case.backend} {case.precision}: {case.reason}", case.hint)


def _print_table(report: dict[str, Any]) -> None:
    machine = report["machine"]
    print(f"{machine['processor']}, {machine['processors']} processors, load before the start {machine['load']}")
    for result in report["results"]:
        print(
            f"\n{result['backend']} {result['precision']}: {result['model']}, {result['threads']} threads, "
            f"{result['frames']} frames of {result['size']}"
        )
        print(f"  {'ms':<12}{'p50':>9}{'p95':>9}{'p99':>9}")
        rows = {**result["stages"], "end to end": result["end_to_end"], "cv2 blending": result["cv2_blend"]}
        for name, figures in rows.items():
            print(f"  {name:<12}" + "".join(f"{figures[f'p{percent}_ms']:>9.2f}" for percent in (50, 95, 99)))
        print(
            f"  {result['throughput_fps']:.1f} frames a second, {result['ratio_to_blend']:.1f} times cv2's alpha "
            f"blending; {result['peak_mb']:.0f} MB at most, of them {result['clip_mb']:.0f} the clip's"
        )
        alone = result["gpu_frames"]
        if alone:
            p50, p95, p99 = (alone["latency"][f"p{percent}_ms"] for percent in (50, 95, 99))
            print(
                f"  the frame engine by itself (harmonize_frame, stream): p50 {p50:.2f}, p95 {p95:.2f}, "
                f"p99 {p99:.2f} ms a frame; {alone['throughput_fps']:.1f} a second with two in flight"
            )
        memory = result["gpu_memory"]
        if memory:
            ways = ", ".join(f"{name} {figures['p50_ms']:.2f} ms" for name, figures in memory.items())
            quicker = min(memory, key=lambda name: memory[name]["p50_ms"])
            switch = "export EDGE_HARMONY_GPU_MEMORY=copied" if quicker == "copied" else "as it is by default"
            print(f"  the engine alone, host memory {ways}: {quicker} is quicker here ({switch})")
        if result["held"]:
            print(f"  for {result['held']} frames the network was not asked: nothing had changed")
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for case in report["unavailable"]:
        shared = case["hint"] if case["precision"] not in case["hint"] else ""
        reasons.setdefault((case["backend"], case["reason"], shared or case["hint"]), []).append(case["precision"])
    if reasons:
        print("\nnot measured:")
    for (backend, reason, hint), precisions in reasons.items():
        print(f"  {backend} {', '.join(precisions)}: {reason}" + (f"\n    {hint}" if hint else ""))


def _machine() -> dict[str, Any]:
    import cv2
    import numpy

    from edge_harmony.gpu.detect import find_gpu

    gpu, _ = find_gpu()
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "numpy": numpy.__version__,
        "gpu": gpu.name if gpu else None,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.processor() or platform.machine()


def _version() -> str:
    from edge_harmony import __version__

    return __version__


@contextmanager
def _working(words: str) -> Generator[None]:
    """A sign of life on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(words):
        yield
