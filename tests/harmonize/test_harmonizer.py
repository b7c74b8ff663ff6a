"""Harmonizers: what a call promises, and which models are refused and why."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony import contract
from edge_harmony.contract import pack_view, read_down
from edge_harmony.errors import BackendUnavailableError, ConfigError, MatteError, ModelError, SourceError
from edge_harmony.harmonize import load_harmonizer
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer
from tests.harmonize.reference import apply_reference, random_scene, random_transform
from tests.models import write_transform_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Halves red, raises blue, and follows the frame's brightness."""
    return write_transform_model(tmp_path_factory.mktemp("model") / "half.onnx", (0.5, 1.0, 1.2), follow=0.3)


@pytest.fixture(scope="module")
def harmonizer(model: Path) -> Harmonizer:
    return load_harmonizer(model, threads=1)


def edit(source: Path, target: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    proto = onnx.load(str(source))
    change(proto)
    target.write_bytes(proto.SerializeToString())
    return target


@settings(max_examples=25, deadline=None)
@given(height=st.integers(64, 300), width=st.integers(64, 300), seed=st.integers(0, 10**6))
def test_any_size_equals_the_reference(harmonizer: Harmonizer, height: int, width: int, seed: int) -> None:
    composite, alpha, _ = random_scene(height, width, seed)
    harmonized = harmonizer(composite, alpha)
    assert harmonized.shape == composite.shape
    assert harmonized.dtype == np.uint8
    assert np.array_equal(harmonized[alpha == 0], composite[alpha == 0])
    if read_down(alpha).any():
        transform = harmonizer.transform(read_down(composite), read_down(alpha))
        expected = apply_reference(composite, alpha, composite, transform)
        assert np.abs(harmonized.astype(int) - expected).max() <= 1


def test_network_sees_rgb_of_the_working_view(model: Path) -> None:
    import onnxruntime

    composite, alpha, _ = random_scene(512, 512, 5)
    inputs = dict(zip(contract.TRANSFORM_GRAPH_INPUTS, pack_view(composite, alpha), strict=True))
    expected = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).run(None, inputs)[0]
    assert np.array_equal(load_harmonizer(model, threads=1).transform(composite, alpha), expected)


def test_mask_that_covers_everything(harmonizer: Harmonizer) -> None:
    composite, _, _ = random_scene(80, 120, 3)
    harmonized = harmonizer(composite, np.ones((80, 120), bool))
    assert not np.array_equal(harmonized, composite)


def test_empty_mask_returns_an_untouched_copy_and_warns(
    harmonizer: Harmonizer, caplog: pytest.LogCaptureFixture
) -> None:
    composite, _, _ = random_scene(80, 120, 3)
    nobody = np.zeros((80, 120), np.uint8)
    with caplog.at_level(logging.WARNING):
        harmonized = harmonizer(composite, nobody)
    assert "mask is empty" in caplog.text
    assert np.array_equal(harmonized, composite)
    assert not np.may_share_memory(harmonized, composite)
    out = np.zeros_like(composite)
    assert harmonizer(composite, nobody, out=out) is out
    assert np.array_equal(out, composite)


def test_strength_zero_changes_nothing(harmonizer: Harmonizer) -> None:
    composite, alpha, _ = random_scene(90, 100, 4)
    assert np.array_equal(harmonizer(composite, alpha, strength=0.0), composite)
    half, full = (harmonizer(composite, alpha, strength=s).astype(int) - composite for s in (0.5, 1.0))
    assert 0.2 < np.abs(half).sum() / np.abs(full).sum() < 0.8


def test_result_in_place_and_into_a_buffer(harmonizer: Harmonizer) -> None:
    composite, alpha, _ = random_scene(90, 101, 4)
    expected = harmonizer(composite, alpha)
    out = np.empty_like(composite)
    assert harmonizer(composite, alpha, out=out) is out
    assert np.array_equal(out, expected)
    assert harmonizer(composite, alpha, out=composite) is composite
    assert np.array_equal(composite, expected)


