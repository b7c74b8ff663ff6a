"""Small ONNX models for tests: a transform graph that needs no training, and broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_harmony import contract


def write_transform_model(
    path: Path,
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    follow: float = 0.0,
    version: int = contract.CONTRACT_VERSION,
    names: tuple[str, str, str] = (contract.COMPOSITE, contract.MASK, contract.TRANSFORM),
) -> Path:
    """Write a transform graph that multiplies red, green and blue by ``gains``.

    Args:
        path: where to.
        gains: of red, green, blue, the same in every cell.
        follow: added to the red gain, times the mean of the whole view: makes the transform follow the frame.
        version: contract version in the metadata.
        names: of the tensors: composite, mask, transform.
    """
    size = contract.WORKING_SIZE
    transform = contract.IDENTITY.copy()
    for channel, gain in enumerate(gains):
        transform[0, 4 * channel + channel] = gain
    red = np.zeros(contract.TRANSFORM_SHAPE, np.float32)
    red[0, 0] = follow
    composite, mask, output = names
    nodes = [
        helper.make_node("ReduceMean", [composite], ["mean"], keepdims=0),
        helper.make_node("ReduceMean", [mask], ["cover"], keepdims=0),
        helper.make_node("Mul", ["cover", "zero"], ["nothing"]),  # the mask is used, so that it stays an input
        helper.make_node("Mul", ["mean", "red"], ["followed"]),
        helper.make_node("Add", ["followed", "base"], ["based"]),
        helper.make_node("Add", ["based", "nothing"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "transform",
        [
            helper.make_tensor_value_info(composite, TensorProto.FLOAT, (1, 3, size, size)),
            helper.make_tensor_value_info(mask, TensorProto.FLOAT, (1, 1, size, size)),
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, contract.TRANSFORM_SHAPE)],
        [
            numpy_helper.from_array(transform, "base"),
            numpy_helper.from_array(red, "red"),
            numpy_helper.from_array(np.float32(0.0), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", contract.OPSET)], ir_version=9)
    notes = {
        contract.META_CONTRACT: str(version),
        contract.META_GRAPH: "transform",
        contract.META_MODEL: "test",
        contract.META_WEIGHTS: "0" * 64,
    }
    helper.set_model_props(model, notes)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
