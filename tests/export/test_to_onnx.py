"""What the export writes, and that it refuses to write what does not compute the same as PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_harmony import contract
from edge_harmony.errors import ModelError
from export import frame_graph, model_file, parity, to_onnx
from export.scenes import VARIED_SIZES, synthetic_scene, synthetic_scenes
from training import checkpoint


def _meta(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _with_weights_changed(model: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """A copy with the head's weights (the last convolution's) multiplied."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    head = [node for node in changed.graph.node if node.op_type == "Conv"][-1]
    for tensor in changed.graph.initializer:
        if tensor.name == head.input[1]:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), tensor.name))
    return changed


def test_metadata_of_both_graphs(generator, transform_model, frame_model):
    for model, kind in ((transform_model, "transform"), (frame_model, "frame")):
        meta = _meta(model)
        assert meta[contract.META_CONTRACT] == str(contract.CONTRACT_VERSION)
        assert meta[contract.META_GRAPH] == kind
        assert meta[contract.META_MODEL] == "base"
        assert meta[contract.META_WEIGHTS] == checkpoint.weights_digest(generator)
        tensors = {value.name for value in (*model.graph.input, *model.graph.output)}
        described = {key.removeprefix(contract.META_TENSOR_PREFIX) for key in meta if "tensor." in key}
        assert described == tensors


def test_interface_is_the_contracts(transform_model, frame_model):
    shapes = {
        value.name: (value.type.tensor_type.elem_type, model_file.tensor_shape(value))
        for model in (transform_model, frame_model)
        for value in (*model.graph.input, *model.graph.output)
    }
    size, uint8, real = contract.WORKING_SIZE, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    assert shapes == {
        "composite": (real, (1, 3, size, size)),
        "mask": (real, (1, 1, size, size)),
        "transform": (real, contract.TRANSFORM_SHAPE),
        "foreground": (uint8, ("H", "W", 3)),
        "alpha": (uint8, ("H", "W")),
        "background": (uint8, ("H", "W", 3)),
        "previous_transform": (real, contract.TRANSFORM_SHAPE),
        "strength": (real, (1,)),
        "smoothing": (real, (1,)),
        "harmonized": (uint8, ("H", "W", 3)),
    }


def test_graphs_are_clean(exported, transform_model, frame_model):
    for model in (transform_model, frame_model):
        onnx.checker.check_model(model, full_check=True)
        kinds = {node.op_type for node in model.graph.node}
        assert not kinds & {"If", "Loop", "Scan", "BatchNormalization", "Identity", "Dropout", "Constant", "Einsum"}
        assert [(o.domain, o.version) for o in model.opset_import] == [("", contract.OPSET)]
        assert len({node.name for node in model.graph.node}) == len(model.graph.node)
    assert "Shape" not in {node.op_type for node in transform_model.graph.node}
    for path in exported.iterdir():
        assert path.stat().st_size < 6.5e6  # 1.5 million parameters in single precision
        data = path.read_bytes()
        assert os.fsencode(str(Path(to_onnx.__file__).parent.parent)) not in data, "a path of this machine"
        assert b"stack_trace" not in data


