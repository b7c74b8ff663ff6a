"""Weights stored in half precision: files of half the size, computed with in single precision as before.

A packed graph holds each large weight as float16 with a ``Cast`` to float32 behind it, which every runtime folds away
when it loads the graph. Packing is lossless for weights that were rounded to float16 before, so that a packed file
and its rounded checkpoint agree to the bit. Our tools read packed files unpacked (``model_file.load``).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.errors import ModelError

SUFFIX = ".half"
LEAST = 256  # values; smaller tensors are left as they are


def pack(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with its large float32 initializers stored as float16.

    Raises:
        ModelError: a weight does not fit float16 exactly.
    """
    packed = onnx.ModelProto()
    packed.CopyFrom(model)
    casts = []
    for tensor in packed.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims, dtype=np.int64) < LEAST:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            raise ModelError(f"the weight {tensor.name} does not fit half precision", "round the weights first")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + SUFFIX))
        casts.append(helper.make_node("Cast", [name + SUFFIX], [name], f"unpack {name}", to=TensorProto.FLOAT))
    nodes = list(packed.graph.node)
    del packed.graph.node[:]
    packed.graph.node.extend([*casts, *nodes])
    return packed


def unpack(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with packed weights as float32 initializers, in place; unchanged if nothing is packed."""
    halves = {t.name: t for t in model.graph.initializer if t.name.endswith(SUFFIX)}
    kept = []
    for node in model.graph.node:
        half = halves.get(node.input[0]) if node.op_type == "Cast" and node.input else None
        if half is None or half.name != node.output[0] + SUFFIX:
            kept.append(node)
        else:
            half.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), node.output[0]))
    if len(kept) < len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return model