def test_masks_of_all_kinds_agree(harmonizer: Harmonizer) -> None:
    composite, alpha, _ = random_scene(90, 101, 2)
    alpha = (alpha > 127).astype(np.uint8) * 255
    expected = harmonizer(composite, alpha)
    for mask in (alpha > 0, alpha / 255.0, (alpha / 255.0).astype(np.float32)[..., None]):
        assert np.array_equal(harmonizer(composite, mask), expected)


def test_views_in_any_layout(harmonizer: Harmonizer) -> None:
    composite, alpha, _ = random_scene(130, 160, 2)
    expected = harmonizer(np.ascontiguousarray(composite[:, ::-1]), np.ascontiguousarray(alpha[:, ::-1]))
    assert np.array_equal(harmonizer(composite[:, ::-1], alpha[:, ::-1]), expected)
    expected = harmonizer(composite[10:90, 20:120].copy(), alpha[10:90, 20:120].copy())
    assert np.array_equal(harmonizer(composite[10:90, 20:120], alpha[10:90, 20:120]), expected)


def test_from_several_threads(harmonizer: Harmonizer) -> None:
    scenes = [random_scene(100 + i, 150, i)[:2] for i in range(4)]
    expected = [harmonizer(*scene) for scene in scenes]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: harmonizer(*scenes[i % 4]), range(24)))
    assert all(np.array_equal(frame, expected[i % 4]) for i, frame in enumerate(found))


def test_refuses_bad_input(harmonizer: Harmonizer) -> None:
    composite, alpha, _ = random_scene(80, 120, 3)
    with pytest.raises(SourceError):
        harmonizer(composite[..., 0], alpha)
    with pytest.raises(SourceError):
        harmonizer(composite.astype(np.uint16), alpha)
    with pytest.raises(SourceError):
        harmonizer(composite[:63], alpha[:63])
    with pytest.raises(MatteError):
        harmonizer(composite, alpha[:-1])
    with pytest.raises(MatteError):
        harmonizer(composite, np.full(alpha.shape, np.nan))
    with pytest.raises(ConfigError):
        harmonizer(composite, alpha, strength=2.0)
    with pytest.raises(SourceError) as caught:
        harmonizer.transform(composite, alpha)
    assert "read_down" in caught.value.hint


def test_tells_what_it_is(model: Path) -> None:
    harmonizer = load_harmonizer(model, "onnxruntime", threads=2)
    assert (harmonizer.name, harmonizer.backend, harmonizer.model_path) == ("test", "onnxruntime", model)
    assert harmonizer.threads == 2
    assert harmonizer.metadata[contract.META_CONTRACT] == str(contract.CONTRACT_VERSION)
    assert harmonizer.refused == {}
    composite, alpha, _ = random_scene(80, 120, 1)
    harmonizer(composite, alpha)
    summary = harmonizer.timings.summary()
    assert {"read down", "network", "apply", "total"} <= set(summary)
    assert summary["total"].p50_ms >= summary["network"].p50_ms > 0


def test_network_that_gives_nonsense_is_an_error(model: Path) -> None:
    class Nonsense(Harmonizer):
        backend = "nonsense"

        def _transform_impl(self, composite: np.ndarray, mask: np.ndarray) -> np.ndarray:
            del composite, mask
            return self.answer

    harmonizer = Nonsense("nonsense", model, {})
    composite, alpha, _ = random_scene(80, 120, 1)
    harmonizer.answer = random_transform(0)
    harmonizer(composite, alpha)
    harmonizer.answer = random_transform(0)[:, :6]
    with pytest.raises(ModelError, match="shape"):
        harmonizer(composite, alpha)
    harmonizer.answer = random_transform(0) * np.float32(np.nan)
    with pytest.raises(ModelError, match="NaN") as caught:
        harmonizer(composite, alpha)
    assert "export" in caught.value.hint


