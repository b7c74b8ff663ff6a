"""Run everything that needs a GPU and print one table: what passed, on what, how fast.

    python tests/gpu/run_all.py [--json FILE]

Needs an NVIDIA GPU and pycuda. Where TensorRT is missing, the table's frames are computed by the stand-in's kernels
(``standin.cu``): that shows contexts, copies, streams, graphs and GPU arrays at work, and the speed of everything
around the network, not of TensorRT. Where it is installed, an engine of the package's model is built and held against
ONNX Runtime as well.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "gpu")]

from edge_harmony.gpu.detect import INSTALL_PYCUDA, find_gpu  # noqa: E402

Row = tuple[str, str, str]  # what, outcome, remark

FRAMES = 60
SIZES = ((720, 1280), (1080, 1920), (2160, 3840))


class Collector:
    """pytest's plugin that keeps each test's outcome."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.split("/")[-1].replace(".py::test_", ": ").replace("_", " ")
            if report.when == "call" or report.when == "setup":
                reason = str(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
                self.rows.append((name, report.outcome, reason or f"{report.duration * 1e3:.0f} ms"))


def what_is_missing() -> Iterator[tuple[str, str]]:
    """What cannot be tested for want of a package, and what brings it."""
    needs = {
        "pycuda": ("pycuda", f"everything; {INSTALL_PYCUDA}"),
        "TensorRT": ("tensorrt", "engines themselves; JetPack's python3-libnvinfer, or pip install tensorrt"),
        "Polygraphy": ("polygraphy", "the second opinion on an engine; pip install -e '.[polygraphy]'"),
        "ONNX": ("onnx", "building engines; pip install -e '.[export]'"),
    }
    for what, (module, words) in needs.items():
        if importlib.util.find_spec(module) is None:
            yield what, f"leaves out {words}"


def speeds(folder: Path) -> Iterator[Row]:
    """Milliseconds a frame in each mode, with the stand-in engine."""
    from edge_harmony.gpu.device import open_device
    from edge_harmony.harmonize.tensorrt import engine
    from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer
    from tests.gpu.conftest import write_engine

    engine.MODULES["tensorrt"] = "standin_tensorrt"
    device = open_device()
    for size_hw in SIZES:
        with TensorRtHarmonizer(write_engine(folder / "speed.engine", "frame")) as harmonizer:
            for mode, seconds in _modes(harmonizer, device, size_hw):
                yield f"{size_hw[1]}x{size_hw[0]}, {mode}", f"{seconds / FRAMES * 1e3:.2f} ms", "stand-in engine"
            launches, refusal = str(harmonizer.graph_launches), harmonizer.graph_refusal
            yield f"{size_hw[1]}x{size_hw[0]}, CUDA graph launches", launches, refusal


def _modes(harmonizer: Any, device: Any, size_hw: tuple[int, int]) -> Iterator[tuple[str, float]]:
    """Seconds that ``FRAMES`` frames take in each mode."""
    from tests.gpu.gpu_arrays import InterfaceArray

    random = np.random.default_rng(1)
    parts = tuple(random.integers(0, 256, (*size_hw, *rest), np.uint8) for rest in ((3,), (), (3,)))
    arrays = tuple(InterfaceArray(device, part) for part in parts)
    out = np.empty_like(parts[0])
    modes: dict[str, Callable[[int], object]] = {
        "host arrays, latency": lambda n: [harmonizer.harmonize_frame(*parts, out=out) for _ in range(n)],
        "host arrays, throughput": lambda n: sum(1 for _ in harmonizer.stream([parts] * n)),
        "GPU arrays, latency": lambda n: sum(1 for _ in range(n) if harmonizer.harmonize_frame(*arrays)),
        "GPU arrays, throughput": lambda n: sum(1 for _ in harmonizer.stream([arrays] * n)),
    }
    for mode, run in modes.items():
        run(5)
        start = time.perf_counter()
        run(FRAMES)
        yield mode, time.perf_counter() - start
    for array in arrays:
        array.free()


def real_engine(folder: Path) -> Iterator[Row]:
    """TensorRT itself: build, run, compare with ONNX Runtime."""
    if importlib.util.find_spec("tensorrt") is None:
        yield "TensorRT engine of the package's model", "skipped", "TensorRT is not installed"
        return
    from edge_harmony.harmonize import load_harmonizer
    from edge_harmony.harmonize.tensorrt.engine import MODULES
    from export import build_engine

    MODULES["tensorrt"] = "tensorrt"
    random = np.random.default_rng(2)
    coarse = random.integers(0, 256, (9, 16, 3), np.uint8)
    composite = np.ascontiguousarray(coarse.repeat(120, 0).repeat(120, 1))
    mask = np.zeros((1080, 1920), np.uint8)
    mask[200:900, 500:1400] = 255
    expected = load_harmonizer("base", "onnxruntime")(composite, mask).astype(int)
    for graph in ("frame", "transform"):
        for precision in ("fp32", "fp16"):
            path = folder / f"{graph}_{precision}.engine"
            command = ["--precision", precision, "--graph", graph, "-o", str(path)]
            if build_engine.main(command) != 0:
                yield f"TensorRT {graph} {precision}", "failed", "it was not built, see above"
                continue
            with load_harmonizer(path) as harmonizer:
                for _ in range(3):
                    result = harmonizer(composite, mask)
                worst = int(np.abs(result.astype(int) - expected).max())
                passed = "passed" if worst <= (2 if precision == "fp32" else 4) else "failed"
                refusal = getattr(harmonizer, "graph_refusal", "")
                yield f"TensorRT {graph} {precision}", passed, f"at most {worst} code values off; {refusal or 'graph'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON too")
    parser.add_argument("--no-speed", action="store_true", help="leave the measurements out")
    args = parser.parse_args()
    console = Console(soft_wrap=True)
    missing = list(what_is_missing())
    for what, words in missing:
        console.print(f"missing: {what}: {words}", markup=False)
    gpu, reason = find_gpu()
    if gpu is None:
        console.print(f"error: there is no GPU to test on: {reason}")
        console.print("hint: python -m pytest tests/gpu/test_emulated.py runs the same tests on an emulated one")
        return 1
    if any(what == "pycuda" for what, _ in missing):
        console.print("error: without pycuda nothing can be tested here")
        return 1
    collector = Collector()
    code = pytest.main(["-q", "-m", "gpu", str(REPOSITORY / "tests" / "gpu")], plugins=[collector])
    rows = [*((what, "missing", words) for what, words in missing), *collector.rows]
    with tempfile.TemporaryDirectory() as folder:
        if not args.no_speed:
            rows += speeds(Path(folder))
            rows += real_engine(Path(folder))
    title = (
        f"{gpu.name}, SM {gpu.sm}, CUDA {gpu.cuda_version}: frames by the stand-in's kernels unless TensorRT is named"
    )
    table = Table("what", "outcome", "", title=title)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if args.json:
        record: dict[str, Any] = {"gpu": gpu.name, "sm": gpu.sm, "cuda": gpu.cuda_version, "rows": rows}
        args.json.write_text(json.dumps(record, indent=2) + "\n")
    return int(code != 0 or any(outcome == "failed" for _, outcome, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
