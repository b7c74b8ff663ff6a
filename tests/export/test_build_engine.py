"""From a graph to an engine with its sidecar: TensorRT-RTX builds for real, TensorRT must explain its absence."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import onnx
import pytest
from onnx import numpy_helper

from edge_harmony.errors import EngineMismatchError, ModelError
from edge_harmony.gpu.detect import Gpu, find_gpu
from edge_harmony.harmonize.model_metadata import weights_of
from edge_harmony.harmonize.tensorrt import engine, engine_sidecar
from edge_harmony.harmonize.tensorrt.engine import load_tensorrt
from edge_harmony.harmonize.tensorrt.engine_sidecar import Machine
from export import build_engine, builder, model_file, precision
from export.scenes import synthetic_scene

no_gpu = pytest.mark.skipif(find_gpu()[0] is not None, reason="there is a GPU")


def _errors(capsys) -> list[str]:
    """The error and hint lines."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error:", "hint:"))]
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert all(len(line) > 8 for line in lines)
    return lines


@pytest.fixture(scope="module")
def base(exported):
    return exported / "base.onnx"


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A folder with one composite and its mask."""
    folder = tmp_path_factory.mktemp("frames")
    scene = synthetic_scene((96, 128), 8)
    cv2.imwrite(str(folder / "one.png"), scene.foreground_bgr)
    cv2.imwrite(str(folder / "one_mask.png"), scene.alpha)
    return folder


@pytest.fixture(scope="module")
def workshop(rtx, base, frames, tmp_path_factory):
    """A folder with an FP16 engine of the frame graph."""
    folder = tmp_path_factory.mktemp("engine")
    command = ["--fp16", "--target", "rtx", "--sm", "86", "--size", "640x360", "--onnx", str(base)]
    assert build_engine.main([*command, "--frames", str(frames), "-o", str(folder / "m.engine")]) == 0
    return folder


@pytest.fixture
def built(workshop, tmp_path):
    """A copy of it, to do with as one likes."""
    for path in workshop.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / "m.engine"


def _check(engine, weights="", **changes):
    at_hand = {"sm": "86", "versions": {"rtx": engine_sidecar.read(engine).builder_version}}
    return engine_sidecar.check(engine, Machine(**{**at_hand, **changes}), weights)


def test_engine_and_sidecar(built, base, tmp_path):
    sidecar = engine_sidecar.read(built)
    assert (sidecar.graph, sidecar.precision, sidecar.target, sidecar.sm) == ("frame", "fp16", "rtx", ("86",))
    assert sidecar.min_size == sidecar.opt_size == sidecar.max_size == (640, 360)
    assert sidecar.onnx_sha256 == engine_sidecar.digest(base)
    assert sidecar.engine_bytes == built.stat().st_size
    assert sidecar.weights_sha256 == model_file.load(base)[1].weights_sha256
    assert sidecar.parity["compared"] == "graph", "no GPU here, and the sidecar must not pretend otherwise"
    assert sidecar.parity["passed"] is True
    assert sidecar.parity["db"] >= 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.engine", "m.engine.json"]
    assert _check(built, weights_of(base)) == sidecar


def test_the_rebuild_command_rebuilds(built):
    before = engine_sidecar.read(built)
    command = shlex.split(before.rebuild)
    assert command[:3] == ["python", "-m", "export.build_engine"]
    assert command[-2] == "-o"
    assert build_engine.main([*command[3:-1], str(built)]) == 0
    after = engine_sidecar.read(built)
    assert (after.sm, after.precision, after.max_size) == (before.sm, before.precision, before.max_size)
    assert shlex.split(after.rebuild)[:-1] == command[:-1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sm": "89"}, "SM 86, this GPU is SM 89"),
        ({"versions": {"rtx": "1.9.0.1"}}, "this is 1.9.0.1"),
    ],
)
def test_an_engine_that_does_not_fit_names_its_rebuild(built, changes, words):
    with pytest.raises(EngineMismatchError, match=words) as caught:
        _check(built, **changes)
    assert engine_sidecar.read(built).rebuild in caught.value.hint


def test_an_engine_of_another_gpu_model(built):
    sidecar = replace(engine_sidecar.read(built), target="tensorrt", gpu="Orin", sm=("87",))
    engine_sidecar.write(built, sidecar)
    _check(built, sm="87", gpu="Orin")
    with pytest.raises(EngineMismatchError, match="built on a Orin"):
        _check(built, sm="87", gpu="Orin Nano")


def test_damaged_engines_are_found_before_they_are_loaded(built):
    data = built.read_bytes()
    built.write_bytes(data[:-100])
    with pytest.raises(EngineMismatchError, match="truncated"):
        _check(built)
    built.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    with pytest.raises(EngineMismatchError, match="damaged"):
        _check(built)
    built.write_bytes(data)
    with pytest.raises(EngineMismatchError, match="other weights"):
        _check(built, "0" * 64)
    built.unlink()
    with pytest.raises(EngineMismatchError, match="cannot be read"):
        _check(built)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(contract=99), "contract 99"),
        (lambda v: v.update(format="other"), "another version"),
        (lambda v: v.pop("engine_sha256"), "damaged"),
    ],
)
def test_sidecars_of_others_are_refused(built, change, words):
    path = engine_sidecar.path_of(built)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(EngineMismatchError, match=words) as caught:
        engine_sidecar.read(built)
    assert "python -m export.build_engine" in caught.value.hint


@pytest.mark.parametrize("content", [None, "", "[]", "{", "null"])
def test_missing_and_broken_sidecars(built, content):
    path = engine_sidecar.path_of(built)
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(EngineMismatchError) as caught:
        engine_sidecar.read(built)
    assert "python -m export.build_engine" in caught.value.hint


def test_int8_from_a_quantized_graph(rtx, int8_model, base, frames, tmp_path, monkeypatch):
    monkeypatch.setitem(build_engine.verify.MINIMUM_DB, "int8", 25.0)  # random weights are sensitive
    model_file.save(int8_model, tmp_path / "int8.onnx")
    common = ["--int8", "--target", "rtx", "--sm", "8.6,sm_89", "--onnx", str(tmp_path / "int8.onnx")]
    common += ["--frames", str(frames)]
    engine = tmp_path / "i.engine"
    assert build_engine.main([*common, "--reference", str(base), "--graph", "transform", "-o", str(engine)]) == 0
    sidecar = engine_sidecar.read(engine)
    assert (sidecar.precision, sidecar.graph, sidecar.sm) == ("int8", "transform", ("86", "89"))
    assert sidecar.max_size is None


def test_the_gate_stops_a_bad_graph_unless_forced(rtx, int8_model, base, frames, tmp_path, capsys):
    """A quantized graph whose first scales are wrong."""
    bad = onnx.ModelProto.FromString(int8_model.SerializeToString())
    for tensor in [t for t in bad.graph.initializer if t.name.endswith("/input_scale")][:8]:
        value = numpy_helper.to_array(tensor) / 100
        tensor.CopyFrom(numpy_helper.from_array(value.astype("float32"), tensor.name))
    model_file.save(bad, tmp_path / "bad.onnx")
    engine = tmp_path / "bad.engine"
    command = ["--int8", "--target", "rtx", "--sm", "86", "--onnx", str(tmp_path / "bad.onnx"), "--size", "320x180"]
    command += ["--reference", str(base), "--frames", str(frames), "-o", str(engine)]
    assert build_engine.main(command) == 1
    assert "misses the bound of 40 dB" in _errors(capsys)[0]
    assert not engine.exists()
    assert build_engine.main([*command, "--force"]) == 0
    assert engine_sidecar.read(engine).parity["passed"] is False


def test_another_models_reference_is_refused(rtx, int8_model, base, tmp_path, capsys):
    other = onnx.ModelProto.FromString(int8_model.SerializeToString())
    for entry in other.metadata_props:
        if entry.key.endswith("weights_sha256"):
            entry.value = "0" * 64
    model_file.save(other, tmp_path / "int8.onnx")
    command = ["--int8", "--target", "rtx", "--sm", "86", "--onnx", str(tmp_path / "int8.onnx")]
    assert build_engine.main([*command, "--reference", str(base)]) == 1
    assert "other weights" in _errors(capsys)[0]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--int8 --target rtx --sm 86", 1, "not quantized"),
        ("--fp16 --calibration x --target rtx --sm 86", 2, "for INT8"),
        ("--fp16 --target rtx --sm 87", 2, "SM 87"),
        ("--size 640x360 --min 64x64 --target rtx --sm 86", 2, "exclude each other"),
        ("--min 1920x1080 --max 640x360 --target rtx --sm 86", 2, "not in order"),
        ("--graph transform --size 640x360 --target rtx --sm 86", 2, "one size"),
        ("--sm 86", 2, "for TensorRT-RTX"),
        ("--timing-cache x --target rtx --sm 86", 2, "no timing cache"),
        ("--optimization-level 7 --target rtx --sm 86", 2, "level: 7 is out of range"),
    ],
)
def test_wrong_usage(rtx, base, tmp_path, capsys, options, code, words):
    output = tmp_path / "x.engine"
    assert build_engine.main([*options.split(), "--onnx", str(base), "-o", str(output)]) == code
    assert words in _errors(capsys)[0]
    assert not output.exists()


@pytest.mark.parametrize("options", ["--size 30x30", "--size 1080p", "--fp16 --int8", "--workspace 0", "--sm ampere"])
def test_wrong_words(options, capsys):
    assert build_engine.main(options.split()) == 2
    assert options.split()[-2].replace("--fp16", "--int8") in _errors(capsys)[0]


@no_gpu
def test_without_a_gpu_rtx_wants_its_generation(rtx, base, capsys):
    assert build_engine.main(["--target", "rtx", "--onnx", str(base)]) == 1
    error, hint = _errors(capsys)
    assert "no NVIDIA driver" in error or "no GPU" in error
    assert "--sm" in hint


def test_missing_model(tmp_path, capsys):
    assert build_engine.main(["--onnx", str(tmp_path / "none.onnx")]) == 1
    assert "no such model file" in _errors(capsys)[0]


def test_unwritable_output(rtx, base, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["--target", "rtx", "--sm", "86", "--onnx", str(base), "--size", "320x180"]
    assert build_engine.main([*command, "-o", str(tmp_path / "file" / "x.engine")]) == 1
    assert "cannot be written" in _errors(capsys)[0]


@no_gpu
def test_without_a_gpu_the_exact_command_names_the_gpu_first(tmp_path, monkeypatch, capsys):
    """As typed from the README, whether TensorRT is installed or not."""
    monkeypatch.chdir(tmp_path)
    assert build_engine.main(["--fp16"]) == 1
    error, hint = _errors(capsys)
    assert error.startswith("error: TensorRT needs the GPU it builds for: ")
    assert "--target rtx --sm 86" in hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "body", "words"),
    [
        ("8.6.1", "", "too old"),
        ("10.0.1", "", "too old"),
        ("10.3.0", "raise ImportError('libnvinfer.so.10: cannot open')", "cannot be loaded: libnvinfer.so.10"),
    ],
)
def test_tensorrt_explains_itself(base, tmp_path, monkeypatch, capsys, version, body, words):
    """A module that only has a version stands in for TensorRT: nothing of it is reached in these cases."""
    (tmp_path / "old_tensorrt.py").write_text(f"__version__ = {version!r}\n{body}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "old_tensorrt", raising=False)
    monkeypatch.setitem(engine.MODULES, "tensorrt", "old_tensorrt")
    monkeypatch.setattr(builder, "find_gpu", lambda: (Gpu("Orin", "87", 8192, "12.6"), ""))
    assert build_engine.main(["--onnx", str(base), "-o", str(tmp_path / "x.engine")]) == 1
    assert words in _errors(capsys)[0]


@pytest.mark.parametrize(
    ("number", "after_s", "code"), [(signal.SIGINT, 0.0, 130), (signal.SIGINT, 2.0, 130), (signal.SIGTERM, 2.0, 143)]
)
def test_a_stopped_build_leaves_nothing(rtx, base, frames, tmp_path, repository, number, after_s, code):
    """Nor does it crash on its way out, which it does when the library is left at work."""
    output = tmp_path / "x.engine"
    command = [sys.executable, "-m", "export.build_engine", "--target", "rtx", "--sm", "86", "--onnx", str(base)]
    command += ["--graph", "frame", "--frames", str(frames), "-o", str(output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=repository)
    assert process.stderr is not None
    line = process.stderr.readline()  # the gate's verdict comes right before the build
    time.sleep(after_s)
    process.send_signal(number)
    _, rest = process.communicate(timeout=90)
    if process.returncode == 0:
        pytest.skip("it was done before it could be stopped")
    assert process.returncode == code, line + rest
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_build_stops(rtx, transform_model):
    """Ctrl-C reaches the builder through its progress monitor."""
    trt = load_tensorrt(builder.RTX)
    run = builder._Build(trt, builder.BuildOptions(builder.RTX, sm=("86",)), None, None)
    run.monitor.cancelled = True
    with pytest.raises(ModelError):
        run.run(transform_model)


def test_help_shows_every_option():
    text = build_engine.build_parser().format_help()
    for option in (
        "--fp16",
        "--int8",
        "--precision",
        "--onnx",
        "--size",
        "--min",
        "--opt",
        "--max",
        "--target",
        "--sm",
    ):
        assert option in text
    for option in ("--workspace", "--timing-cache", "--optimization-level", "--force", "--output"):
        assert option in text


def test_precisions_are_chosen_from_the_source(transform_model, frame_model, int8_model):
    info = model_file.inspect
    made = build_engine.converted(transform_model, info(transform_model), "frame", "fp16")
    assert (info(made).graph, info(made).precision) == ("frame", "fp16")
    assert build_engine.converted(frame_model, info(frame_model), "frame", "fp32") == frame_model
    half = precision.to_fp16(int8_model)
    made = build_engine.converted(half, info(half), "frame", "int8")
    assert (info(made).graph, info(made).precision) == ("frame", "int8")


@pytest.mark.parametrize(
    ("options", "graph", "sizes"),
    [
        ("", "transform", None),
        ("--graph frame", "frame", ((270, 480), (1080, 1920), (2160, 3840))),
        ("--size 640x360", "frame", ((360, 640), (360, 640), (360, 640))),
        ("--max 1280x720", "frame", ((270, 480), (720, 1280), (720, 1280))),
        ("--max 320x180", "frame", ((180, 320), (180, 320), (180, 320))),
        ("--min 2560x1440", "frame", ((1440, 2560), (1440, 2560), (2160, 3840))),
        ("--min 5000x3000", "frame", ((3000, 5000), (3000, 5000), (3000, 5000))),
        ("--opt 4096x2160", "frame", ((270, 480), (2160, 4096), (2160, 4096))),
        ("--max 720x1280", "frame", ((270, 480), (1080, 720), (1280, 720))),
        ("--min 640x360 --max 1280x720", "frame", ((360, 640), (720, 1280), (720, 1280))),
    ],
)
def test_which_graph_and_which_sizes(transform_model, options, graph, sizes):
    args = build_engine.build_parser().parse_args(options.split())
    args.graph = args.graph or build_engine._graph_asked_for(args, model_file.inspect(transform_model))
    assert args.graph == graph
    assert build_engine._sizes(args) == (sizes and builder.FrameSizes(*sizes))


def test_a_frame_graph_is_built_as_one(frame_model):
    args = build_engine.build_parser().parse_args([])
    assert build_engine._graph_asked_for(args, model_file.inspect(frame_model)) == "frame"


def test_calibration_overwrites_no_graph(rtx, base, tmp_path, capsys):
    (tmp_path / "base_int8.onnx").write_bytes(b"precious")
    command = ["--int8", "--calibration", str(tmp_path), "--target", "rtx", "--sm", "86", "--onnx", str(base)]
    assert build_engine.main([*command, "-o", str(tmp_path / "x.engine")]) == 2
    error, hint = _errors(capsys)
    assert "exists already" in error
    assert f"--onnx {tmp_path / 'base_int8.onnx'}" in hint
    assert (tmp_path / "base_int8.onnx").read_bytes() == b"precious"
