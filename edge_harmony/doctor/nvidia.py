"""Probes of what TensorRT needs; each runs in a process of its own (``edge_harmony.run.child_process``).

Nothing here makes a TensorRT runtime or a CUDA context: without a device the first can end the process.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
from importlib import util
from pathlib import Path
from typing import Any, Final

from edge_harmony.doctor.machine import jetson_model
from edge_harmony.doctor.report import ABSENT, OK, WARNING, Finding
from edge_harmony.gpu.detect import INSTALL_PYCUDA, PYCUDA, closed_nodes, find_gpu

OLDEST_TENSORRT: Final = (10, 3)  # of JetPack 6.1
NEXT_TENSORRT: Final = (12,)  # the first that nobody has tried
_INSTALL_TENSORRT = "pip install tensorrt   (its version has to fit the driver)"
_INSTALL_ON_JETSON = "sudo apt install python3-libnvinfer"


def probe_driver() -> Finding:
    """The NVIDIA kernel driver and its version."""
    for path, pattern in (
        (Path("/proc/driver/nvidia/version"), r"Kernel Module\D*([\d.]+)"),
        (Path("/sys/module/nvidia/version"), r"([\d.]+)"),
    ):
        try:
            match = re.search(pattern, path.read_text(errors="replace"))
        except OSError:
            continue
        if match:
            return Finding("NVIDIA driver", OK, match[1])
    if jetson_model():
        return Finding("NVIDIA driver", OK, "Jetson's own (L4T)")
    return Finding("NVIDIA driver", ABSENT, reason="no NVIDIA driver is loaded")


def probe_gpu(root: str = "/") -> Finding:
    """The first GPU, its compute capability and the newest CUDA that its driver serves; or what keeps it from us."""
    gpu, reason = find_gpu()
    closed, remedy = closed_nodes(Path(root))
    nothing = {"cuda": None, "sm": None, "name": None}
    if gpu is None and closed:
        return Finding("GPU", WARNING, reason=f"{reason}; no permission for {closed}", remedy=remedy, details=nothing)
    if gpu is None:
        return Finding("GPU", ABSENT, reason=reason, details=nothing)
    details = {"name": gpu.name, "sm": gpu.sm, "memory_mb": gpu.memory_mb, "cuda": gpu.cuda_version}
    return Finding("GPU", OK, f"{gpu.name}, SM {gpu.sm}, {gpu.memory_mb} MB, CUDA {gpu.cuda_version}", details=details)


def probe_cuda(root: Path = Path("/")) -> Finding:
    """The CUDA toolkit: not needed to run, needed to build pycuda."""
    folder = Path(os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or root / "usr/local/cuda")
    version = _toolkit_version(folder)
    compiler = shutil.which("nvcc") or shutil.which(str(folder / "bin/nvcc")) or ""
    details = {"folder": str(folder) if folder.is_dir() else "", "version": version, "nvcc": compiler}
    if not version and not compiler:
        return Finding("CUDA toolkit", ABSENT, reason="not installed; only building pycuda needs it", details=details)
    found = version or _nvcc_version(compiler)
    if not compiler:
        reason = f"{folder} has no nvcc, so pycuda cannot be built"
        return Finding("CUDA toolkit", ABSENT, found, reason, details=details)
    return Finding("CUDA toolkit", OK, f"{found}, {compiler}", details=details)


def probe_tensorrt() -> Finding:
    """TensorRT's Python package, and whether its version is one that we support."""
    remedy = _INSTALL_ON_JETSON if jetson_model() else _INSTALL_TENSORRT
    module, reason = _load("tensorrt")
    if module is None:
        return _not_loaded("TensorRT", reason, remedy)
    text = str(getattr(module, "__version__", ""))
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    details: dict[str, Any] = {"version": text, "supported": OLDEST_TENSORRT <= version < NEXT_TENSORRT}
    if not version:
        return Finding("TensorRT", WARNING, reason="the package tensorrt says no version", remedy=remedy)
    if version < OLDEST_TENSORRT:
        reason = "older than 10.3, whose engines we do not run"
        remedy = "update to JetPack 6.1 or later" if jetson_model() else "pip install --upgrade tensorrt"
        return Finding("TensorRT", WARNING, text, reason, remedy, details)
    if version >= NEXT_TENSORRT:
        reason = "newer than 11.x, never tried"
        return Finding("TensorRT", WARNING, text, reason, "pip install 'tensorrt<12'", details)
    return Finding("TensorRT", OK, f"{text}, supported", details=details)


def probe_tensorrt_rtx() -> Finding:
    """TensorRT-RTX, for GeForce and RTX GPUs; its builder needs no GPU."""
    module, reason = _load("tensorrt_rtx")
    if module is None:
        return _not_loaded("TensorRT-RTX", reason, "pip install tensorrt-rtx-cu13")
    version = str(getattr(module, "__version__", ""))
    return Finding("TensorRT-RTX", OK, version, details={"version": version})


def probe_pycuda() -> Finding:
    """pycuda, as far as the number of devices; no context is made."""
    if util.find_spec("pycuda") is None:
        return Finding("pycuda", ABSENT, reason="not installed", remedy=INSTALL_PYCUDA)
    version = ".".join(map(str, importlib.import_module("pycuda").VERSION))
    try:
        driver: Any = importlib.import_module("pycuda.driver")
        driver.init()
        count = driver.Device.count()
    except Exception as error:  # no driver: ImportError; a driver without a device: pycuda's own
        gpu, reason = find_gpu()
        if gpu is None:  # nothing wrong with pycuda
            return Finding("pycuda", ABSENT, version, reason, details={"version": version})
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        remedy = f"pip install --force-reinstall --no-cache-dir --no-binary pycuda '{PYCUDA}'"
        return Finding("pycuda", WARNING, version, reason, remedy, {"version": version})
    return Finding("pycuda", OK, f"{version}, {count} devices", details={"version": version, "devices": count})


def _load(name: str) -> tuple[Any, str]:
    """A module, or None and why: empty if it is not installed at all."""
    if util.find_spec(name) is None:
        return None, ""
    try:
        return importlib.import_module(name), ""
    except Exception as error:
        return None, " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _not_loaded(name: str, reason: str, remedy: str) -> Finding:
    if not reason:
        return Finding(name, ABSENT, reason="not installed", remedy=remedy)
    return Finding(name, WARNING, reason=f"installed, but cannot be loaded: {reason}", remedy=remedy)


def _toolkit_version(folder: Path) -> str:
    try:
        return str(json.loads((folder / "version.json").read_text())["cuda"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _nvcc_version(compiler: str) -> str:
    try:
        done = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(r"release ([\d.]+)", done.stdout)
    return match[1] if match else ""
