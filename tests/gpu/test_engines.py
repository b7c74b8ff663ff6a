"""Engines of the transform graph, and everything that can go wrong with an engine or its GPU."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.contract import pack_view, read_down
from edge_harmony.errors import BackendUnavailableError, EngineMismatchError, ModelError
from edge_harmony.harmonize import load_harmonizer
from edge_harmony.harmonize.tensorrt import engine as engine_module
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer
from edge_harmony.harmonize.transfer import apply_transform
from tests.gpu.conftest import write_engine
from tests.gpu.standin_reference import picture, view_transform
from tests.models import write_transform_model

pytestmark = pytest.mark.gpu


def test_a_transform_engine(open_engine, parts):
    harmonizer = open_engine("transform")
    assert (harmonizer.backend, harmonizer.name, harmonizer.graph) == ("tensorrt", "standin", "transform")
    for seed in range(4):
        composite, alpha, _ = parts(seed, (100 + seed, 140))
        view, _ = pack_view(read_down(composite), read_down(alpha))
        expected = apply_transform(composite, alpha, composite, view_transform(view), 0.7)
        assert np.array_equal(harmonizer(composite, alpha, 0.7), expected)
    assert harmonizer.graph_launches == 3 or harmonizer.graph_refusal


def test_by_path_and_beside_the_model(standin, device, parts, tmp_path):
    frame = parts(1)
    model = write_transform_model(tmp_path / "mine.onnx")
    engine = write_engine(tmp_path / "of_any_name.engine", "frame")
    for harmonizer in (
        load_harmonizer(engine),
        load_harmonizer(engine, "tensorrt"),
        load_harmonizer(model, "tensorrt"),
        load_harmonizer(model),
    ):
        assert harmonizer.backend == "tensorrt"
        assert harmonizer.refused == {}
        with harmonizer:
            assert int(np.abs(harmonizer(frame[2], frame[1]).astype(int) - frame[2]).max()) > 10


def test_an_engine_of_another_model_is_refused(standin, device, tmp_path):
    model = write_transform_model(tmp_path / "mine.onnx")
    write_engine(tmp_path / "mine.engine", "frame", weights_sha256="1" * 64)
    with pytest.raises(BackendUnavailableError, match=r"mine\.engine is of other weights \(standin\)") as caught:
        load_harmonizer(model, "tensorrt")
    assert f"python -m export.build_engine --fp16 --onnx {model}" in caught.value.hint
    harmonizer = load_harmonizer(model)
    assert harmonizer.backend == "onnxruntime"
    assert "other weights" in harmonizer.refused["tensorrt"]
    with pytest.raises(EngineMismatchError, match="of other weights"):
        TensorRtHarmonizer(tmp_path / "mine.engine", 1, "0" * 64)


def test_an_engine_that_fits_goes_before_one_that_does_not(standin, device, tmp_path):
    model = write_transform_model(tmp_path / "mine.onnx")
    write_engine(tmp_path / "mine.engine", "frame", sm=("35",))
    with pytest.raises(EngineMismatchError, match="SM 35"):
        load_harmonizer(model, "tensorrt")
    refused = load_harmonizer(model).refused["tensorrt"]
    assert "SM 35" in refused
    assert "python -m export.build_engine" in refused, "what to do about it is said too"
    write_engine(tmp_path / "zz.engine", "transform")
    assert load_harmonizer(model, "tensorrt").model_path.name == "zz.engine"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sm": ("120",)}, "SM 120"),
        ({"gpu": "Another GPU"}, "built on a Another GPU"),
        ({"builder_version": "10.3.0"}, "version 10.3.0"),
        ({"contract": 7}, "contract 7"),
        ({"engine_bytes": 5}, "truncated"),
        ({"engine_sha256": "1" * 64}, "damaged"),
        ({"data": b"not an engine at all"}, "cannot be loaded: Serialization assertion"),
    ],
)
def test_engines_of_others_name_their_rebuild(open_engine, changes, words):
    with pytest.raises(EngineMismatchError, match=words) as caught:
        open_engine(**changes)
    assert "python -m export.build_engine --precision fp32" in caught.value.hint


def test_kernels_of_rtx_are_kept_beside_the_engine(standin, device, tmp_path, parts, monkeypatch):
    """A second start compiles nothing; a cache that does not fit is replaced."""
    import standin_tensorrt

    monkeypatch.setitem(engine_module.MODULES, "rtx", "standin_tensorrt")
    compiled = standin_tensorrt.IRuntimeCache.compiled
    path = write_engine(tmp_path / "x.engine", "transform", target="rtx")
    cache = tmp_path / "x.engine.cache"
    for start, expected in enumerate((1, 1, 2)):
        if start == 2:
            cache.write_bytes(b"of another version")
        with load_harmonizer(path) as harmonizer:
            assert harmonizer.backend == "tensorrt-rtx"
            harmonizer(*parts(1)[:2])
        assert standin_tensorrt.IRuntimeCache.compiled - compiled == expected
        assert cache.read_bytes() == b"kernels of this GPU"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.engine", "x.engine.cache", "x.engine.json"]


def test_mapped_memory_or_copies(standin, device, tmp_path, parts, emulator, monkeypatch):
    path = write_engine(tmp_path / "x.engine", "frame")
    frame = parts(1)
    copied = {}
    for mapped in (True, False):
        with TensorRtHarmonizer(path, 1, mapped=mapped) as harmonizer:
            before = emulator.count("bytes to host") + emulator.count("bytes to device")
            result = harmonizer.harmonize_frame(*frame)
            assert np.abs(result.astype(int) - picture(*frame)[0]).max() <= 1
            copied[mapped] = emulator.count("bytes to host") + emulator.count("bytes to device") - before
    assert copied[True] == 0 < copied[False]
    monkeypatch.setattr(device, "integrated", True)
    for setting, expected in (("", True), ("copied", False)):
        monkeypatch.setenv("EDGE_HARMONY_GPU_MEMORY", setting)
        with TensorRtHarmonizer(path, 1) as harmonizer:
            assert harmonizer.mapped is expected


@pytest.mark.parametrize(("graph", "megabytes"), [("transform", 1.10), ("frame", 20.7)])
def test_what_a_1080p_frame_moves(standin, device, tmp_path, parts, emulator, graph, megabytes):
    """The figures of docs/tensorrt.md: a network's engine moves the same at any size, whole frames 10 bytes a pixel."""
    frame = parts(1, (1080, 1920))
    with TensorRtHarmonizer(write_engine(tmp_path / "x.engine", graph), 1, mapped=False) as harmonizer:
        before = emulator.count("bytes to host") + emulator.count("bytes to device")
        if graph == "frame":
            harmonizer.harmonize_frame(*frame)
        else:
            harmonizer(frame[0], frame[1])
        moved = emulator.count("bytes to host") + emulator.count("bytes to device") - before
    assert moved / 1e6 == pytest.approx(megabytes, abs=0.05)


