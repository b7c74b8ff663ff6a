"""FP16 and INT8 graphs from FP32 ones. The precision lies in the graph itself, for every builder alike.

TensorRT 11 knows no precision flags and no calibrators any more; a graph whose tensors are FP16, or that holds
QuantizeLinear and DequantizeLinear pairs, builds strongly typed from 10.3 on, and runs in ONNX Runtime on a CPU, so
that its accuracy is known before any GPU is at hand::

    python -m export.precision base.onnx --fp16 -o base_fp16.onnx
    python -m export.precision base.onnx --int8 --ranges ranges.json -o base_int8.onnx

**What stays FP32 in an FP16 graph.** Convolutions and what only moves data become FP16. The statistics and everything
computed with them (matrix products, means, deviations, normalisation, the masks) stay FP32: a region of few pixels has
weights of up to 10,000, and their products with squared features do not fit in FP16. What leaves that island is
normalised, hence small. The head's bias holds the identity and is added in FP32, so that the prediction's small digits
survive beside the 1. In a frame graph the full-resolution steps become FP16 (on 0..255 it resolves 1/8 at the bright
end), the smoothing over time stays FP32.

**INT8** goes to the convolutions' inputs and weights (per output channel), symmetric, zero points 0; never to the
full-resolution steps, nor to convolutions on 1 x 1 maps, where it saves nothing. Scales are rounded up to FP16
numbers, so that the rest of the graph can become FP16 without touching them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_harmony import contract
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.run.arguments import Parser, add_verbose
from edge_harmony.run.exit_code import exit_code
from export import frame_graph, model_file

INT8_OPSET = 19  # the first whose Q/DQ take FP16 scales; TensorRT 10.3 reads up to 20
_INT8_IR_VERSION = 9
LARGEST_HALF = 65504.0

_FULL_SIZE = tuple(
    f"{section}/" for section in (frame_graph.READ, frame_graph.SPREAD, frame_graph.APPLY)
)  # on code values: cannot overflow
_ALWAYS_HALF = {"Conv", "QuantizeLinear", "DequantizeLinear"}
_FOLLOWING = {
    "Relu", "LeakyRelu", "Concat", "Split", "Resize", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Gather",
}  # fmt: skip


@dataclass(frozen=True)
class ConvolutionSite:
    """A convolution that can be quantized."""

    node: str  # its name: the path of its module
    tensor: str  # the name of the tensor it reads, whose range must be known


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """An FP16 copy of a transform or frame graph; inputs and outputs keep their types. INT8 pairs are kept.

    A graph that is FP16 in part (a frame graph made round an FP16 transform graph) is completed.

    Raises:
        ModelError: no graph of this contract, or a weight that FP16 cannot hold.
    """
    info = model_file.inspect(model)
    half_model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = half_model.graph
    _take_bias_apart(graph)
    kinds = _element_types(half_model)
    half = _half_nodes(graph)
    made_by = {output: node.name for node in graph.node for output in node.output}
    floats = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    outputs = {value.name for value in graph.output}
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in list(graph.node):
        is_half = node.name in half
        wanted = TensorProto.FLOAT16 if is_half else TensorProto.FLOAT
        for i, name in enumerate(node.input):
            if node.op_type == "Resize" and i in (1, 2):  # region and scales are FP32 by definition
                continue
            if name in floats:
                if is_half:
                    node.input[i] = _half_initializer(graph, floats[name])
            elif kinds.get(name) != TensorProto.FLOAT or node.op_type == "Cast":
                continue
            elif (made_by.get(name) in half) != is_half:
                node.input[i] = _cast(nodes, casts, name, wanted)
        for attribute in node.attribute:
            if node.op_type == "Cast" and is_half and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
        nodes.append(node)
        for i, name in enumerate(node.output):
            if is_half and name in outputs and kinds.get(name) == TensorProto.FLOAT:
                node.output[i] = f"{name}/half"
                nodes.append(helper.make_node("Cast", [node.output[i]], [name], f"{name}/cast", to=TensorProto.FLOAT))
    _replace_nodes(graph, nodes)
    _drop_unused(graph)
    del graph.value_info[:]
    model_file.stamp(half_model, replace(info, precision="int8" if info.precision == "int8" else "fp16"))
    return half_model


def half_tensors(model: onnx.ModelProto) -> list[str]:
    """The names of the network's tensors in an FP32 graph that ``to_fp16`` makes FP16, and that must not overflow.

    Those that only a ReLU reads are left out: what comes out of the ReLU counts (minus infinity gives 0).
    """
    half = _half_nodes(model.graph) - {n.name for n in model.graph.node if n.name.startswith(_FULL_SIZE)}
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    made = [name for node in model.graph.node if node.name in half for name in node.output]
    return [name for name in made if readers.get(name) != {"Relu"}]


def convolutions(model: onnx.ModelProto) -> list[ConvolutionSite]:
    """The convolutions of a transform graph that quantization may take, in the graph's order."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    shapes = {v.name: model_file.tensor_shape(v) for v in (*inferred.graph.value_info, *inferred.graph.output)}
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    return [ConvolutionSite(n.name, n.input[0]) for n in convs if shapes[n.output[0]][2:] != (1, 1)]


