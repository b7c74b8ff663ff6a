"""A GPU, real or emulated, and engines that the stand-in for TensorRT runs on it."""

from __future__ import annotations

import ctypes
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_harmony import contract
from edge_harmony.gpu.detect import find_gpu
from edge_harmony.harmonize.tensorrt import engine, engine_sidecar

sys.path.insert(0, str(Path(__file__).parent))  # the tests of other folders import theirs as packages

import standin_tensorrt

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def write_engine(path: Path, graph: str, data: bytes | None = None, **changes: Any) -> Path:
    """A stand-in engine with its sidecar, as ``export.build_engine`` would write it on this machine."""
    sizes = {name: changes.pop(name) for name in ("smallest", "largest") if name in changes}
    content = standin_tensorrt.serialize(graph, **sizes) if data is None else data
    path.write_bytes(content)
    gpu, _ = find_gpu()
    values: dict[str, Any] = {
        "contract": contract.CONTRACT_VERSION,
        "graph": graph,
        "model": "standin",
        "weights_sha256": "0" * 64,
        "onnx": "standin.onnx",
        "onnx_sha256": "0" * 64,
        "precision": "fp32",
        "target": "tensorrt",
        "builder_version": standin_tensorrt.__version__,
        "sm": (gpu.sm if gpu else "86",),
        "gpu": gpu.name if gpu else "",
        "cuda": "12.6",
        "min_size": None,
        "opt_size": None,
        "max_size": None,
        "engine_sha256": hashlib.sha256(content).hexdigest(),
        "engine_bytes": len(content),
        "activation_bytes": None,
        "rebuild": f"python -m export.build_engine --precision fp32 --graph {graph} -o {path.name}",
    }
    engine_sidecar.write(path, engine_sidecar.EngineSidecar(**{**values, **changes}))
    return path


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT is the stand-in, even where the real one is installed."""
    monkeypatch.setitem(engine.MODULES, "tensorrt", "standin_tensorrt")


@pytest.fixture
def device() -> Any:
    pytest.importorskip("pycuda", reason="pycuda is not installed: pip install pycuda")
    from edge_harmony.gpu.device import open_device

    return open_device()


@pytest.fixture
def open_engine(standin: None, device: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """``open_engine(graph, **sizes and sidecar changes)`` gives a harmonizer, closed after the test."""
    from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer

    opened: list[Any] = []

    def opener(graph: str = "frame", **changes: Any) -> Any:
        path = write_engine(tmp_path / f"{len(opened)}.engine", graph, **changes)
        opened.append(TensorRtHarmonizer(path, threads=1))
        return opened[-1]

    yield opener
    for harmonizer in opened:
        harmonizer.close()


@pytest.fixture
def parts() -> Callable[..., Parts]:
    """``parts(seed, size_hw)`` gives foreground, alpha and background, all different in every frame."""

    def make(seed: int = 0, size_hw: tuple[int, int] = (90, 160)) -> Parts:
        random = np.random.default_rng(seed)
        foreground, background = random.integers(0, 256, (2, *size_hw, 3), np.uint8)
        alpha = random.integers(0, 256, size_hw, np.uint8)
        alpha[: size_hw[0] // 3] = 0
        alpha[-size_hw[0] // 3 :] = 255
        return foreground, alpha, background

    return make


class Emulator:
    """What the emulated driver tells and does for tests."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.emulator_count.restype = ctypes.c_long

    def count(self, what: str) -> int:
        """Live objects (``device memory``, ``streams``...) or sums (``bytes to host``, ``graph launches``...)."""
        return self._library.emulator_count(what.encode())

    def break_after(self, launches: int) -> None:
        """Lose the GPU, for good, at a kernel launch to come; -1: never."""
        self._library.emulator_break_after(ctypes.c_long(launches))

    def live(self) -> dict[str, int]:
        """Objects that someone must free."""
        kinds = ("device memory", "pinned memory", "streams", "events", "executables", "graphs", "contexts")
        return {kind: self.count(kind) for kind in kinds}


@pytest.fixture
def emulator() -> Emulator:
    library = ctypes.CDLL("libcuda.so.1")
    if not hasattr(library, "emulator_count"):
        pytest.skip("only the emulated driver counts and breaks: this is a real GPU")
    return Emulator(library)
