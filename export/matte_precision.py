"""FP16 and INT8 graphs of a matte's network; the precision lies in the graph, as it does in the harmonizer's.

All of the network may be FP16: nothing in it grows (its largest activations are below 100, and the mean over the
deepest features is of some dozens of them), so there is no island in FP32 as the harmonizer needs one. INT8 goes to
the convolutions' inputs and weights. Inputs and outputs stay float32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_harmony import contract
from edge_harmony.errors import ConfigError, ModelError
from export import model_file, precision
from export.packing import unpack
from export.runtime import session

GRAPH = "matte"
INPUT, OUTPUT = "picture", "alpha"
STRIDE = 32  # of the sides of what the network sees


def load(path: Path) -> onnx.ModelProto:
    """A matte's graph as ``export.matte`` writes it, its weights unpacked to float32.

    Raises:
        ModelError: missing, damaged, or another kind of graph.
    """
    model = model_file.read(path, "export one with python -m export.matte, or name person")
    if model_file.properties(model).get(contract.META_GRAPH) != GRAPH:
        raise ModelError(f"{path} is no matte of ours", "export one with python -m export.matte")
    return unpack(model)


def of_size(model: onnx.ModelProto, size_hw: tuple[int, int]) -> onnx.ModelProto:
    """A copy for one size of picture.

    Raises:
        ConfigError: sides that are no multiples of 32.
    """
    if any(side < STRIDE or side % STRIDE for side in size_hw):
        raise ConfigError(
            f"the network cannot see {size_hw[1]}x{size_hw[0]}", "use multiples of 32, such as 288x160 or 512x288"
        )
    fixed = onnx.ModelProto.FromString(model.SerializeToString())
    for value in (*fixed.graph.input, *fixed.graph.output):
        for dim, side in zip(value.type.tensor_type.shape.dim[2:], size_hw, strict=True):
            dim.dim_value = side
    del fixed.graph.value_info[:]
    return fixed


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes in FP16, Q/DQ pairs where there are some; float32 at both ends.

    Raises:
        ModelError: a weight that FP16 cannot hold.
    """
    half = onnx.ModelProto.FromString(model.SerializeToString())
    graph = half.graph
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or _scales_of_resize(graph, tensor.name):
            continue
        values = numpy_helper.to_array(tensor)
        if values.size and not np.abs(values).max() <= precision.LARGEST_HALF:
            raise ModelError(f"{tensor.name} holds numbers that FP16 cannot", "train with weight decay")
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
    first = helper.make_node("Cast", [INPUT], [f"{INPUT}/half"], f"{INPUT}/cast", to=TensorProto.FLOAT16)
    last = helper.make_node("Cast", [f"{OUTPUT}/half"], [OUTPUT], f"{OUTPUT}/cast", to=TensorProto.FLOAT)
    nodes = list(graph.node)
    for node in nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name in (INPUT, OUTPUT):
                    names[i] = f"{name}/half"
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in (first, *nodes, last)]
    del graph.node[:]
    graph.node.extend(copies)
    del graph.value_info[:]
    if model_file.properties(model).get(model_file.META_PRECISION) != "int8":
        _stamp(half, {model_file.META_PRECISION: "fp16"})
    return half


def convolutions(model: onnx.ModelProto) -> dict[str, str]:
    """By the name of each convolution that may be quantized, the tensor it reads.

    Those on the one mean of the whole picture are left out: they save nothing.
    """
    of_means = {output for node in model.graph.node if node.op_type == "ReduceMean" for output in node.output}
    for node in model.graph.node:
        if of_means & set(node.input) and node.op_type in ("Conv", "Relu"):
            of_means.update(node.output)
    return {n.name: n.input[0] for n in model.graph.node if n.op_type == "Conv" and n.input[0] not in of_means}


def to_int8(
    model: onnx.ModelProto, ranges: Mapping[str, float], skip: Collection[str] = (), more: Mapping[str, str] = {}
) -> onnx.ModelProto:
    """A copy with Q/DQ pairs round its convolutions; the rest is FP32 until ``to_fp16``.

    Args:
        model: an FP32 graph of ``load``.
        ranges: by the name of a tensor that convolutions read, the largest magnitude to represent.
        skip: convolutions to leave as they are.
        more: metadata to add.

    Raises:
        ConfigError: a range is missing or not above 0.
    """
    sites = {node: tensor for node, tensor in convolutions(model).items() if node not in skip}
    missing = [tensor for tensor in sites.values() if not 0 < ranges.get(tensor, 0) < float("inf")]
    if missing:
        raise ConfigError(
            f"no usable range for {missing[0]} ({len(missing)} missing)", "calibrate with this very model"
        )
    quantized = precision.with_pairs(model, {node: ranges[tensor] for node, tensor in sites.items()})
    _stamp(quantized, {model_file.META_PRECISION: "int8", **more})
    return quantized


def alphas(model: onnx.ModelProto, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The network's alphas; Q/DQ pairs are computed literally, which is closest to TensorRT."""
    run = session(model, fake_quantized=True)
    return [np.asarray(run.run(None, {INPUT: picture})[0]) for picture in pictures]


def difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Mean absolute difference of alpha; infinite where one is not finite."""
    off = float(np.mean([np.abs(a - b).mean() for a, b in zip(found, expected, strict=True)]))
    return off if np.isfinite(off) else float("inf")


def _stamp(model: onnx.ModelProto, more: Mapping[str, str]) -> None:
    helper.set_model_props(model, dict(sorted({**model_file.properties(model), **more}.items())))


def _scales_of_resize(graph: onnx.GraphProto, name: str) -> bool:
    """Whether a tensor holds factors of a Resize, which are float32 by definition."""
    return any(node.op_type == "Resize" and name in node.input[1:] for node in graph.node)
