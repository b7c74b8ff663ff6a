"""The frame graph: everything an application needs in one ONNX file, made from a transform graph.

uint8 frames of any size in and out, so that an application in any language embeds it with any ONNX runtime and
nothing of ours. The nodes around the network are written below in ONNX's own text form; ``onnx`` is all it takes::

    python -m export.frame_graph MODEL.onnx -o MODEL_frame.onnx

Choices that are not evident:

* TensorRT takes uint8 only where a ``Cast`` is the very first operation after the input and the very last before
  the output.
* Float to uint8 truncates and is undefined outside 0..255. The harmonized colour is clamped, so the composite of
  it and the background is in range, and 0.5 more rounds half up.
* The grid is interpolated as the *difference* from the identity, in code values: at strength 0 the foreground
  comes through to the bit, and in FP16 the small numbers keep their digits.
* ``alpha * foreground + (1 - alpha) * background`` is exact at both ends: 255 times the float nearest to 1 / 255
  is 1, in FP32 and in FP16.
* One row of the affine maps is interpolated at a time (four channels, not twelve): in TensorRT-RTX 93 MB of
  activations at 1080p against 117 MB, and half the memory in ONNX Runtime; at 2160p both need 367 MB.
* ``new + smoothing * (previous - new)`` is the contract's smoothing, and at 0 exact for any finite previous.
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
back = Sub(previous_transform, predicted)
kept = Mul(smoothing, back)
transform = Add(predicted, kept)
difference = Sub(transform, identity)
blended = Mul(difference, strength)
ordered = Gather<axis=1>(blended, bgr_order)
grid = Mul(ordered, code_values)
"""

_ROW = """
map_{c} = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(grid_{c}, , , map_size)
map_{c}_b, map_{c}_g, map_{c}_r, map_{c}_1 = Split<axis=1>(map_{c}, four_ones)
from_{c}_b = Mul(map_{c}_b, f_b)
from_{c}_g = Mul(map_{c}_g, f_g)
from_{c}_r = Mul(map_{c}_r, f_r)
sum_{c}_b = Add(f_{c}, from_{c}_b)
sum_{c}_g = Add(sum_{c}_b, from_{c}_g)
sum_{c}_r = Add(sum_{c}_g, from_{c}_r)
new_{c} = Add(sum_{c}_r, map_{c}_1)
"""

_APPLY = f"""
size_hw = Shape(alpha)
map_size = Concat<axis=0>(one_map, size_hw)
grid_b, grid_g, grid_r = Split<axis=1>(grid, three_fours)
f_b, f_g, f_r = Split<axis=1>(f, three_ones)
{"".join(_ROW.format(c=c) for c in "bgr")}
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


def _constants() -> dict[str, np.ndarray]:
    channels = contract.TRANSFORM_CHANNELS
    maps_bgr = np.arange(channels).reshape(3, 4)[::-1, [2, 1, 0, 3]]  # rows and columns from RGB to BGR
    code_values = np.where(np.arange(channels) % 4 == 3, 255.0, 1.0)  # offsets from 0..1 to code values
    read = contract.READ_SIZE
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
        "one_map": np.array([1, 4]),
        "three_fours": np.array([4, 4, 4]),
        "three_ones": np.array([1, 1, 1]),
        "four_ones": np.array([1, 1, 1, 1]),
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
    sections = {READ: _READ, SMOOTH: _SMOOTH, APPLY: _APPLY}
    names, lines = [], []
    for section, text in sections.items():
        for line in filter(None, map(str.strip, text.splitlines())):
            lines.append(line)
            names.append(f"{section}/{line.split(' = ')[0].split(',')[0].strip()}")
    graph = onnx.parser.parse_graph(_INTERFACE + "{" + "\n".join(lines) + "}")
    for node, name in zip(graph.node, names, strict=True):
        node.name = name
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in _constants().items())

    network = _embedded(transform_model.graph)
    reading = sum(name.startswith(f"{READ}/") for name in names)
    around = list(graph.node)
    del graph.node[:]
    graph.node.extend([*around[:reading], *network.node, *around[reading:]])
    graph.initializer.extend(network.initializer)
    opset = next(entry.version for entry in transform_model.opset_import if entry.domain == "")
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=max(_IR_VERSION, transform_model.ir_version)
    )
    model.producer_name = transform_model.producer_name
    model.metadata_props.extend(transform_model.metadata_props)
    model_file.stamp(model, replace(info, graph=GRAPH_FRAME))
    return model


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
    add_verbose(parser)
    args = parser.parse_args(argv)
    output = args.output or args.model.with_name(f"{args.model.stem}_frame.onnx")

    def work() -> None:
        model, _ = model_file.load(args.model)
        print(model_file.save(compose(model), output))

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
