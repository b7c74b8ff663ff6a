"""How far the pictures of a converted graph, or of an engine, are from the FP32 graph's, inside the foreground.

::

    python -m export.verify base_int8.onnx --reference edge_harmony/models/base.onnx --frames MY_COMPOSITES
    python -m export.verify base_int8.engine --reference edge_harmony/models/base.onnx --frames MY_COMPOSITES

Graphs run in ONNX Runtime on the CPU; Q/DQ pairs are taken literally there, as TensorRT takes them. An engine runs on
the GPU, through the very runtime that will run it. What is compared is what a viewer sees: uint8 pictures, full
strength, where alpha is above 0. A second opinion, by NVIDIA's Polygraphy with the same measure:
``export.second_opinion``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_harmony import contract
from edge_harmony.errors import ModelError
from edge_harmony.harmonize.load import ENGINE_SUFFIXES
from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer
from edge_harmony.harmonize.transfer import apply_transform
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.over import over
from edge_harmony.run.arguments import Parser, add_verbose, number, whole
from edge_harmony.run.exit_code import exit_code
from export import frame_graph, model_file, precision
from export.runtime import frame_feeds, session
from export.scenes import Scene, fitted, folder_scenes

PHOTOGRAPHS = Path(__file__).with_name("frames")
MINIMUM_DB = {"fp32": 50.0, "fp16": 50.0, "int8": 40.0}  # GPUs may compute FP32 in TF32, which has FP16's digits
MINIMUM_HEADROOM = 2.0  # times that FP16's range holds the largest activation, on the frames of the gate

_LOOK = "find the layer with polygraphy, as docs/export.md shows"
_REMEDIES = {
    "fp32": _LOOK,
    "fp16": f"use the FP32 graph, or {_LOOK}",
    "int8": "calibrate on more footage, or leave layers out: python -m calibration.quantize --keep-fp16 NAME",
}

Runner = Callable[[Scene], tuple[NDArray[np.uint8], NDArray[np.float32]]]  # to harmonized and transform


@dataclass(frozen=True)
class Verdict:
    """How two models' pictures compare; dB of 255^2 over the mean squared error inside the foreground."""

    frames: int
    db: float  # of the mean squared error over all frames, each weighing the same; infinite when all are equal
    worst_db: float  # of the worst frame
    worst_frame: str
    finite: bool  # no NaN and no infinity in the candidate's transforms
    background_kept: bool  # every pixel outside the alpha is the background's, to the bit

    def passes(self, minimum_db: float) -> bool:
        return self.finite and self.background_kept and self.db >= minimum_db

    def __str__(self) -> str:
        if not self.finite:
            return "the transform holds NaN or infinity"
        if not self.background_kept:
            return "pixels outside the alpha are changed"
        return f"{self.db:.1f} dB inside the foreground of {self.frames} frames (worst {self.worst_db:.1f} dB)"


