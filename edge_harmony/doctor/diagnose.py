"""Runs every probe: those that load a library each in a process of its own, side by side."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import util
from pathlib import Path
from typing import Any, Final

from edge_harmony.doctor.machine import probe_cameras, probe_display, probe_machine, probe_python, probe_virtual_cameras
from edge_harmony.doctor.report import ABSENT, FAILED, OK, WARNING, Finding, Report
from edge_harmony.run import child_process

_LIMIT_S: Final = 30.0  # for a probe; most take some tenths of a second, a busy machine many times that

# Name in the report; function; whether the main job needs it. In the order of the table.
_HERE: Final = (
    ("machine", probe_machine),
    ("Python", probe_python),
)
_APART: Final = (
    ("OpenCV", "libraries:probe_opencv", True),
    ("NumPy", "libraries:probe_numpy", True),
    ("compiled passes", "libraries:probe_passes", True),
    ("ONNX Runtime", "libraries:probe_onnxruntime", True),
    ("PyAV", "libraries:probe_pyav", False),
    ("models", "models:probe_models", True),
    ("main job", "models:probe_main_job", True),
    ("NVIDIA driver", "nvidia:probe_driver", False),
    ("GPU", "nvidia:probe_gpu", False),
    ("CUDA toolkit", "nvidia:probe_cuda", False),
    ("TensorRT", "nvidia:probe_tensorrt", False),
    ("TensorRT-RTX", "nvidia:probe_tensorrt_rtx", False),
    ("pycuda", "nvidia:probe_pycuda", False),
)
_DEVICES: Final = (
    ("cameras", probe_cameras),
    ("virtual cameras", probe_virtual_cameras),
    ("display", probe_display),
)
_WITH_MODEL: Final = ("models", "main job")
_WITHOUT_PROCESS: Final = ("NVIDIA driver", "CUDA toolkit")  # they load nothing
_MODULES: Final = {"TensorRT": "tensorrt", "TensorRT-RTX": "tensorrt_rtx", "pycuda": "pycuda"}


def diagnose(model: str | None = None) -> Report:
    """Look at everything that decides what can run here.

    Args:
        model: the name or file of the model to try; by default the package's own.

    Returns:
        One finding for each probe, always all of them: a probe that raises, crashes or hangs is a finding too.
    """
    first = [_guarded(name, probe) for name, probe in _HERE]
    with ThreadPoolExecutor(max_workers=max(2, min(os.cpu_count() or 2, 8))) as pool:
        pending: dict[str, Future[Finding]] = {}
        for name, function, needed in sorted(_APART, key=lambda probe: probe[0] != "main job"):  # the longest first
            arguments = {"model": model} if name in _WITH_MODEL else {}
            pending[name] = pool.submit(_probe_apart, name, function, needed, arguments)
        found = {name: future.result() for name, future in pending.items()}
    libraries = [found[name] for name, _, _ in _APART]
    rest = [_probe_engines(found, model), _probe_tensorrt_backend(found, model)]
    devices = [_guarded(name, probe) for name, probe in _DEVICES]
    return Report((*first, *libraries, *rest, *devices))


def _probe_apart(name: str, function: str, needed: bool, arguments: Mapping[str, Any]) -> Finding:
    if name in _WITHOUT_PROCESS or (name in _MODULES and not _installed(_MODULES[name])):
        module, _, attribute = function.partition(":")
        return _guarded(name, lambda: _function(module, attribute)())
    started = time.perf_counter()
    answer = child_process.call(
        "edge_harmony.doctor.diagnose:run_probe",
        {"function": function, "arguments": dict(arguments)},
        _LIMIT_S,
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    duration_ms = round((time.perf_counter() - started) * 1e3, 1)
    if answer.reason:
        remedy = answer.hint or ("" if not needed else "pip install --force-reinstall edge-harmony")
        status = FAILED if needed else WARNING
        return Finding(name, status, reason=answer.reason, remedy=remedy, duration_ms=duration_ms)
    return dataclasses.replace(Finding(**answer.value), duration_ms=duration_ms)


def run_probe(function: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """In the other process: a probe's finding as a dictionary."""
    module, _, name = function.partition(":")
    return dataclasses.asdict(_function(module, name)(**arguments))


def _probe_engines(found: Mapping[str, Finding], model: str | None) -> Finding:
    folders = [os.getcwd(), str(Path(__file__).resolve().parent.parent / "models")]
    if model and os.path.dirname(model):
        folders.append(os.path.dirname(model))
    arguments = {
        "folders": folders,
        "gpu": {key: found["GPU"].details.get(key) for key in ("name", "sm")},
        "tensorrt": found["TensorRT"].details.get("version", ""),
        "tensorrt_rtx": found["TensorRT-RTX"].details.get("version", ""),
        "model": model,
    }
    if not any(any(Path(folder).glob(f"*{suffix}")) for folder in folders for suffix in (".engine", ".plan")):
        remedy = "python -m export.build_engine --fp16"
        reason = "no engine here or beside the model"
        return Finding("engines", ABSENT, reason=reason, remedy=remedy, details={"files": []})
    return _probe_apart("engines", "models:probe_engines", False, arguments)


def _probe_tensorrt_backend(found: Mapping[str, Finding], model: str | None) -> Finding:
    name = "TensorRT backend"
    for needed in ("GPU", "TensorRT", "pycuda"):
        if found[needed].status != OK:
            return Finding(name, ABSENT, reason=f"{needed}: {found[needed].reason}", remedy=found[needed].remedy)
    return _probe_apart(name, "models:probe_tensorrt_backend", False, {"model": model})


def _guarded(name: str, probe: Callable[[], Finding]) -> Finding:
    started = time.perf_counter()
    try:
        finding = probe()
    except Exception as error:
        finding = Finding(name, WARNING, reason=child_process.first_line(error))
    return dataclasses.replace(finding, duration_ms=round((time.perf_counter() - started) * 1e3, 1))


def _function(module: str, name: str) -> Callable[..., Finding]:
    import importlib

    return getattr(importlib.import_module(f"edge_harmony.doctor.{module}"), name)


def _installed(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return True  # something is there, and the probe will say what