def to_int8(
    model: onnx.ModelProto,
    ranges: Mapping[str, float],
    skip: Collection[str] = (),
    calibration_sha256: str = "",
) -> onnx.ModelProto:
    """A copy of an FP32 transform graph with Q/DQ pairs round its convolutions; ``to_fp16`` converts the rest.

    Args:
        model: an FP32 transform graph.
        ranges: for each ``ConvolutionSite.tensor``, the largest magnitude to represent.
        skip: names of convolutions to leave as they are.
        calibration_sha256: the digest of the calibration set, kept in the metadata.

    Raises:
        ModelError: no FP32 transform graph of this contract.
        ConfigError: a range is missing or not positive, or ``skip`` names no convolution.
    """
    info = model_file.inspect(model)
    if (info.graph, info.precision) != (model_file.GRAPH_TRANSFORM, "fp32"):
        raise ModelError(f"a {info.precision} {info.graph} graph was given", "give the FP32 transform graph")
    sites = {site.node: site.tensor for site in convolutions(model)}
    unknown = set(skip) - set(sites)
    if unknown:
        raise ConfigError(f"{min(unknown)} is no convolution that can be quantized", f"such as {next(iter(sites))}")
    missing = {t for n, t in sites.items() if n not in skip and not 0 < ranges.get(t, 0) < float("inf")}
    if missing:
        raise ConfigError(
            f"no usable range for {min(missing)} ({len(missing)} missing)", "calibrate with this very model"
        )
    quantized = with_pairs(model, {node: ranges[tensor] for node, tensor in sites.items() if node not in skip})
    more = {model_file.META_CALIBRATION: calibration_sha256} if calibration_sha256 else {}
    model_file.stamp(quantized, replace(info, precision="int8"), more)
    return quantized


def with_pairs(model: onnx.ModelProto, peaks: Mapping[str, float]) -> onnx.ModelProto:
    """A copy with Q/DQ pairs at the inputs and weights of some convolutions, of whatever graph; the rest is FP32.

    Args:
        model: an FP32 graph.
        peaks: by a convolution's name, the largest magnitude of its input to represent.
    """
    quantized = onnx.ModelProto.FromString(model.SerializeToString())
    graph = quantized.graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in list(graph.node):
        if node.name in peaks:
            weight = weights[node.input[1]]
            largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
            node.input[0] = _pair(graph, nodes, node, "input", np.array(peaks[node.name]), None)
            node.input[1] = _pair(graph, nodes, node, "weight", largest, 0)
        nodes.append(node)
    _replace_nodes(graph, nodes)
    del graph.value_info[:]
    quantized.opset_import[0].version = INT8_OPSET
    quantized.ir_version = max(quantized.ir_version, _INT8_IR_VERSION)
    return quantized


def _half_nodes(graph: onnx.GraphProto) -> set[str]:
    """The names of the nodes that compute in FP16."""
    made_by = {output: node for node in graph.node for output in node.output}
    half: set[str] = set()
    for node in graph.node:
        producers = [made_by[name] for name in node.input if name in made_by]
        if node.name.startswith(_FULL_SIZE):
            is_half = True
        elif node.name.startswith(f"{frame_graph.SMOOTH}/"):
            is_half = False
        elif node.op_type in _ALWAYS_HALF:
            is_half = True
        elif node.op_type in _FOLLOWING:
            is_half = any(p.name in half for p in producers)
        else:  # the sum of a residual block; every other sum, product and mean belongs to the statistics
            is_half = node.op_type == "Add" and len(producers) == 2 and any(p.op_type == "Conv" for p in producers)
        if is_half:
            half.add(node.name)
    return half


