"""FP32 matrix products for Turing in TensorRT-RTX, which has none there: rewritten as products and sums.

TensorRT-RTX 1.7 refuses an FP32 MatMul for SM75 ("FP32 GEMM is not supported"); FP16 graphs need nothing of this.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def without_matmul(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every FP32 ``MatMul`` of (N, A, B) and (N, B, C) is a broadcast product, summed over B.

    The intermediate has N A B C elements (0.6 million in our statistics); the result is FP32 throughout.
    """
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*inferred.graph.value_info, *inferred.graph.input)}
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    nodes = []
    for node in graph.node:
        if node.op_type != "MatMul" or kinds.get(node.input[0]) != TensorProto.FLOAT:
            nodes.append(node)
            continue
        left, right, product = (f"{node.name}/{part}" for part in ("left", "right", "product"))
        nodes += [
            helper.make_node("Unsqueeze", [node.input[0], "turing/left"], [left], left),  # (N, A, B, 1)
            helper.make_node("Unsqueeze", [node.input[1], "turing/right"], [right], right),  # (N, 1, B, C)
            helper.make_node("Mul", [left, right], [product], product),  # (N, A, B, C)
            helper.make_node("ReduceSum", [product, "turing/sum"], [node.output[0]], node.name, keepdims=0),
        ]
    if len(nodes) != len(graph.node):
        for name, axis in (("left", 3), ("right", 1), ("sum", 2)):
            graph.initializer.append(numpy_helper.from_array(np.array([axis]), f"turing/{name}"))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return rewritten
