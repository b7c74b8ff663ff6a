"""The way from a graph to an engine that has proven itself on the GPU, with the stand-in for TensorRT."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import standin_tensorrt
from standin_builder import NO_MEMORY
from standin_tensorrt import NAN_ENGINE

from edge_harmony import contract
from edge_harmony.errors import EngineMismatchError
from edge_harmony.gpu.detect import find_gpu
from edge_harmony.harmonize import load_harmonizer
from edge_harmony.harmonize.tensorrt import engine_sidecar
from tests.calibration.conftest import write_footage
from tests.gpu.conftest import write_engine
from tests.gpu.standin_reference import picture

onnxruntime = pytest.importorskip("onnxruntime")

from export import build_engine, frame_graph, gate, model_file, precision, verify  # noqa: E402
from export.model_file import ModelInfo  # noqa: E402
from export.scenes import SMALL_SIZES, Scene, fitted, synthetic_scene, synthetic_scenes  # noqa: E402

pytestmark = pytest.mark.gpu

_STEP = contract.WORKING_SIZE // contract.GRID_SIZE
_CONVOLUTION = f"Conv<strides=[{_STEP},{_STEP}]>(composite, pick)"


def standin_graph(seen: str = "Slice(composite, starts, ends, axes, steps)") -> onnx.ModelProto:
    """A transform graph that computes what the stand-in's transform engine computes.

    Args:
        seen: how it takes one pixel in ``_STEP``; ``_CONVOLUTION`` does the same in a way that can be quantized.
    """
    grid = ",".join(map(str, contract.TRANSFORM_SHAPE))
    view = contract.WORKING_SIZE
    graph = onnx.parser.parse_graph(
        f"standin (float[1,3,{view},{view}] composite, float[1,1,{view},{view}] mask) => (float[{grid}] transform) {{"
        f"seen = {seen}"
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
    used = {name for node in graph.node for name in node.input}
    constants["pick"] = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    for name, value in (*constants.items(), ("share", share), ("kept", kept)):
        if name in used:
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
    assert cache.read_bytes() == b"timing of compositemask"
    cache.write_bytes(b"timing of others")
    assert build(*options)[0] == 0
    assert cache.read_bytes() == b"timing of compositemask\ntiming of others", "added to, not written over"
    cache.write_bytes(b"of another GPU")
    assert build(*options)[0] == 2
    said = capsys.readouterr().err
    assert "timing cache of another" in said
    assert "made by another version" in said, "in TensorRT's own words"
    assert cache.read_bytes() == b"of another GPU"


def test_builds_side_by_side_share_a_timing_cache(build, tmp_path, monkeypatch):
    """Another build adds to the file while this one is at work: both are kept, and the file is locked meanwhile."""
    import fcntl

    import standin_builder

    cache = tmp_path / "t.cache"
    build_serialized = standin_builder.Builder.build_serialized_network
    combine = standin_builder.ITimingCache.combine
    locked: list[bool] = []

    def meanwhile(*arguments):
        cache.write_bytes(b"timing of others")
        return build_serialized(*arguments)

    def watched(*arguments):
        if cache.with_name("t.cache.lock").exists():
            with open(f"{cache}.lock") as other:
                try:
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    locked.append(True)
        return combine(*arguments)

    monkeypatch.setattr(standin_builder.Builder, "build_serialized_network", meanwhile)
    monkeypatch.setattr(standin_builder.ITimingCache, "combine", watched)
    assert build("--precision", "fp32", "--graph", "transform", "--timing-cache", str(cache))[0] == 0
    assert cache.read_bytes() == b"timing of compositemask\ntiming of others"
    assert locked == [True]


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


@pytest.fixture
def workplace(standin, device, model, frames, tmp_path, monkeypatch):
    """The model among those of the package, and a folder of the user's own to work in."""
    from edge_harmony.harmonize import load

    package = tmp_path / "package"
    package.mkdir()
    model.rename(package / "base.onnx")
    monkeypatch.setattr(load, "MODEL_FOLDER", package)
    monkeypatch.setattr(build_engine, "DEFAULT_MODEL", package / "base.onnx")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def _printed_command(said: str) -> list[str]:
    (line,) = [line for line in said.splitlines() if line.startswith("next: ")]
    return shlex.split(line.removeprefix("next: "))


@pytest.mark.parametrize("way", ["--fp16", "--precision fp32", "from fp16 graph", "from int8 graph"])
def test_every_way_an_engine_is_made_it_is_found(workplace, frames, capsys, way, monkeypatch):
    """By its path, by auto, by --backend tensorrt, by the doctor; and the command that is printed next works."""
    from edge_harmony.cli import main
    from edge_harmony.doctor import models as doctor
    from edge_harmony.harmonize import load

    package = load.MODEL_FOLDER
    options = ["--frames", str(frames)]
    if way.startswith("from"):
        wanted = way.split()[1]
        source = model_file.load(package / "base.onnx")[0]
        made = precision.to_int8(source, {}) if wanted == "int8" else precision.to_fp16(source)
        model_file.save(made, workplace / f"of_mine_{wanted}.onnx")
        options += ["--precision", wanted, "--onnx", f"of_mine_{wanted}.onnx"]
    else:
        options += way.split()
    assert build_engine.main(options) == 0, capsys.readouterr().err
    said = capsys.readouterr().err
    (engine,) = workplace.glob("*.engine")
    assert engine_sidecar.read(engine).graph == "transform", "what the commands run, by default"
    for harmonizer in (load_harmonizer(engine), load_harmonizer("base", "tensorrt"), load_harmonizer()):
        with harmonizer:
            assert (harmonizer.backend, harmonizer.model_path.name) == ("tensorrt", engine.name)
    gpu = {"name": device_gpu().name, "sm": device_gpu().sm}
    found = doctor.probe_engines([str(workplace)], gpu, standin_tensorrt.__version__, "")
    assert found.status == "ok", found
    command = _printed_command(said)
    assert command[:2] == ["edge-harmony", "benchmark"]
    measured = _benchmark_in_this_process(monkeypatch)
    assert main([*command[1:], "--frames", "2", "--size", "128x96"]) == 0, capsys.readouterr().err
    assert ("tensorrt", engine.name) in measured
    assert ("onnxruntime", "base.onnx") in measured
    measured.clear()
    assert main(["benchmark", "--frames", "2", "--size", "128x96"]) == 0, "found without being named"
    assert ("tensorrt", engine.name) in measured