def test_no_sidecar(standin, device, tmp_path):
    engine = write_engine(tmp_path / "x.engine", "frame")
    engine_sidecar.path_of(engine).unlink()
    with pytest.raises(EngineMismatchError, match="missing"):
        load_harmonizer(engine)


def test_an_engine_of_another_graph(standin, device, tmp_path):
    import standin_tensorrt

    engine = write_engine(tmp_path / "x.engine", "frame", standin_tensorrt.serialize("transform"))
    with pytest.raises(ModelError, match="no frame engine of ours: its inputs are composite, mask"):
        load_harmonizer(engine)


def test_the_gpu_is_lost_in_mid_stream(standin, device, tmp_path, repository, monkeypatch):
    """In a process of its own: an emulated GPU that breaks stays broken, like a real one."""
    _emulated_only()
    write_engine(tmp_path / "x.engine", "frame")
    monkeypatch.delenv("EMULATED_EAGER", raising=False)  # submitting is to succeed here
    out = _run(
        repository,
        """
        frames = [np.full((64, 64, 3), 9, np.uint8), np.full((64, 64), 255, np.uint8), np.zeros((64, 64, 3), np.uint8)]
        harmonizer = load_harmonizer("x.engine")
        harmonizer.harmonize_frame(*frames)
        ctypes.CDLL("libcuda.so.1").emulator_break_after(ctypes.c_long(3))
        pending = [harmonizer.submit(*frames) for _ in range(2)]
        for call in (pending[0].result, pending[1].result, pending[1].result,
                     lambda: harmonizer.submit(*frames), lambda: harmonizer.harmonize_frame(*frames)):
            try:
                call()
                print("worked")
            except BackendUnavailableError as error:
                print("lost" if "launch failure" in error.message and error.hint else error.message)
        harmonizer.close()
        harmonizer.close()
        """,
        tmp_path,
    )
    assert out.stdout.split() == ["worked", "lost", "lost", "lost", "lost"]
    assert out.returncode == 0


