"""Put our metadata back into a graph that another tool wrote: many tools drop it, and nothing of ours runs without.

::

    polygraphy surgeon sanitize base.onnx --fold-constants -o folded.onnx
    python -m export.stamp folded.onnx --like base.onnx

The graph's kind is told by its tensors, its precision by its nodes; name and weights are taken from the original. That
it is the same model is measured, not believed: its pictures are held against the original's in ONNX Runtime, to the
bounds of ``export.verify``. A graph that fails stays as it was.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from edge_harmony import contract
from edge_harmony.errors import ModelError
from edge_harmony.run.arguments import Parser, add_verbose, whole
from edge_harmony.run.exit_code import exit_code
from export import model_file, verify
from export.model_file import GRAPH_FRAME, GRAPH_TRANSFORM, ModelInfo
from export.packing import unpack


def stamped(model: onnx.ModelProto, like: ModelInfo, origin: str = "the graph") -> onnx.ModelProto:
    """A copy of a graph with the metadata of another of the same weights; its kind and precision are its own.

    Raises:
        ModelError: its tensors are those of neither kind of graph.
    """
    names = {value.name for value in (*model.graph.input, *model.graph.output)}
    kinds = {
        GRAPH_TRANSFORM: {*contract.TRANSFORM_GRAPH_INPUTS, *contract.TRANSFORM_GRAPH_OUTPUTS},
        GRAPH_FRAME: {*contract.FRAME_GRAPH_INPUTS, *contract.FRAME_GRAPH_OUTPUTS},
    }
    kind = next((kind for kind, wanted in kinds.items() if names == wanted), None)
    if kind is None:
        raise ModelError(
            f"{origin} has the tensors {', '.join(sorted(names)) or 'none'}, which are no graph's of ours",
            "keep the names of inputs and outputs when a tool rewrites a graph",
        )
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    model_file.stamp(copy, replace(like, graph=kind, precision=_precision(copy.graph)))
    model_file.inspect(copy, origin)
    return copy


def _precision(graph: onnx.GraphProto) -> str:
    if any(node.op_type == "QuantizeLinear" for node in graph.node):
        return "int8"
    halves = {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    computes = any(name in halves for node in graph.node if node.op_type == "Conv" for name in node.input)
    return "fp16" if computes else "fp32"


def run(args: argparse.Namespace) -> None:
    original, info = model_file.load(args.like)
    if info.precision != "fp32":
        raise ModelError(f"{args.like} is {info.precision}", "give the FP32 graph as --like")
    try:
        model = unpack(onnx.load(str(args.model)))
    except (DecodeError, OSError) as error:
        raise ModelError(f"{args.model} is no ONNX file: {error}", "check the path") from None
    made = stamped(model, info, str(args.model))
    kind = model_file.inspect(made)
    if info.graph == GRAPH_FRAME and kind.graph == GRAPH_TRANSFORM:
        raise ModelError(f"{args.like} is the frame graph", "give the transform graph as --like")
    scenes, words = verify.frames_for_gate(args.frames, args.limit)
    verdict = verify.compare(verify.graph_runner(original), verify.graph_runner(made), scenes)
    minimum = verify.MINIMUM_DB[kind.precision]
    if not verdict.passes(minimum):
        raise ModelError(
            f"{args.model} does not compute what {args.like} does: {verdict}; at least {minimum:g} dB are wanted",
            "is it of another model? nothing was written",
        )
    output = args.output or args.model
    model_file.save(made, output)
    print(f"{output}: {kind.precision} {kind.graph} graph of {info.name}: {verdict}; {words}")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(
        prog="python -m export.stamp",
        description=__doc__,
    )
    parser.add_argument("model", type=Path, help="the graph whose metadata was dropped")
    parser.add_argument("--like", type=Path, required=True, metavar="FILE", help="the FP32 graph that it was made of")
    parser.add_argument("--frames", type=Path, metavar="DIR", help="composites with masks (default: ours)")
    parser.add_argument("--limit", type=whole(1), default=24, help="how many of DIR (default: 24)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: the graph itself")
    add_verbose(parser)
    args = parser.parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