@pytest.mark.parametrize("together", [True, False])
def test_int8_from_calibration_to_backend_tensorrt(workplace, capfd, together):
    """The three commands of docs/calibration.md (or two, the last doing both), and then one that runs the engine."""
    from calibration import collect, quantize
    from calibration.shards import open_set
    from edge_harmony.cli import main
    from edge_harmony.harmonize import load

    base = model_file.save(standin_graph(_CONVOLUTION), load.MODEL_FOLDER / "base.onnx")
    write_footage(workplace, 24)
    subject = ["--alpha", "mask", "--bg", "background.png"]
    assert collect.main(["--source", "subject", *subject, "-o", "set"]) == 0, capfd.readouterr().err
    count = open_set(workplace / "set").count
    assert count > 8
    if together:
        words = ["--int8", "--calibration", "set"]
    else:
        quantizing = ["--onnx", str(base), "--data", "set", "-o", "base_int8.onnx"]
        assert quantize.main(quantizing) == 0, capfd.readouterr().err
        words = ["--int8", "--onnx", "base_int8.onnx"]
    assert build_engine.main([*words, "-o", "mine.engine"]) == 0, capfd.readouterr().err
    assert f"minmax over {count} samples" in capfd.readouterr().out
    graph = onnx.load("base_int8.onnx")
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.graph.node}
    sidecar = engine_sidecar.read(workplace / "mine.engine")
    assert (sidecar.precision, sidecar.graph) == ("int8", "transform")
    assert sidecar.weights_sha256 == model_file.load(base)[1].weights_sha256
    assert (sidecar.parity["compared"], sidecar.parity["bound_db"]) == ("engine", 40)
    assert sidecar.parity["db"] > 40
    command = ["process", "subject", *subject, "--backend", "tensorrt", "-o", "out.mp4"]
    assert main(command) == 0, capfd.readouterr().err
    said = "".join(capfd.readouterr())
    assert "standin on tensorrt, mine.engine, " in said
    assert Path("out.mp4").stat().st_size > 0


def device_gpu():
    gpu, _ = find_gpu()
    assert gpu is not None
    return gpu


def _benchmark_in_this_process(monkeypatch) -> list[tuple[str, str]]:
    """The stand-in is known in this process only; notes what is measured."""
    from edge_harmony.errors import EdgeHarmonyError
    from edge_harmony.run import child_process
    from edge_harmony.speed.measure import measure

    measured: list[tuple[str, str]] = []

    def call(function, arguments, *_):
        assert function == "edge_harmony.speed.measure:measure"
        try:
            result = child_process.Answer(measure(**{**arguments, "threads": 1}))
        except EdgeHarmonyError as error:
            return child_process.Answer(reason=error.message, hint=error.hint)
        measured.append((arguments["backend"], Path(arguments["model"]).name))
        return result

    monkeypatch.setattr(child_process, "call", call)
    return measured


def test_a_backend_that_cannot_run_leaves_the_others_their_table(workplace, model, capsys, monkeypatch):
    from edge_harmony.cli import main
    from edge_harmony.harmonize import load

    _benchmark_in_this_process(monkeypatch)
    weights = model_file.load(load.MODEL_FOLDER / "base.onnx")[1].weights_sha256
    write_engine(workplace / "x.engine", "transform", weights_sha256=weights, precision="fp16", sm=("35",))
    command = ["benchmark", "--backend", "onnxruntime", "tensorrt", "--precision", "fp32", "fp16"]
    assert main([*command, "--frames", "2", "--size", "128x96"]) == 1
    said = capsys.readouterr()
    assert "onnxruntime fp32: base.onnx" in said.out
    missing = said.out[said.out.index("not measured:") :]
    assert "tensorrt fp16: x.engine cannot run here: it was built for SM 35" in missing
    assert said.err.startswith("error: tensorrt fp32: there is no fp32 engine of base.onnx at hand")


def test_the_terminal_says_what_runs_and_why(workplace, frames, capsys):
    from edge_harmony.cli import main

    command = ["image", str(frames / "0.png"), "--mask", str(frames / "0_mask.png"), "--overwrite", "-o", "out.png"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("harmonized by standin on onnxruntime, base.onnx, ")
    assert "not tensorrt: there is no engine of base.onnx beside it or in the current folder" in said
    assert build_engine.main(["--fp16", "--frames", str(frames)]) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("harmonized by standin on tensorrt, base_fp16.engine, ")


def test_a_builder_that_cannot_start_is_explained(build, monkeypatch, capsys):
    import standin_builder

    def nothing(self, logger):
        logger.log(logger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(standin_builder.Builder, "__init__", nothing)
    assert build("--fp16")[0] == 1
    assert "CUDA initialization failure with error: 35" in capsys.readouterr().err
