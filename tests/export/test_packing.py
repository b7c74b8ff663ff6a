"""Weights in half precision: lossless, smaller, the same results, and plain again when read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from edge_harmony import contract
from edge_harmony.errors import ModelError
from export import model_file
from export.packing import pack, unpack
from export.to_onnx import export, transform_graph
from training.generator import FusionGenerator, GeneratorConfig

CONFIG = GeneratorConfig(stem=8, widths=(16, 16, 16, 16), depths=(1, 1, 1, 1), decoder_depths=(1, 1), code_size=16)


@pytest.fixture(scope="module")
def generator() -> FusionGenerator:
    torch.manual_seed(0)
    made = FusionGenerator(CONFIG)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return made.half().float().eval()


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def run(model: onnx.ModelProto | str) -> np.ndarray:
    rng = np.random.default_rng(0)
    size = contract.WORKING_SIZE
    feed = {
        contract.COMPOSITE: rng.random((1, 3, size, size), dtype=np.float32),
        contract.MASK: (rng.random((1, 1, size, size)) > 0.5).astype(np.float32),
    }
    data = model if isinstance(model, str) else model.SerializeToString()
    return np.asarray(ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feed)[0])


def test_packed_and_unpacked_again(generator: FusionGenerator) -> None:
    plain = transform_graph(generator, "small")
    packed = pack(plain)
    onnx.checker.check_model(packed, full_check=True)
    assert packed.ByteSize() < 0.7 * plain.ByteSize()
    np.testing.assert_array_equal(run(packed), run(plain))
    again = unpack(packed)
    assert [n.op_type for n in again.graph.node] == [n.op_type for n in plain.graph.node]
    before, after = weights(plain), weights(again)
    assert set(before) == set(after)
    for name, values in before.items():
        assert after[name].dtype == values.dtype
        np.testing.assert_array_equal(after[name], values)


def test_weights_that_do_not_fit_are_refused(generator: FusionGenerator) -> None:
    plain = transform_graph(generator, "small")
    large = max(plain.graph.initializer, key=lambda t: np.prod(t.dims))
    large.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(large) + np.float32(1e-6), large.name))
    with pytest.raises(ModelError, match="does not fit"):
        pack(plain)


def test_a_compact_export_is_read_as_any_other(generator: FusionGenerator, tmp_path: Path) -> None:
    path, frame = export(generator, tmp_path, "small", compact=True)
    model, info = model_file.load(path)
    assert info.name == "small"
    assert not [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    np.testing.assert_array_equal(run(str(path)), run(model))
    assert model_file.load(frame)[1].graph == "frame"
