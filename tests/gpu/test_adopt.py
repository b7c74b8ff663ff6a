"""Engines that another tool built, taken over; and our loop under Polygraphy's comparator."""

from __future__ import annotations

import pytest
import standin_tensorrt
from standin_tensorrt import NAN_ENGINE

from edge_harmony.harmonize import load_harmonizer
from edge_harmony.harmonize.tensorrt import engine_sidecar
from tests.gpu import test_build_engine
from tests.gpu.test_build_engine import standin_graph

pytest.importorskip("onnxruntime")

from export import adopt, frame_graph, model_file, second_opinion

pytestmark = pytest.mark.gpu

model, frames = test_build_engine.model, test_build_engine.frames  # fixtures


@pytest.fixture
def foreign(tmp_path):
    """An engine without a sidecar, as trtexec leaves it."""
    path = tmp_path / "foreign.engine"
    path.write_bytes(standin_tensorrt.serialize("transform"))
    return path


@pytest.fixture
def take_over(standin, device, model, frames, foreign):
    def run(*options: str) -> int:
        return adopt.main([str(foreign), "--onnx", str(model), "--frames", str(frames), *options])

    return run


def test_an_engine_of_another_tool_is_adopted(take_over, foreign, model, capsys):
    before = foreign.read_bytes()
    assert take_over() == 0, capsys.readouterr().err
    sidecar = engine_sidecar.read(foreign)
    assert (sidecar.graph, sidecar.precision, sidecar.parity["compared"]) == ("transform", "fp32", "engine")
    assert sidecar.parity["db"] > 60
    assert foreign.read_bytes() == before
    with load_harmonizer(model, "tensorrt") as harmonizer:
        assert harmonizer.model_path == foreign
    assert f"next: edge-harmony benchmark --model {foreign}" in capsys.readouterr().out


def test_an_engine_that_misses_the_bound_is_not_adopted(take_over, foreign, monkeypatch, capsys):
    monkeypatch.setenv(NAN_ENGINE, "1")
    assert take_over() == 1
    assert "NaN" in capsys.readouterr().err
    assert not engine_sidecar.path_of(foreign).exists()
    assert sorted(path.name for path in foreign.parent.iterdir() if "foreign" in path.name) == ["foreign.engine"]


def test_what_is_no_engine_is_not_adopted(take_over, foreign, capsys):
    foreign.write_bytes(b"rubbish")
    assert take_over() == 1
    assert "Serialization assertion failed" in capsys.readouterr().err, "TensorRT's own words"
    foreign.write_bytes(standin_tensorrt.serialize("frame"))
    assert take_over() == 1
    assert "no transform engine of ours" in capsys.readouterr().err
    assert not engine_sidecar.path_of(foreign).exists()


def test_our_loop_under_polygraphys_comparator(take_over, foreign, model, frames, monkeypatch, capsys):
    pytest.importorskip("polygraphy", reason="Polygraphy is not installed: pip install -e '.[polygraphy]'")
    assert take_over() == 0
    monkeypatch.setenv(second_opinion.FRAMES, str(frames))
    second_opinion._scenes.cache_clear()
    command = [str(foreign), "--onnx", str(model)]
    assert second_opinion.main(command) == 0, capsys.readouterr()
    assert "transform: " in capsys.readouterr().out
    framed = model_file.save(frame_graph.compose(standin_graph()), model.with_name("framed.onnx"))
    assert second_opinion.main([str(foreign), "--onnx", str(framed)]) == 1
    monkeypatch.setenv(NAN_ENGINE, "1")
    assert second_opinion.main(command) == 1
    second_opinion._scenes.cache_clear()


def test_a_frame_engines_own_tensors(open_engine, parts):
    import numpy as np

    from edge_harmony import contract
    from tests.gpu.standin_reference import picture

    harmonizer = open_engine()
    frame = parts(1)
    feeds = dict(zip((contract.FOREGROUND, contract.ALPHA, contract.BACKGROUND), frame, strict=True))
    previous = contract.IDENTITY * np.float32(1.1)
    feeds |= {
        contract.PREVIOUS_TRANSFORM: previous,
        contract.STRENGTH: np.array([0.7], np.float32),
        contract.SMOOTHING: np.array([0.4], np.float32),
    }
    assert {tensor.name for tensor in harmonizer.input_tensors} == set(feeds)
    outputs = harmonizer.infer(feeds)
    expected, transform = picture(*frame, 0.7, 0.4, previous)
    assert np.abs(outputs[contract.HARMONIZED].astype(int) - expected).max() <= 1
    assert np.abs(outputs[contract.TRANSFORM] - transform).max() < 1e-5
    outputs = harmonizer.infer({**feeds, contract.PREVIOUS_TRANSFORM: contract.NO_TRANSFORM})
    expected, transform = picture(*frame, 0.7)
    assert np.abs(outputs[contract.HARMONIZED].astype(int) - expected).max() <= 1, "zeros are no transform"
    assert np.abs(outputs[contract.TRANSFORM] - transform).max() < 1e-5
