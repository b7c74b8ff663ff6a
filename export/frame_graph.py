"""The frame graph: everything an application needs in one ONNX file, made from a transform graph.

uint8 frames of any size in and out, so that an application in any language embeds it with any ONNX runtime and
nothing of ours. The nodes around the network are written below in ONNX's own text form; ``onnx`` is all it takes::

    python -m export.frame_graph MODEL.onnx -o MODEL_frame.onnx
    python -m export.frame_graph MODEL.onnx -o MODEL_frame.onnx --for-gpu

Choices that are not evident:

* TensorRT takes uint8 only where a ``Cast`` is the very first operation after the input and the very last before
  the output.
* Float to uint8 truncates and is undefined outside 0..255. The harmonized colour is clamped, so the composite of
  it and the background is in range, and 0.5 more rounds half up.
* The grid is interpolated as the *difference* from the identity, in code values: at strength 0 the foreground
  comes through to the bit, and in FP16 the small numbers keep their digits.
* ``alpha * foreground + (1 - alpha) * background`` is exact at both ends: 255 times the float nearest to 1 / 255
  is 1, in FP32 and in FP16.
* The grid is spread over the frame by two matrix products, with weights that ``Resize`` makes of the unit matrix, so
  they are its own to the bit: on a CPU that takes a quarter of the time of resizing the grid. A GPU's compiler joins
  ``Resize`` with what follows and needs half the memory for it, so ``for_gpu`` puts it back.
* Maps are spread a plane at a time (a row of them on GPUs), and used at once, so that few are in memory.
* ``new + smoothing * (previous - new)`` is the contract's smoothing, and at 0 exact for any finite previous. What is
  kept of the previous is multiplied by the sign of its largest magnitude: nothing, where it is ``NO_TRANSFORM``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_harmony import contract
from edge_harmony.errors import ModelError
from edge_harmony.run.arguments import Parser, add_verbose
from edge_harmony.run.exit_code import exit_code
from export import model_file
from export.model_file import GRAPH_FRAME, GRAPH_TRANSFORM

NETWORK = "network"  # prefix of the embedded transform graph's nodes
READ = "read"  # prefixes of the nodes around it
SMOOTH = "smooth"
SPREAD = "spread"
APPLY = "apply"
PREDICTED = "predicted"  # the embedded network's output

_IR_VERSION = 8  # the oldest that opset 18 allows: every runtime that knows the opset reads it

_GRID = ",".join(map(str, contract.TRANSFORM_SHAPE))
_INTERFACE = f"""frame (
    uint8[H,W,3] foreground, uint8[H,W] alpha, uint8[H,W,3] background,
    float[{_GRID}] previous_transform, float[1] strength, float[1] smoothing
) => (uint8[H,W,3] harmonized, float[{_GRID}] transform)"""

_READ = """
foreground_hwc = Cast<to=1>(foreground)
background_hwc = Cast<to=1>(background)
alpha_hw = Cast<to=1>(alpha)
foreground_chw = Transpose<perm=[2,0,1]>(foreground_hwc)
background_chw = Transpose<perm=[2,0,1]>(background_hwc)
f = Unsqueeze(foreground_chw, axis_n)
b = Unsqueeze(background_chw, axis_n)
a = Unsqueeze(alpha_hw, axes_nc)
f_read = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(f, , , read_size_colour)
b_read = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(b, , , read_size_colour)
a_read = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(a, , , read_size_alpha)
a_read_unit = Mul(a_read, unit)
f_over_b = Sub(f_read, b_read)
f_part = Mul(a_read_unit, f_over_b)
composite_read = Add(b_read, f_part)
composite_bgr = AveragePool<kernel_shape=[2,2], strides=[2,2]>(composite_read)
composite_rgb = Gather<axis=1>(composite_bgr, reversed)
composite = Mul(composite_rgb, unit)
mask = AveragePool<kernel_shape=[2,2], strides=[2,2]>(a_read_unit)
"""

_SMOOTH = """
magnitudes = Abs(previous_transform)
largest = ReduceMax(magnitudes)
has_previous = Sign(largest)
share = Mul(smoothing, has_previous)
back = Sub(previous_transform, predicted)
kept = Mul(share, back)
transform = Add(predicted, kept)
difference = Sub(transform, identity)
blended = Mul(difference, strength)
ordered = Gather<axis=1>(blended, bgr_order)
grid = Mul(ordered, code_values)
"""

_PLANES = ", ".join(f"tall_{row}_{column}" for row in "bgr" for column in "bgr1")
_SPREAD = f"""
height = Shape<start=0, end=1>(alpha)
width = Shape<start=1, end=2>(alpha)
rows_size = Concat<axis=0>(ones, height, grid_size)
columns_size = Concat<axis=0>(ones, grid_size, width)
rows = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(unit_matrix, , , rows_size)
columns = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(unit_matrix, , , columns_size)
tall = MatMul(rows, grid)
{_PLANES} = Split<axis=1, num_outputs=12>(tall)
"""
_SPREAD_ROW = "".join(f"map_{{c}}_{column} = MatMul(tall_{{c}}_{column}, columns)\n" for column in "bgr1")

_SPREAD_ON_GPU = """
height = Shape<start=0, end=1>(alpha)
width = Shape<start=1, end=2>(alpha)
map_size = Concat<axis=0>(one_map, height, width)
grid_b, grid_g, grid_r = Split<axis=1>(grid, three_fours)
"""
_SPREAD_ROW_ON_GPU = """
map_{c} = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(grid_{c}, , , map_size)
map_{c}_b, map_{c}_g, map_{c}_r, map_{c}_1 = Split<axis=1>(map_{c}, four_ones)
"""

_APPLY_ROW = """
from_{c}_b = Mul(map_{c}_b, f_b)
from_{c}_g = Mul(map_{c}_g, f_g)
from_{c}_r = Mul(map_{c}_r, f_r)
sum_{c}_b = Add(f_{c}, from_{c}_b)
sum_{c}_g = Add(sum_{c}_b, from_{c}_g)
sum_{c}_r = Add(sum_{c}_g, from_{c}_r)
new_{c} = Add(sum_{c}_r, map_{c}_1)
"""

_APPLY = """
new = Concat<axis=1>(new_b, new_g, new_r)
clamped = Clip(new, darkest, brightest)
a_unit = Mul(a, unit)
b_unit = Sub(one, a_unit)
new_part = Mul(a_unit, clamped)
b_part = Mul(b_unit, b)
result = Add(new_part, b_part)
rounded = Add(result, half)
result_chw = Squeeze(rounded, axis_n)
result_hwc = Transpose<perm=[1,2,0]>(result_chw)
harmonized = Cast<to=2>(result_hwc)
"""

_SECTIONS = [
    (READ, _READ),
    (SMOOTH, _SMOOTH),
    (SPREAD, _SPREAD),
    (APPLY, "f_b, f_g, f_r = Split<axis=1>(f, three_ones)"),
    *((section, text.format(c=c)) for c in "bgr" for section, text in ((SPREAD, _SPREAD_ROW), (APPLY, _APPLY_ROW))),
    (APPLY, _APPLY),
]


def _constants() -> dict[str, np.ndarray]:
    channels = contract.TRANSFORM_CHANNELS
    maps_bgr = np.arange(channels).reshape(3, 4)[::-1, [2, 1, 0, 3]]  # rows and columns from RGB to BGR
    code_values = np.where(np.arange(channels) % 4 == 3, 255.0, 1.0)  # offsets from 0..1 to code values
    read, grid = contract.READ_SIZE, contract.GRID_SIZE
    return {
        "axis_n": np.array([0]),
        "axes_nc": np.array([0, 1]),
        "read_size_colour": np.array([1, 3, read, read]),
        "read_size_alpha": np.array([1, 1, read, read]),
        "unit": np.array(1.0 / 255.0, np.float32),
        "reversed": np.array([2, 1, 0]),
        "identity": contract.IDENTITY[:, :, :1, :1].copy(),
        "bgr_order": maps_bgr.ravel().copy(),
        "code_values": code_values.astype(np.float32).reshape(1, channels, 1, 1),
        "ones": np.array([1, 1]),
        "grid_size": np.array([grid]),
        "unit_matrix": np.eye(grid, dtype=np.float32).reshape(1, 1, grid, grid),
        "three_ones": np.array([1, 1, 1]),
        "darkest": np.array(0.0, np.float32),
        "brightest": np.array(255.0, np.float32),
        "one": np.array(1.0, np.float32),
        "half": np.array(0.5, np.float32),
    }


def compose(transform_model: onnx.ModelProto) -> onnx.ModelProto:
    """Build the frame graph round a transform graph, of whatever precision.

    Args:
        transform_model: a transform graph as ``export.to_onnx`` writes it; left as it is.

    Returns:
        The frame graph, with the same identity in its metadata.

    Raises:
        ModelError: the model is no transform graph of this contract.
    """
    info = model_file.inspect(transform_model)
    if info.graph != GRAPH_TRANSFORM:
        raise ModelError(f"a {info.graph} graph was given, a transform graph is needed", "give MODEL.onnx itself")
    around = _parse(_SECTIONS, _INTERFACE)
    graph = onnx.GraphProto()
    graph.CopyFrom(around)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in _constants().items())
    network = _embedded(transform_model.graph)
    reading = sum(node.name.startswith(f"{READ}/") for node in around.node)
    del graph.node[:]
    graph.node.extend([*around.node[:reading], *network.node, *around.node[reading:]])
    graph.initializer.extend(network.initializer)
    opset = next(entry.version for entry in transform_model.opset_import if entry.domain == "")
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=max(_IR_VERSION, transform_model.ir_version)
    )
    model.producer_name = transform_model.producer_name
    model.metadata_props.extend(transform_model.metadata_props)
    model_file.stamp(model, replace(info, graph=GRAPH_FRAME))
    return model


def for_gpu(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a frame graph, of whatever precision, as GPUs do it best; any other graph as it is.

    It computes the same. TensorRT-RTX needs 88 MiB for the activations of FP32 at 1080p, for ``compose``'s 215.
    """
    spread = {node.name: node for node in model.graph.node if node.name.startswith(f"{SPREAD}/")}
    product = spread.get(f"{SPREAD}/tall")
    if product is None:
        return model
    rows = {f"{SPREAD}/map_{c}_b": _parse([(SPREAD, _SPREAD_ROW_ON_GPU.format(c=c))]).node for c in "bgr"}
    start = _parse([(SPREAD, _SPREAD_ON_GPU)]).node
    start[-1].input[0] = product.input[1]  # the grid, or what it was cast to
    instead = {product.name: start, **rows}
    graph = onnx.GraphProto()
    for node in model.graph.node:
        graph.node.extend(instead.get(node.name, [] if node.name in spread else [node]))
    used = {name for node in graph.node for name in node.input}
    sizes = {"one_map": [1, 4], "three_fours": [4, 4, 4], "four_ones": [1, 1, 1, 1]}
    graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in used)
    graph.initializer.extend(numpy_helper.from_array(np.array(size), name) for name, size in sizes.items())
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for field in ("node", "initializer", "value_info"):
        copy.graph.ClearField(field)
    copy.graph.node.extend(graph.node)
    copy.graph.initializer.extend(graph.initializer)
    return copy