def graph_runner(model: onnx.ModelProto) -> Runner:
    """Run a transform or frame graph of any precision on frames, in ONNX Runtime on the CPU."""
    info = model_file.inspect(model)
    frame_model = frame_graph.compose(model) if info.graph == model_file.GRAPH_TRANSFORM else model
    run = session(frame_model, fake_quantized=info.precision == "int8")

    def runner(scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        harmonized, transform = run.run([contract.HARMONIZED, contract.TRANSFORM], frame_feeds(scene))
        return np.asarray(harmonized), np.asarray(transform)

    return runner


def view_runner(model: onnx.ModelProto) -> Runner:
    """Run a transform graph as the CPU's runtime does: on a view made in bytes, the picture by our own last step.

    Raises:
        ModelError: it is a frame graph.
    """
    if model_file.inspect(model).graph != model_file.GRAPH_TRANSFORM:
        raise ModelError("a frame graph cannot be held against a transform engine", "give the transform graph")
    run = session(model, fake_quantized=model_file.inspect(model).precision == "int8")

    def predict(view_bgr: Frame, alpha: Alpha) -> NDArray[np.float32]:
        feeds = dict(zip(contract.TRANSFORM_GRAPH_INPUTS, contract.pack_view(view_bgr, alpha), strict=True))
        return np.asarray(run.run([contract.TRANSFORM], feeds)[0])

    return _on_views(predict)


def engine_runner(harmonizer: TensorRtHarmonizer) -> Runner:
    """Run an engine on the GPU, as applications run it. A frame engine takes frames of its own sizes only.

    Its pictures are to be compared with those of ``graph_runner``, a transform engine's with ``view_runner``'s.
    """
    if harmonizer.graph == model_file.GRAPH_TRANSFORM:
        return _on_views(harmonizer.unchecked_transform)

    def runner(scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        picture = harmonizer.harmonize_frame(scene.foreground_bgr, scene.alpha, scene.background_bgr)
        return picture, harmonizer.unchecked_transform(*view_of(scene))

    return runner


def _on_views(predict: Callable[[Frame, Alpha], NDArray[np.float32]]) -> Runner:
    def runner(scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        transform = predict(*view_of(scene))
        if not np.isfinite(transform).all():
            return scene.background_bgr, transform
        parts = (scene.foreground_bgr, scene.alpha, scene.background_bgr)
        return apply_transform(*parts, transform), transform

    return runner


def view_of(scene: Scene) -> tuple[Frame, Alpha]:
    """What the network is shown of a scene, in bytes."""
    foreground, alpha, background = map(contract.read_down, (scene.foreground_bgr, scene.alpha, scene.background_bgr))
    return over(foreground, alpha, background), alpha


def compare_engine(harmonizer: TensorRtHarmonizer, reference: onnx.ModelProto, scenes: Iterable[Scene]) -> Verdict:
    """Hold an engine against the FP32 graph, on the scenes brought to sizes that it takes.

    Raises:
        ModelError: no scene has a foreground, or the reference is a frame graph and the engine is not.
        BackendUnavailableError: the GPU failed.
    """
    sizes = harmonizer.size_range
    if sizes is None:
        return compare(view_runner(reference), engine_runner(harmonizer), scenes)
    fitting = (fitted(scene, *sizes) for scene in scenes)
    return compare(graph_runner(reference), engine_runner(harmonizer), fitting)


def compare(reference: Runner, candidate: Runner, scenes: Iterable[Scene]) -> Verdict:
    """Run both over the scenes that have both a foreground and a background: elsewhere there is nothing to match.

    Raises:
        ModelError: there is no such scene.
    """
    errors: list[tuple[float, str]] = []
    finite = background_kept = True
    for scene in scenes:
        inside = scene.alpha > 0
        if not inside.any() or scene.alpha.min() == 255:
            continue
        expected, _ = reference(scene)
        got, transform = candidate(scene)
        finite &= bool(np.isfinite(transform).all())
        background_kept &= np.array_equal(got[~inside], scene.background_bgr[~inside])
        difference = got[inside].astype(np.float64) - expected[inside]
        errors.append((float((difference**2).mean()), scene.name))
    if not errors:
        raise ModelError("there is no frame with a foreground and a background to compare on", "give other --frames")
    worst, name = max(errors)
    mean = sum(error for error, _ in errors) / len(errors)
    return Verdict(len(errors), decibels(mean), decibels(worst), name, finite, background_kept)


def fp16_headroom(reference: onnx.ModelProto, scenes: Iterable[Scene]) -> tuple[float, str]:
    """How often the largest number that the FP16 network would hold fits into FP16's range, and its tensor.

    Args:
        reference: the FP32 graph, transform or frame.
        scenes: what to measure on.
    """
    is_frame = model_file.inspect(reference).graph == model_file.GRAPH_FRAME
    probe = onnx.ModelProto.FromString(reference.SerializeToString()) if is_frame else frame_graph.compose(reference)
    names = precision.half_tensors(probe)
    probe.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    run = session(probe)
    largest, where = 0.0, ""
    for scene in scenes if names else ():
        for name, value in zip(names, run.run(names, frame_feeds(scene)), strict=True):
            peak = float(np.abs(np.asarray(value)).max())
            if not peak <= largest:
                largest, where = peak, name.removeprefix(f"{frame_graph.NETWORK}/")
    return precision.LARGEST_HALF / max(largest, 1e-9), where


def decibels(mean_squared_error: float) -> float:
    """10 log10(255^2 / MSE)."""
    return math.inf if mean_squared_error == 0 else 10 * math.log10(255**2 / mean_squared_error)


def check_related(reference: model_file.ModelInfo, weights_sha256: str) -> None:
    """Raises ModelError when the weights are not the reference's, or the reference is not FP32."""
    if reference.precision != "fp32":
        raise ModelError(f"the reference is {reference.precision}", "give the FP32 graph as --reference")
    if reference.weights_sha256 != weights_sha256:
        raise ModelError(
            "the reference has other weights", "give the FP32 graph that the other was made from as --reference"
        )


def frames_for_gate(folder: Path | None, limit: int) -> tuple[list[Scene], str]:
    """The scenes to compare on, by default photographs that come with the package, and what they are in words."""
    if folder is None:
        scenes = list(folder_scenes(PHOTOGRAPHS))
        return scenes, f"{len(scenes)} photographs of the package (--frames takes your own)"
    return list(folder_scenes(folder, limit)), f"frames of {folder}"


def main(argv: list[str] | None = None) -> int:
    parser = Parser(
        prog="python -m export.verify", description="Compare a converted graph, or an engine, with the FP32 graph."
    )
    parser.add_argument("model", type=Path, help="the converted graph, transform or frame, or an engine")
    parser.add_argument("--reference", type=Path, required=True, help="the FP32 graph it was made from")
    parser.add_argument("--frames", type=Path, metavar="DIR", help="composites with masks (default: the package's)")
    parser.add_argument(
        "--limit", type=whole(1), default=24, help="how many frames, spread over the folder (default: 24)"
    )
    parser.add_argument("--min-db", type=number(-1e3, 1e3), help="default: 50, for INT8 40")
    add_verbose(parser)
    args = parser.parse_args(argv)

    def work() -> None:
        reference, reference_info = model_file.load(args.reference)
        scenes, words = frames_for_gate(args.frames, args.limit)
        if args.model.suffix in ENGINE_SUFFIXES:
            with TensorRtHarmonizer(args.model) as harmonizer:
                check_related(reference_info, harmonizer.metadata[contract.META_WEIGHTS])
                kind = harmonizer.metadata[contract.META_PRECISION]
                verdict = compare_engine(harmonizer, reference, scenes)
        else:
            model, info = model_file.load(args.model)
            check_related(reference_info, info.weights_sha256)
            kind = info.precision
            verdict = compare(graph_runner(reference), graph_runner(model), scenes)
        minimum = MINIMUM_DB[kind] if args.min_db is None else args.min_db
        print(f"{args.model}: {verdict}; {words}")
        if not verdict.passes(minimum):
            raise ModelError(
                f"{args.model} misses the bound of {minimum:g} dB; worst on {verdict.worst_frame}", _REMEDIES[kind]
            )

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
