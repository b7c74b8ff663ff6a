"""The way from a graph to an engine that has proven itself on the GPU, with the stand-in for TensorRT."""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnx
import pytest
from standin_builder import NO_MEMORY
from standin_tensorrt import NAN_ENGINE

from edge_harmony import contract
from edge_harmony.errors import EngineMismatchError
from edge_harmony.harmonize import load_harmonizer
from edge_harmony.harmonize.tensorrt import engine_sidecar
from tests.gpu.conftest import write_engine
from tests.gpu.standin_reference import picture

onnxruntime = pytest.importorskip("onnxruntime")

from export import build_engine, frame_graph, gate, model_file, verify  # noqa: E402
from export.model_file import ModelInfo  # noqa: E402
from export.scenes import SMALL_SIZES, Scene, fitted, synthetic_scene, synthetic_scenes  # noqa: E402

pytestmark = pytest.mark.gpu

_STEP = contract.WORKING_SIZE // contract.GRID_SIZE


def standin_graph() -> onnx.ModelProto:
    """A transform graph that computes what the stand-in's transform engine computes."""
    grid = ",".join(map(str, contract.TRANSFORM_SHAPE))
    view = contract.WORKING_SIZE
    graph = onnx.parser.parse_graph(
        f"standin (float[1,3,{view},{view}] composite, float[1,1,{view},{view}] mask) => (float[{grid}] transform) {{"
        "seen = Slice(composite, starts, ends, axes, steps)"
        "offsets = Gather<axis=1>(seen, channels)"
        "scaled = Mul(offsets, share)"
        "transform = Add(scaled, kept)"
        "}"
    )
    for node in graph.node:
        node.name = node.output[0]
    rows = np.repeat(np.arange(3), 4)
    share = np.where(np.arange(12) % 4 == 3, 0.3, 0.0).astype(np.float32).reshape(1, 12, 1, 1)
    kept = (0.7 * np.eye(3, 4)).astype(np.float32).reshape(1, 12, 1, 1)
    constants = {"starts": [0, 0], "ends": [view, view], "axes": [2, 3], "steps": [_STEP, _STEP], "channels": rows}
    for name, value in (*constants.items(), ("share", share), ("kept", kept)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", contract.OPSET)], ir_version=8)
    model_file.stamp(model, ModelInfo("transform", "standin", "5" * 64, "fp32"))
    return model


@pytest.fixture
def model(tmp_path):
    return model_file.save(standin_graph(), tmp_path / "standin.onnx")


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2):
        scene = synthetic_scene((96 + 32 * number, 128), number)
        cv2.imwrite(str(folder / f"{number}.png"), scene.foreground_bgr)
        cv2.imwrite(str(folder / f"{number}_mask.png"), scene.alpha)
    return folder


@pytest.fixture
def build(standin, device, model, frames, tmp_path):
    """``build(*options)`` gives the exit code of the command and the engine's path."""

    def run(*options: str):
        engine = tmp_path / "out" / "m.engine"
        command = ["--onnx", str(model), "--frames", str(frames), "-o", str(engine), *options]
        return build_engine.main(command), engine

    return run


def test_an_engine_that_holds_the_bound_is_saved(build, capsys, tmp_path):
    cache = str(tmp_path / "t.cache")
    code, engine = build("--precision", "fp32", "--graph", "transform", "--timing-cache", cache)
    said = capsys.readouterr().err
    assert code == 0, said
    assert "graph: the FP32 graph itself" in said
    assert "engine: " in said
    parity = engine_sidecar.read(engine).parity
    assert (parity["compared"], parity["passed"], parity["frames"]) == ("engine", True, 2)
    assert parity["db"] > 60
    assert parity["graph"] == {"compared": "nothing", "passed": True}
    assert sorted(path.name for path in engine.parent.iterdir()) == ["m.engine", "m.engine.json"]
    with load_harmonizer(engine) as harmonizer:
        assert harmonizer.backend == "tensorrt"


def test_fp16_compares_graph_and_engine(build, capsys):
    code, engine = build("--fp16", "--graph", "transform")
    assert code == 0, capsys.readouterr().err
    parity = engine_sidecar.read(engine).parity
    assert parity["compared"] == "engine"
    assert parity["graph"]["compared"] == "graph"
    assert parity["graph"]["fp16_headroom"] > 2
    assert parity["bound_db"] == parity["graph"]["bound_db"] == 50


@pytest.mark.parametrize("size", [("--size", "160x96"), ("--min", "128x96", "--opt", "160x96", "--max", "320x180")])
def test_an_engine_that_misses_the_bound_is_not_saved(build, capsys, size):
    """The stand-in's frame engine looks at the background, the graph at the composite: they differ."""
    code, engine = build("--fp16", *size)
    said = capsys.readouterr().err
    assert code == 1
    assert "error: the fp16 engine misses the bound of 50 dB" in said
    assert "--force" in said
    assert list(engine.parent.iterdir()) == []
    code, engine = build("--fp16", *size, "--force")
    assert code == 0
    parity = engine_sidecar.read(engine).parity
    assert (parity["compared"], parity["passed"], parity["graph"]["passed"]) == ("engine", False, True)
    assert load_harmonizer(engine).backend == "tensorrt"