def test_auto_says_what_it_took_and_why(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edge_harmony"):
        harmonizer = load_harmonizer(model)
    assert harmonizer.backend == "onnxruntime"
    assert list(harmonizer.refused) == ["tensorrt"]
    assert "onnxruntime" in caplog.text
    assert harmonizer.refused["tensorrt"] in caplog.text


def test_backend_by_name_is_never_replaced(model: Path) -> None:
    with pytest.raises(BackendUnavailableError):
        load_harmonizer(model, "tensorrt")
    with pytest.raises(ConfigError) as caught:
        load_harmonizer(model, "onnxruntme")
    assert "onnxruntime" in caught.value.hint
    with pytest.raises(ConfigError, match="threads"):
        load_harmonizer(model, threads=0)


def test_missing_onnxruntime_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match="ONNX Runtime") as caught:
        load_harmonizer(model, "onnxruntime")
    assert caught.value.hint == "pip install onnxruntime"
    with pytest.raises(BackendUnavailableError, match="no backend can run here"):
        load_harmonizer(model)


def test_models_by_name(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_harmony.harmonize.load.MODEL_FOLDER", tmp_path)
    with pytest.raises(ModelError, match="no model named 'base'") as caught:
        load_harmonizer()
    assert "none" in caught.value.hint
    for name in ("base", "nano", "base_frame"):
        (tmp_path / f"{name}.onnx").write_bytes(model.read_bytes())
    assert load_harmonizer(threads=1).model_path == tmp_path / "base.onnx"
    assert load_harmonizer("nano", threads=1).model_path == tmp_path / "nano.onnx"
    with pytest.raises(ModelError) as caught:
        load_harmonizer("nanno")
    assert "did you mean nano?" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        load_harmonizer("quite-different")
    assert "base, nano;" in caught.value.hint


def spoil_version(proto: onnx.ModelProto) -> None:
    next(p for p in proto.metadata_props if p.key == contract.META_CONTRACT).value = "99"


def spoil_graph(proto: onnx.ModelProto) -> None:
    next(p for p in proto.metadata_props if p.key == contract.META_GRAPH).value = "frame"


def drop_metadata(proto: onnx.ModelProto) -> None:
    del proto.metadata_props[:]


def shrink_mask(proto: onnx.ModelProto) -> None:
    proto.graph.input[1].type.tensor_type.shape.dim[2].dim_value = 128


def free_height(proto: onnx.ModelProto) -> None:
    dim = proto.graph.input[0].type.tensor_type.shape.dim[2]
    dim.Clear()
    dim.dim_param = "height"


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (spoil_version, "contract version 99", "python -m export.to_onnx"),
        (spoil_graph, "frame graph", "_frame"),
        (drop_metadata, "no contract version", "python -m export.to_onnx"),
        (shrink_mask, "128", "python -m export.to_onnx"),
        (free_height, "height", "python -m export.to_onnx"),
    ],
)
def test_models_of_another_kind_are_refused(
    tmp_path: Path, model: Path, change: Callable[[onnx.ModelProto], None], message: str, hint: str
) -> None:
    path = edit(model, tmp_path / "m.onnx", change)
    with pytest.raises(ModelError, match=message) as caught:
        load_harmonizer(path)
    assert hint in caught.value.hint
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint


def test_other_tensor_names_are_refused(tmp_path: Path) -> None:
    path = write_transform_model(tmp_path / "m.onnx", names=("picture", "mask", "transform"))
    with pytest.raises(ModelError, match="inputs picture, mask; expected composite, mask"):
        load_harmonizer(path)
    path = write_transform_model(tmp_path / "o.onnx", names=("composite", "mask", "map"))
    with pytest.raises(ModelError, match="outputs map; expected transform"):
        load_harmonizer(path)


@pytest.mark.parametrize("kind", ["noise", "cut", "empty", "pointer", "folder", "missing"])
def test_damaged_files_are_refused(tmp_path: Path, model: Path, kind: str) -> None:
    path = tmp_path / "m.onnx"
    whole = model.read_bytes()
    if kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "cut":
        path.write_bytes(whole[: len(whole) * 2 // 3])
    elif kind == "empty":
        path.touch()
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n" + "size 1\n" * 40)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(ModelError) as caught:
        OnnxRuntimeHarmonizer(path)
    assert caught.value.hint
    assert "m.onnx" in caught.value.message
    assert "\n" not in caught.value.message