def _parse(sections: list[tuple[str, str]], interface: str = "nodes () => ()") -> onnx.GraphProto:
    """Nodes from their text, each named by its section and its first result."""
    lines, names = [], []
    for section, text in sections:
        for line in filter(None, map(str.strip, text.splitlines())):
            lines.append(line)
            names.append(f"{section}/{line.split(' = ')[0].split(',')[0].strip()}")
    graph = onnx.parser.parse_graph(interface + "{" + "\n".join(lines) + "}")
    for node, name in zip(graph.node, names, strict=True):
        node.name = name
    return graph


def _embedded(graph: onnx.GraphProto) -> onnx.GraphProto:
    """A copy of the transform graph whose inner names carry the prefix and whose output is ``predicted``."""
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    produced = {name for node in copy.node for name in node.output} | {i.name for i in copy.initializer}
    renamed = {name: f"{NETWORK}/{name}" for name in produced if name}
    renamed[contract.TRANSFORM] = PREDICTED
    for node in copy.node:
        node.name = f"{NETWORK}/{node.name}"
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for initializer in copy.initializer:
        initializer.name = renamed[initializer.name]
    return copy


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m export.frame_graph", description="Make the frame graph from a transform graph.")
    parser.add_argument("model", type=Path, help="the transform graph, such as edge_harmony/models/base.onnx")
    parser.add_argument("-o", "--output", type=Path, help="default: MODEL_frame.onnx beside it")
    parser.add_argument(
        "--for-gpu", action="store_true", help="for TensorRT's own tools: less memory there, slower on a CPU"
    )
    add_verbose(parser)
    args = parser.parse_args(argv)
    output = args.output or args.model.with_name(f"{args.model.stem}_frame.onnx")

    def work() -> None:
        model, _ = model_file.load(args.model)
        frame = compose(model)
        print(model_file.save(for_gpu(frame) if args.for_gpu else frame, output))

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
