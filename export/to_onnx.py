"""Export a checkpoint to ONNX, and refuse to when the result does not compute what PyTorch computes.

::

    python -m export.to_onnx --checkpoint runs/base/last.safetensors -o edge_harmony/models --name base

writes ``base.onnx`` (the transform graph: network only) and ``base_frame.onnx`` (the frame graph: uint8 frames of
any size in and out). ``edge_harmony/contract.py`` says what every tensor means.
"""

from __future__ import annotations

import copy
import logging
import re
import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnx import helper

from edge_harmony import contract
from edge_harmony.errors import ModelError
from edge_harmony.run.arguments import Parser, add_verbose
from edge_harmony.run.exit_code import exit_code
from export import frame_graph, model_file, parity
from export.model_file import GRAPH_FRAME, GRAPH_TRANSFORM, ModelInfo
from export.packing import pack
from training.checkpoint import load_generator, weights_digest
from training.generator import FusionGenerator
from training.heads import CONTRACT_HEADS

_IR_VERSION = 8  # the oldest that opset 18 allows


def transform_graph(generator: FusionGenerator, name: str) -> onnx.ModelProto:
    """The generator as a static ONNX graph, with batch normalisation and constants folded.

    Args:
        generator: in evaluation mode; left as it is.
        name: the model's name, written into the metadata.

    Raises:
        ModelError: its output is not the contract's transform, or the exporter failed.
    """
    size, cells = contract.WORKING_SIZE, generator.grid_size(contract.WORKING_SIZE)
    if generator.config.head not in CONTRACT_HEADS or cells != contract.GRID_SIZE:
        raise ModelError(
            f"this generator predicts {generator.config.head!r} over {cells} x {cells} cells",
            f"only affine maps over {contract.GRID_SIZE} x {contract.GRID_SIZE} cells are exported: train one with "
            "generator.head=affine and as many decoder stages as training/configs/base.toml",
        )
    example = (torch.zeros(1, 3, size, size), torch.zeros(1, 1, size, size))
    with quiet():
        try:
            program = torch.onnx.export(
                copy.deepcopy(generator).eval(),
                example,
                dynamo=True,
                verbose=False,
                opset_version=contract.OPSET,
                input_names=list(contract.TRANSFORM_GRAPH_INPUTS),
                output_names=list(contract.TRANSFORM_GRAPH_OUTPUTS),
                external_data=False,
            )
        except Exception as error:  # the exporter raises whatever its passes raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"torch.onnx.export failed: {reason}", "pip install -U 'torch>=2.6' onnxscript") from error
    assert program is not None
    model = _tidied(program.model_proto)
    model_file.stamp(model, ModelInfo(GRAPH_TRANSFORM, name, weights_digest(generator), "fp32"))
    return model


def export(
    generator: FusionGenerator,
    folder: str | Path,
    name: str = "base",
    graphs: tuple[str, ...] = ("transform", "frame"),
    compact: bool = False,
) -> list[Path]:
    """Export, check parity, write. Nothing is written under its name before all of it has passed.

    Args:
        generator: in evaluation mode; left as it is.
        folder: where the files go.
        name: the model's name and the files' stem.
        graphs: which of the two to write.
        compact: round the weights to half precision and store them so; the graphs compute in single precision.

    Returns:
        The files: ``NAME.onnx`` for the transform graph, ``NAME_frame.onnx`` for the frame graph.

    Raises:
        ModelError: the export failed, parity is not met, or the folder cannot be written.
    """
    if compact:
        generator = copy.deepcopy(generator).half().float()
    transform = transform_graph(generator, name)
    parity.check_transform(transform, generator)
    models = {GRAPH_TRANSFORM: (transform, f"{name}.onnx")}
    if GRAPH_FRAME in graphs:
        frame = frame_graph.compose(transform)
        parity.check_frame(frame, generator)
        models[GRAPH_FRAME] = (frame, f"{name}_frame.onnx")
    return [
        model_file.save(pack(model) if compact else model, Path(folder) / file)
        for kind, (model, file) in models.items()
        if kind in graphs
    ]


@contextmanager
def quiet():
    """The exporter's remarks are about its own internals; ours are the errors."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with names after the generator's modules, and without traces of the exporting machine."""
    used: Counter[str] = Counter()
    renamed: dict[str, str] = {}
    outputs = {value.name for value in model.graph.output}
    nodes = []
    for node in model.graph.node:
        stem = f"{_module(node)}/{node.op_type}".lstrip("/")
        used[stem] += 1
        name = stem if used[stem] == 1 else f"{stem}_{used[stem]}"
        for i, output in enumerate(node.output):
            if output and output not in outputs:
                renamed[output] = name if len(node.output) == 1 else f"{name}:{i}"
        clean = helper.make_node(
            node.op_type, [renamed.get(x, x) for x in node.input], [renamed.get(x, x) for x in node.output], name
        )
        clean.attribute.extend(node.attribute)
        nodes.append(clean)
    for tensor in model.graph.initializer:
        tensor.ClearField("doc_string")
        del tensor.metadata_props[:]
    values = [
        helper.make_tensor_value_info(v.name, v.type.tensor_type.elem_type, model_file.tensor_shape(v))
        for v in (*model.graph.input, *model.graph.output)
    ]
    count = len(model.graph.input)
    graph = helper.make_graph(nodes, "transform", values[:count], values[count:], model.graph.initializer)
    opset = helper.make_opsetid("", contract.OPSET)
    tidy = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="edge_harmony")
    folded = {"If", "Loop", "Scan", "Shape", "BatchNormalization", "Constant", "Identity"}
    left = sorted(folded & {node.op_type for node in nodes})
    if left or {entry.domain for entry in model.opset_import} - {""} or model.functions:
        raise ModelError(
            f"the exporter left {left or 'custom operators'} in the graph", "pip install -U torch onnxscript"
        )
    return tidy


def _module(node: onnx.NodeProto) -> str:
    """The path of the module that a node comes from, such as ``encoder.stem.0``; empty when unknown."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            scopes = re.findall(r"'([^']*)'", entry.value)
            return scopes[-2] if len(scopes) > 1 else ""
    return ""


def main(argv: list[str] | None = None) -> int:
    parser = Parser(
        prog="python -m export.to_onnx",
        description="Export a checkpoint to ONNX; parity with PyTorch is checked and enforced.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="from python -m training.train")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the ONNX files")
    parser.add_argument("--name", default="base", help="the model's name and the files' stem (default: base)")
    parser.add_argument("--graph", choices=("transform", "frame", "both"), default="both", help="default: both")
    parser.add_argument("--compact", action="store_true", help="store weights in half precision: half the file")
    add_verbose(parser)
    args = parser.parse_args(argv)
    graphs = (GRAPH_TRANSFORM, GRAPH_FRAME) if args.graph == "both" else (args.graph,)

    def work() -> None:
        generator, _ = load_generator(args.checkpoint)
        for path in export(generator, args.output, args.name, graphs, args.compact):
            print(f"{path} ({path.stat().st_size / 1e6:.1f} MB), parity with PyTorch holds")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