def _take_bias_apart(graph: onnx.GraphProto) -> None:
    """Add the head's bias in a node of its own, which then stays FP32."""
    results = {contract.TRANSFORM, frame_graph.PREDICTED}
    nodes = []
    for node in list(graph.node):
        nodes.append(node)
        if node.op_type == "Conv" and node.output[0] in results and len(node.input) == 3:
            bias = next(t for t in graph.initializer if t.name == node.input[2])
            shaped = numpy_helper.from_array(numpy_helper.to_array(bias).reshape(1, -1, 1, 1), f"{bias.name}/shaped")
            graph.initializer.append(shaped)
            result, node.output[0] = node.output[0], f"{node.name}/unbiased"
            del node.input[2]
            nodes.append(helper.make_node("Add", [node.output[0], shaped.name], [result], f"{node.name}/bias"))
    _replace_nodes(graph, nodes)
    _drop_unused(graph)


def _pair(
    graph: onnx.GraphProto,
    nodes: list[onnx.NodeProto],
    conv: onnx.NodeProto,
    part: str,
    peak: np.ndarray,
    axis: int | None,
) -> str:
    """Quantize and dequantize one input of a convolution; returns the result's name."""
    exact = np.maximum(np.asarray(peak, np.float32) / np.float32(127), np.float32(2**-20))
    scale = exact.astype(np.float16)
    scale = np.where(scale.astype(np.float32) < exact, np.nextafter(scale, np.float16(np.inf)), scale)
    source = conv.input[0 if part == "input" else 1]
    names = [f"{conv.name}/{part}_{what}" for what in ("scale", "zero", "int8", "rounded")]
    graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), names[0]))
    graph.initializer.append(numpy_helper.from_array(np.zeros(scale.shape, np.int8), names[1]))
    for op, taken, given in (("QuantizeLinear", source, names[2]), ("DequantizeLinear", names[2], names[3])):
        node = helper.make_node(op, [taken, *names[:2]], [given], given)
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        nodes.append(node)
    return names[3]


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _half_initializer(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> str:
    name = f"{tensor.name}/half"
    if not any(t.name == name for t in graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.size and not np.abs(values).max() <= LARGEST_HALF:
            raise ModelError(f"{tensor.name} holds numbers that FP16 cannot", "train with weight decay, or use --int8")
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), name))
    return name


def _cast(nodes: list[onnx.NodeProto], casts: dict[tuple[str, int], str], name: str, to: int) -> str:
    """The name of ``name`` cast to another type; the node is appended when it is new."""
    if (name, to) not in casts:
        result = f"{name}/{'half' if to == TensorProto.FLOAT16 else 'float'}"
        nodes.append(helper.make_node("Cast", [name], [result], f"{result}/cast", to=to))
        casts[name, to] = result
    return casts[name, to]


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    copies = [onnx.TensorProto.FromString(t.SerializeToString()) for t in kept]
    del graph.initializer[:]
    graph.initializer.extend(copies)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m export.precision", description="Make an FP16 or INT8 graph.")
    parser.add_argument("model", type=Path, help="an FP32 graph of ours, such as edge_harmony/models/base.onnx")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--fp16", action="store_true")
    kind.add_argument("--int8", action="store_true", help="INT8 convolutions, FP16 for the rest; needs --ranges")
    parser.add_argument("--ranges", type=Path, metavar="JSON", help="{tensor name: largest magnitude}")
    parser.add_argument("-o", "--output", type=Path, required=True)
    add_verbose(parser)
    args = parser.parse_args(argv)

    def work() -> None:
        model, _ = model_file.load(args.model)
        if args.int8:
            model = to_int8(model, _read_ranges(args.ranges))
        print(model_file.save(to_fp16(model), args.output))

    return exit_code(work)


def _read_ranges(path: Path | None) -> dict[str, float]:
    if path is None:
        raise ConfigError("--int8 needs --ranges", "calibrate first, or use --fp16")
    try:
        ranges = {str(name): float(value) for name, value in json.loads(path.read_text()).items()}
        bad = [name for name, value in ranges.items() if not 0 < value < math.inf]
        if bad:
            raise ValueError(f"that of {bad[0]} is {ranges[bad[0]]}")
        return ranges
    except (OSError, ValueError, AttributeError, TypeError, ArithmeticError, RecursionError) as error:
        raise ConfigError(f"{path} holds no ranges: {error}", "calibrate again") from None


if __name__ == "__main__":
    sys.exit(main())
