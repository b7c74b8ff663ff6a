"""The frame graph, the one other programs embed: its cost in ONNX Runtime, and how well it agrees with the runtime.

    python benchmarks/frame_graph.py
    python benchmarks/frame_graph.py --onnx my_frame.onnx --size 1280x720 --frames 50

The graph does on whole frames, in floats, what the runtime does in bytes on the subject's rows: expect it to cost
several times as much on a CPU. It is made for accelerators and for programs without Python. Without ``--onnx`` it is
made from the model (which needs the ``export`` extra), and timed beside its form for GPUs, which resizes the grid of
the transform where the other takes matrix products. Everything is timed frame by frame in turn, so that ratios mean
something on a busy machine too. Agreement is counted over all pixels of frames of several
sizes with subjects of several sizes: the share that differs by at most one code value in every channel.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edge_harmony import Compositor, contract, load_harmonizer
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.harmonize import Harmonizer
from edge_harmony.harmonize.load import find_model
from edge_harmony.pixels.synthetic import SyntheticClip
from edge_harmony.run.arguments import size
from edge_harmony.run.timing import timed_ms

AGREEMENT_SIZES = ((480, 270), (641, 361), (1280, 720), (1920, 1080))
COVERAGES = (0.05, 0.25, 1.0)


def open_graph(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """The graph on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feeds(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> dict[str, np.ndarray]:
    """The graph's inputs for a first frame at full strength."""
    return {
        contract.FOREGROUND: foreground,
        contract.ALPHA: alpha,
        contract.BACKGROUND: background,
        contract.PREVIOUS_TRANSFORM: contract.NO_TRANSFORM,
        contract.STRENGTH: np.ones(1, np.float32),
        contract.SMOOTHING: np.zeros(1, np.float32),
    }


def agreement(session: onnxruntime.InferenceSession, harmonizer: Harmonizer) -> list[dict[str, Any]]:
    """How far graph and runtime are apart, for every size and coverage."""
    found = []
    for width, height in AGREEMENT_SIZES:
        for coverage in COVERAGES:
            foreground, alpha, background = next(SyntheticClip((height, width), coverage, 1).frames(1))
            if coverage >= 1.0:
                alpha[:, : width // 8] = 0  # the runtime harmonizes no frame without background
            graph = np.asarray(session.run([contract.HARMONIZED], feeds(foreground, alpha, background))[0])
            native = Compositor(harmonizer, smoothing=0.0).process(foreground, alpha, background)
            off = np.abs(graph.astype(np.int16) - native).max(axis=2)
            found.append(
                {
                    "size": f"{width}x{height}",
                    "coverage": coverage,
                    "within_1": float((off <= 1).mean()),
                    "largest": int(off.max()),
                    "untouched_outside": bool((graph[alpha == 0] == background[alpha == 0]).all()),
                }
            )
    return found


def cost(
    graphs: dict[str, onnxruntime.InferenceSession], harmonizer: Harmonizer, size_hw: tuple[int, int], frames: int
) -> dict[str, list[float]]:
    """Milliseconds of every frame: of the graphs, of the runtime and of OpenCV's alpha blending of the same frame."""
    clip = list(SyntheticClip(size_hw, 0.25, 4, moves=True).frames(4))
    compositor = Compositor(harmonizer)
    out = np.empty_like(clip[0][0])
    weight = clip[0][1].astype(np.float32) / np.float32(255.0)
    rest = np.float32(1.0) - weight
    rounds: dict[str, list[float]] = {}
    for index in range(3 + frames):
        parts = clip[index % len(clip)]
        inputs = feeds(*parts)
        taken = {
            **{name: timed_ms(lambda: graph.run(None, inputs)) for name, graph in graphs.items()},  # noqa: B023
            "runtime": timed_ms(lambda: compositor.process(*parts, out=out)),  # noqa: B023
            "cv2 alpha blend": timed_ms(lambda: cv2.blendLinear(parts[0], parts[2], weight, rest, out)),  # noqa: B023
        }
        if index >= 3:
            for name, value in taken.items():
                rounds.setdefault(name, []).append(value)
    return rounds


def make_graphs(model: Path, folder: Path) -> dict[str, Path]:
    """Both forms of a transform graph's frame graph, in files."""
    try:
        from export.frame_graph import main as compose
    except ImportError as error:
        raise SystemExit(f"error: making the graph needs onnx: pip install -e '.[export]' ({error})") from error
    forms = {"frame graph": (folder / "cpu.onnx", []), "its form for GPUs": (folder / "gpu.onnx", ["--for-gpu"])}
    for path, options in forms.values():
        if compose([str(model), "-o", str(path), *options]):
            raise SystemExit("error: the frame graph could not be made")
    return {name: path for name, (path, _) in forms.items()}


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 where the two do not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model's name or an ONNX file of the transform graph (default: base)")
    parser.add_argument("--onnx", type=Path, help="its frame graph; made anew without")
    parser.add_argument("--size", type=size(), default="1920x1080", metavar="WxH")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    height, width = args.size
    cv2.setNumThreads(args.threads)
    try:
        harmonizer = load_harmonizer(args.model, "onnxruntime", args.threads)
        with tempfile.TemporaryDirectory() as folder:
            made = {"frame graph": args.onnx} if args.onnx else make_graphs(find_model(args.model), Path(folder))
            graphs = {name: open_graph(path, args.threads) for name, path in made.items()}
        agreed = agreement(graphs["frame graph"], harmonizer)
        costs = cost(graphs, harmonizer, (height, width), args.frames)
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 1
    least = min(case["within_1"] for case in agreed)
    if args.json:
        medians = {name: statistics.median(values) for name, values in costs.items()}
        print(json.dumps({"agreement": agreed, "least_within_1": least, "median_ms": medians}, indent=2))
    else:
        for case in agreed:
            print(
                f"{case['size']:>10} {case['coverage']:>5.0%}  within 1 code value {case['within_1']:.4%}, largest "
                f"{case['largest']}, outside the subject {'untouched' if case['untouched_outside'] else 'CHANGED'}"
            )
        print(
            f"{width}x{height}, {args.frames} frames: least and median ms, median share of the runtime's time of that "
            "frame"
        )
        for name, values in costs.items():
            share = statistics.median(value / of for value, of in zip(values, costs["runtime"], strict=True))
            print(f"{name:>18} {min(values):7.1f} {statistics.median(values):7.1f} {share:6.2f}")
    return 0 if least >= 0.999 and all(case["untouched_outside"] for case in agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
