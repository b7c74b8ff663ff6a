"""What the TensorRT backend says and does on a machine without a GPU."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony import contract, load_harmonizer
from edge_harmony.errors import BackendUnavailableError, ModelError
from edge_harmony.gpu import dlpack
from edge_harmony.gpu.array import is_on_gpu
from edge_harmony.gpu.detect import find_gpu
from edge_harmony.harmonize.load import MODEL_FOLDER
from edge_harmony.harmonize.model_metadata import read_metadata
from edge_harmony.harmonize.tensorrt.engine import load_tensorrt
from edge_harmony.harmonize.tensorrt.engine_files import engines_of, why_none

no_gpu = pytest.mark.skipif(find_gpu()[0] is not None, reason="there is a GPU")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"no model" * 100)
    return path


@no_gpu
def test_without_a_gpu_the_backend_is_refused_by_name(model):
    with pytest.raises(BackendUnavailableError, match=r"no NVIDIA driver|no GPU|does not start") as caught:
        load_harmonizer(model, "tensorrt")
    assert "--backend onnxruntime" in caught.value.hint


@no_gpu
def test_an_engine_asked_for_is_never_replaced(model):
    engine = model.with_suffix(".engine")
    engine.write_bytes(b"an engine")
    for backend in ("auto", "tensorrt"):
        with pytest.raises(BackendUnavailableError, match="TensorRT needs an NVIDIA GPU"):
            load_harmonizer(engine, backend)
    with pytest.raises(ModelError, match="is a TensorRT engine") as caught:
        load_harmonizer(engine, "onnxruntime")
    assert "--backend tensorrt" in caught.value.hint


def test_auto_says_why_not(tmp_path):
    from tests.models import write_transform_model

    model = write_transform_model(tmp_path / "mine.onnx")
    harmonizer = load_harmonizer(model)
    assert harmonizer.backend == "onnxruntime"
    reason = harmonizer.refused["tensorrt"]
    assert "NVIDIA" in reason or "no engine of mine.onnx" in reason
    assert harmonizer.summary.endswith(f"mine.onnx, {harmonizer.threads} threads; not tensorrt: {reason}")


def test_engines_are_found_by_their_weights(tmp_path, monkeypatch):
    """Beside the model and in the current folder, under any name; what is of other weights is named as such."""
    from tests.gpu.conftest import write_engine
    from tests.models import write_transform_model

    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    model = write_transform_model(there / "mine.onnx")
    assert engines_of(model) == []
    assert why_none(model) == "there is no engine of mine.onnx beside it or in the current folder"
    write_engine(here / "another.engine", "transform", weights_sha256="1" * 64, model="nano")
    assert engines_of(model) == []
    assert "another.engine is of other weights (nano)" in why_none(model)
    (here / "bare.plan").write_bytes(b"x")
    assert "bare.plan.json is missing" in why_none(model)
    expected = []
    for folder, name, graph, precision in (
        (here, "any.engine", "frame", "fp32"),
        (there, "thing.plan", "transform", "int8"),
        (here, "frame.engine", "frame", "fp16"),
        (here, "here.engine", "transform", "fp16"),
        (there, "there.engine", "transform", "fp16"),
        (here, "mine.engine", "frame", "fp32"),
    ):
        write_engine(folder / name, graph, weights_sha256="0" * 64, precision=precision)
        expected.insert(0, (folder / name).resolve())
        assert [file.path.resolve() for file in engines_of(model)] == expected


def test_metadata_is_read_without_an_onnx_package(model, tmp_path):
    import onnx

    for name in ("base", "nano", "person"):
        path = MODEL_FOLDER / f"{name}.onnx"
        assert read_metadata(path) == {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    for damaged in (b"no model" * 100, path.read_bytes()[:5000]):
        model.write_bytes(damaged)
        with pytest.raises(ModelError, match="no ONNX model"):
            read_metadata(model)
    with pytest.raises(ModelError, match="cannot be read"):
        read_metadata(tmp_path / "none.onnx")


@no_gpu
def test_the_command_line_ends_with_a_reason(repository, tmp_path):
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((80, 80, 3), np.uint8))
    (tmp_path / "m.engine").write_bytes(b"x")
    command = [sys.executable, "-m", "edge_harmony", "image", str(picture), "--mask", str(picture)]
    command += ["--backend", "tensorrt", "--model", str(tmp_path / "m.engine"), "-o", str(tmp_path / "out.png")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=repository, timeout=60)
    lines = result.stderr.splitlines()
    assert result.returncode == 1, result.stderr
    assert lines[0].startswith("error: TensorRT needs an NVIDIA GPU: ")
    assert lines[1].startswith("hint: ")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("version", "words"), [("8.6.1", "too old"), ("10.0.1", "too old")])
def test_an_old_tensorrt_is_refused(monkeypatch, version, words):
    module = type(sys)("tensorrt")
    module.__version__ = version
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    with pytest.raises(BackendUnavailableError, match=words) as caught:
        load_tensorrt("tensorrt")
    assert "JetPack 6.1" in caught.value.hint


def test_a_missing_tensorrt_names_its_installation(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendUnavailableError, match="tensorrt") as caught:
        load_tensorrt("tensorrt")
    assert "pip install tensorrt" in caught.value.hint


@settings(max_examples=25, deadline=None)
@given(st.integers(1024, 2200), st.integers(1024, 2200), st.integers(0, 99))
def test_a_repeated_view_is_read_down_exactly(height, width, seed):
    """A static frame engine is shown the network's view with its pixels repeated: that must change nothing."""
    view = np.random.default_rng(seed).integers(0, 256, (512, 512), np.uint8)
    repeated = cv2.resize(view, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    assert np.array_equal(contract.read_down(repeated), view)


def test_arrays_in_host_memory_are_not_on_the_gpu():
    torch = pytest.importorskip("torch")
    assert not is_on_gpu(np.zeros(3))
    assert not is_on_gpu(torch.zeros(3))
    assert not is_on_gpu([1, 2])


class _Owner:
    """Something that a weak reference can point to."""


def test_an_offered_tensor_lives_as_long_as_it_is_wanted():
    """Our DLPack capsule, taken by PyTorch (as host memory: there may be no GPU), then by nobody."""
    torch = pytest.importorskip("torch")
    memory = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    owner = _Owner()
    alive = weakref.ref(owner)
    capsule = dlpack.offer(owner, memory.ctypes.data, memory.shape, "|u1")
    assert dlpack.read(capsule) == (memory.ctypes.data, (2, 4, 3), None, "|u1", 0)
    pointer = dlpack._api.PyCapsule_GetPointer(capsule, b"dltensor")
    host, kind = 1, dlpack._ManagedTensor.tensor.offset + dlpack._Tensor.device.offset
    ctypes.c_int32.from_address(pointer + kind).value = host
    tensor = torch.from_dlpack(capsule)
    del owner, capsule
    gc.collect()
    assert np.array_equal(tensor.numpy(), memory)
    assert alive() is not None
    del tensor
    gc.collect()
    assert alive() is None
    owner = _Owner()
    alive = weakref.ref(owner)
    capsule = dlpack.offer(owner, memory.ctypes.data, memory.shape, "|u1")
    del owner, capsule
    gc.collect()
    assert alive() is None


def test_anothers_tensor_is_read():
    torch = pytest.importorskip("torch")
    tensor = torch.zeros((6, 8, 3), dtype=torch.uint8)[1:, 2:]
    assert dlpack.read(tensor.__dlpack__()) == (tensor.data_ptr(), (5, 6, 3), (24, 3, 1), "|u1", 0)
    with pytest.raises(ValueError, match="DLPack's type"):
        dlpack.read(torch.zeros(3, dtype=torch.bfloat16).__dlpack__())