@pytest.mark.parametrize("graph", ["transform", "frame"])
def test_an_engine_that_gives_nan(build, standin, capsys, monkeypatch, graph):
    monkeypatch.setenv(NAN_ENGINE, "1")
    code, engine = build("--precision", "fp32", "--graph", graph)
    assert code == 1
    assert "NaN" in capsys.readouterr().err
    assert not engine.exists()
    assert build("--precision", "fp32", "--graph", graph, "--force")[0] == 0
    assert engine_sidecar.read(engine).parity["passed"] is False


def test_an_engine_that_cannot_be_run(build, capsys, monkeypatch):
    from edge_harmony.harmonize.tensorrt import harmonizer

    def fails(*_):
        raise EngineMismatchError("the engine cannot be loaded: no kernel image", "build it again")

    monkeypatch.setattr(harmonizer, "load_engine", fails)
    code, engine = build("--precision", "fp32", "--graph", "transform")
    assert code == 1
    assert "no kernel image" in capsys.readouterr().err
    assert not engine.exists()
    assert build("--precision", "fp32", "--graph", "transform", "--force")[0] == 0
    parity = engine_sidecar.read(engine).parity
    assert (parity["compared"], parity["passed"]) == ("nothing", False)
    assert "no kernel image" in parity["engine_not_run"]


def test_a_gpu_without_room_to_build(build, capsys, monkeypatch):
    monkeypatch.setenv(NO_MEMORY, "1")
    code, engine = build("--fp16", "--graph", "transform")
    said = capsys.readouterr().err
    assert code == 1
    assert "could not be allocated" in said
    assert "hint: close other programs, give a smaller --max or --size" in said
    assert not engine.exists()


def test_another_gpus_engine_is_not_run(standin, device, tmp_path):
    said: list[str] = []
    engine = write_engine(tmp_path / "x.engine", "transform", sm=("35",))
    check = gate.Gate(standin_graph(), "fp16", [synthetic_scene((96, 128), 1)], "one", False, said.append)
    parity = check.check_engine(engine, {"compared": "graph", "passed": True})
    assert parity["compared"] == "graph"
    assert "for SM 35" in parity["engine_not_run"]
    assert "the graph was compared" in said[0]


def test_the_timing_cache_is_kept_and_a_foreign_one_refused(build, tmp_path, capsys):
    cache = tmp_path / "t.cache"
    options = ("--precision", "fp32", "--graph", "transform", "--timing-cache", str(cache))
    assert build(*options)[0] == 0
    assert cache.read_bytes() == b"timings"
    assert build(*options)[0] == 0
    cache.write_bytes(b"of another GPU")
    assert build(*options)[0] == 2
    assert "timing cache of another" in capsys.readouterr().err
    assert cache.read_bytes() == b"of another GPU"


def test_a_frame_engine_against_what_it_computes(open_engine):
    """The frame engine's runner, on frames of many sizes brought to those that it takes."""
    harmonizer = open_engine(smallest=(96, 128), largest=(192, 320))
    run = verify.engine_runner(harmonizer)
    scenes = [fitted(scene, *harmonizer.size_range) for scene in synthetic_scenes(SMALL_SIZES)]
    assert {scene.alpha.shape for scene in scenes} <= {(192, 256), (192, 320), (192, 240), (128, 128)}

    def expected(scene: Scene):
        return picture(scene.foreground_bgr, scene.alpha, scene.background_bgr)

    verdict = verify.compare(expected, run, scenes)
    assert verdict.passes(50), str(verdict)
    assert not verify.compare_engine(harmonizer, frame_graph.compose(standin_graph()), scenes).passes(50)


def test_verifying_an_engine_later(standin, device, model, build, capsys):
    _, engine = build("--precision", "fp32", "--graph", "transform")
    assert verify.main([str(engine), "--reference", str(model)]) == 0
    assert "dB inside the foreground" in capsys.readouterr().out
    other = model_file.load(model)[0]
    model_file.stamp(other, ModelInfo("transform", "standin", "6" * 64, "fp32"))
    model_file.save(other, model)
    assert verify.main([str(engine), "--reference", str(model)]) == 1
    assert "other weights" in capsys.readouterr().err


def test_the_rebuild_command_is_the_whole_one(build):
    _, engine = build("--precision", "fp32", "--graph", "transform")
    words = json.loads(engine_sidecar.path_of(engine).read_text())["rebuild"]
    assert words.endswith(f"-o {engine}")