def test_an_error_that_shows_at_another_call(standin, device, tmp_path, repository, monkeypatch):
    """The launch says nothing; whatever is called next fails, and everything after it, with one clear error."""
    _emulated_only()
    write_engine(tmp_path / "x.engine", "frame")
    monkeypatch.setenv("EMULATED_EAGER", "1")
    out = _run(
        repository,
        """
        frames = [np.full((64, 64, 3), 9, np.uint8), np.full((64, 64), 255, np.uint8), np.zeros((64, 64, 3), np.uint8)]
        harmonizer = load_harmonizer("x.engine")
        harmonizer.harmonize_frame(*frames)
        ctypes.CDLL("libcuda.so.1").emulator_break_after(ctypes.c_long(1))
        for call in (lambda: harmonizer.submit(*frames).result(), lambda: harmonizer.submit(*frames),
                     lambda: harmonizer.harmonize_frame(*frames), lambda: harmonizer.transform(
                         np.zeros((512, 512, 3), np.uint8), np.full((512, 512), 255, np.uint8))):
            try:
                call()
                print("worked")
            except BackendUnavailableError as error:
                print("lost" if "launch failure" in error.message and error.hint else error.message)
        harmonizer.close()
        harmonizer.close()
        """,
        tmp_path,
    )
    assert out.stdout.split() == ["lost"] * 4, out.stderr
    assert out.returncode == 0


def test_closing(open_engine, parts, emulator):
    frames = [parts(seed) for seed in range(3)]
    gc.collect()
    before = emulator.live()
    harmonizer = open_engine()
    list(harmonizer.stream(frames))
    for frame in frames:
        harmonizer.harmonize_frame(*frame)
    pending = [harmonizer.submit(*frame) for frame in frames]
    harmonizer.close()
    harmonizer.close()
    assert emulator.live() == before
    for flown, frame in zip(pending, frames, strict=True):
        assert int(np.abs(flown.result().astype(int) - picture(*frame)[0]).max()) <= 1, "they were finished first"
    with pytest.raises(BackendUnavailableError, match="closed"):
        harmonizer.harmonize_frame(*frames[0])
    transforming = open_engine("transform")
    transforming(frames[0][0], frames[0][1])
    transforming.close()
    assert emulator.live() == before


def test_garbage_is_collected(standin, device, emulator, parts, tmp_path):
    gc.collect()
    before = emulator.live()
    harmonizer = TensorRtHarmonizer(write_engine(tmp_path / "x.engine", "frame"), threads=1)
    pending = harmonizer.submit(*parts(1))
    del harmonizer
    gc.collect()
    assert pending.result().shape == (90, 160, 3)
    assert emulator.live() == before
    with pytest.raises(EngineMismatchError):
        TensorRtHarmonizer(write_engine(tmp_path / "y.engine", "frame", b"broken"))
    gc.collect()
    assert emulator.live() == before


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "pending = harmonizer.submit(*frames)",
        "harmonizer.itself = harmonizer; import builtins; builtins.kept = harmonizer",
        "gpu = GpuHolder(harmonizer, frames)",
        "threading.Thread(target=lambda: harmonizer.harmonize_frame(*frames)).start()",
    ],
)
def test_a_clean_exit_in_any_order(standin, device, tmp_path, repository, ending):
    write_engine(tmp_path / "x.engine", "frame")
    program = f"""
        class GpuHolder:
            def __init__(self, harmonizer, frames):
                device = harmonizer._loop.device
                self.array = harmonizer.harmonize_frame(InterfaceArray(device, frames[0]), frames[1], frames[2])
                self.capsule = self.array.__dlpack__(stream=1)

        frames = [np.full((64, 64, 3), 9, np.uint8), np.full((64, 64), 255, np.uint8), np.zeros((64, 64, 3), np.uint8)]
        harmonizer = load_harmonizer("x.engine")
        list(harmonizer.stream([frames] * 3))
        print("done", flush=True)
        {ending}
        """
    out = _run(repository, program, tmp_path)
    assert out.stdout.split() == ["done"]
    assert out.stderr == ""
    assert out.returncode == 0


def _run(repository: Path, program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program with the stand-in engine, in a process of its own."""
    head = f"""
        import ctypes, sys, threading
        sys.path[:0] = [{str(repository)!r}, {str(repository / "tests" / "gpu")!r}]
        import numpy as np
        import edge_harmony
        from edge_harmony.errors import BackendUnavailableError
        from edge_harmony.harmonize import load_harmonizer
        from edge_harmony.harmonize.tensorrt import engine
        from tests.gpu.gpu_arrays import InterfaceArray
        engine.MODULES["tensorrt"] = "standin_tensorrt"
        """
    lines = [line.removeprefix("        ") for line in (head + program).splitlines()]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=folder, capture_output=True, text=True, timeout=120
    )


def _emulated_only() -> None:
    import ctypes

    if not hasattr(ctypes.CDLL("libcuda.so.1"), "emulator_count"):
        pytest.skip("a real GPU is not broken on purpose")