def test_uint8_meets_casts_alone(frame_model):
    """TensorRT takes a uint8 tensor only as a first Cast's input or a last Cast's output (or for its shape)."""
    graph = frame_model.graph
    uint8 = {v.name for v in (*graph.input, *graph.output) if v.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    for node in graph.node:
        if uint8 & {*node.input, *node.output}:
            assert node.op_type in ("Cast", "Shape")


def test_parity_fails_on_tampered_weights(generator, transform_model):
    tampered = _with_weights_changed(transform_model, 1.02)
    with pytest.raises(ModelError, match="off PyTorch's") as caught:
        parity.check_transform(tampered, generator)
    assert caught.value.hint
    with pytest.raises(ModelError):
        parity.check_frame(frame_graph.compose(tampered), generator)


def test_parity_fails_on_nan(generator, transform_model):
    with pytest.raises(ModelError):
        parity.check_transform(_with_weights_changed(transform_model, float("nan")), generator)


def test_parity_fails_on_a_wrong_frame_step(generator, frame_model):
    """Truncating instead of rounding is one code value at most, so it passes; a wrong channel order does not."""
    wrong = onnx.ModelProto.FromString(frame_model.SerializeToString())
    for tensor in wrong.graph.initializer:
        if tensor.name == "bgr_order":
            tensor.CopyFrom(numpy_helper.from_array(np.arange(12), tensor.name))
    scene = synthetic_scene((120, 160), 5)
    with pytest.raises(ModelError, match="within 1 code value"):
        parity.check_frame(wrong, generator, [scene])


def test_a_failing_export_writes_nothing(generator, transform_model, tmp_path, monkeypatch):
    """The exporter is made to give wrong weights."""
    monkeypatch.setattr(to_onnx, "transform_graph", lambda *_: _with_weights_changed(transform_model, 1.02))
    before = tmp_path / "base.onnx"
    before.write_bytes(b"an earlier export")
    with pytest.raises(ModelError):
        to_onnx.export(generator, tmp_path, "base")
    assert before.read_bytes() == b"an earlier export"
    assert [p.name for p in tmp_path.iterdir()] == ["base.onnx"]


def test_command_line_from_a_checkpoint(generator, transform_model, tmp_path, capsys):
    state = {"config": {"generator": generator.config.to_dict()}, "step": 7}
    checkpoint.save(tmp_path / "c.safetensors", {f"ema.{k}": v for k, v in generator.state_dict().items()}, state)
    arguments = ["--checkpoint", str(tmp_path / "c.safetensors"), "-o", str(tmp_path / "out"), "--name", "mine"]
    assert to_onnx.main([*arguments, "--graph", "transform"]) == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.onnx"]
    model, info = model_file.load(tmp_path / "out" / "mine.onnx")
    assert (info.graph, info.name, info.precision) == ("transform", "mine", "fp32")
    assert model.graph == transform_model.graph, "the export is not deterministic"
    assert "mine.onnx" in capsys.readouterr().out


def test_command_line_without_a_checkpoint(tmp_path, capsys):
    assert to_onnx.main(["--checkpoint", str(tmp_path / "none"), "-o", str(tmp_path)]) == 1
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["error", "hint"]


def test_unwritable_folder(transform_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        model_file.save(transform_model, tmp_path / "file" / "base.onnx")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda m: m.metadata_props.pop(0), "no contract"),
        (lambda m: setattr(m.metadata_props[0], "value", "99"), "contract 99"),
        (lambda m: setattr(m.metadata_props[1], "value", "cube"), "unknown kind"),
        (lambda m: setattr(m.metadata_props[1], "value", "frame"), "has the tensors"),
    ],
)
def test_files_of_another_contract_are_refused(transform_model, tmp_path, tamper, words):
    model = onnx.ModelProto.FromString(transform_model.SerializeToString())
    assert [e.key for e in model.metadata_props[:2]] == [contract.META_CONTRACT, contract.META_GRAPH]
    tamper(model)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match=words) as caught:
        model_file.load(tmp_path / "other.onnx")
    assert "export" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"no onnx at all", None], ids=["empty", "text", "truncated"])
def test_corrupt_files_are_refused(exported, tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes((exported / "base.onnx").read_bytes()[:100_000] if content is None else content)
    with pytest.raises(ModelError):
        model_file.load(path)


def test_scenes_are_varied_and_repeatable():
    assert any(height % 2 and width % 2 for height, width in VARIED_SIZES)
    sizes = ((64, 90), (91, 77), (120, 64))
    scenes, again = list(synthetic_scenes(sizes)), list(synthetic_scenes(sizes))
    assert [scene.alpha.shape for scene in scenes] == list(sizes)
    for one, other in zip(scenes, again, strict=True):
        assert np.array_equal(one.foreground_bgr, other.foreground_bgr)
        assert 0.01 < (one.alpha > 0).mean() < 0.7


def test_exporting_imports_no_tensorrt():
    code = "import sys, export.to_onnx, export.frame_graph; print([m for m in sys.modules if 'tensorrt' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [m for m in done.stdout.strip("[]\n").split(", ") if m and "edge_harmony" not in m] == []
