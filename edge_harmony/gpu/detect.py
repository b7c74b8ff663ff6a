"""Is there an NVIDIA GPU that computes, and which? Asked of the driver directly, before anything that may crash.

TensorRT and pycuda fail in unkind ways without a driver (a TensorRT runtime object can then end the process), so
whoever loads them asks here first. Uses ctypes alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_harmony.errors import BackendUnavailableError

PYCUDA: str = "pycuda>=2025.1.2"  # the first that compiles with CUDA 13, and it does with CUDA 12
INSTALL_PYCUDA = f"pip install '{PYCUDA}'   (it compiles: nvcc must be on PATH, as in /usr/local/cuda/bin)"
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
_NODES = ("dev/nvidia*", "dev/nvmap", "dev/nvhost-*", "dev/nvgpu/*/*")  # desktop's; Jetson's
_RENDER_NODES = "dev/dri/renderD*"


@dataclass(frozen=True)
class Gpu:
    """The first CUDA device."""

    name: str
    sm: str  # compute capability without the dot: "87" is Orin, "110" Thor
    memory_mb: int
    cuda_version: str  # the newest CUDA that the driver serves, such as "12.6"


def find_gpu() -> tuple[Gpu | None, str]:
    """The first GPU, or None and the reason in words. Loads the driver, creates no context."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return None, f"no NVIDIA driver ({library} cannot be loaded)"
    try:
        return _first_device(driver)
    except AttributeError as error:
        return None, f"{library} is no CUDA driver: {error}"


def no_gpu(reason: str) -> BackendUnavailableError:
    """The error of those who need a GPU, for a reason that ``find_gpu`` gave."""
    closed, remedy = closed_nodes()
    if closed:
        return BackendUnavailableError(f"TensorRT needs an NVIDIA GPU: {reason}; no permission for {closed}", remedy)
    return BackendUnavailableError(
        f"TensorRT needs an NVIDIA GPU: {reason}",
        "edge-harmony runs without one by --backend onnxruntime; containers see one by --gpus all or --runtime nvidia",
    )


def closed_nodes(root: Path = Path("/")) -> tuple[str, str]:
    """NVIDIA's device nodes that this user may not open, and what gives them; two empty texts where there are none.

    On a Jetson, a container's user that is not root needs the host's group ``render`` besides ``video``, by number:
    the image does not know it by name.
    """
    nodes = [path for pattern in _NODES for path in sorted(root.glob(pattern))]
    if not nodes:
        return "", ""  # those of /dev/dri are then another maker's
    nodes += sorted(root.glob(_RENDER_NODES))
    effective = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    closed = [path for path in nodes if not path.is_dir() and not os.access(path, os.R_OK | os.W_OK, **effective)]
    if not closed:
        return "", ""
    groups = sorted({path.stat().st_gid for path in closed})
    words = ", ".join(f"{path} (group {path.stat().st_gid})" for path in closed[:3])
    more = f" and {len(closed) - 3} more" if len(closed) > 3 else ""
    options = " ".join(f"--group-add {group}" for group in groups)
    remedy = f"docker run {options} ... starts the container with the groups of these devices"
    if not any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv")):
        remedy = f"sudo usermod -aG {','.join(map(_group_name, groups))} $USER, then log in again"
    return words + more, remedy


def _group_name(number: int) -> str:
    try:
        import grp

        return grp.getgrgid(number).gr_name
    except (ImportError, KeyError):
        return str(number)


def _first_device(driver: ctypes.CDLL) -> tuple[Gpu | None, str]:
    status = driver.cuInit(0)
    if status != 0:
        return None, f"the NVIDIA driver does not start (cuInit: {_error_name(driver, status)})"
    count, version = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0:
        return None, "the NVIDIA driver sees no GPU"
    driver.cuDriverGetVersion(ctypes.byref(version))
    device = ctypes.c_int()
    status = driver.cuDeviceGet(ctypes.byref(device), 0)
    if status != 0:
        return None, f"the first GPU cannot be opened (cuDeviceGet: {_error_name(driver, status)})"
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGetName(name, len(name), device)
    memory = ctypes.c_size_t()
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    capability = []
    for attribute in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(str(value.value))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(name.value.decode(errors="replace"), "".join(capability), memory.value >> 20, cuda), ""


def _error_name(driver: ctypes.CDLL, status: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorName(status, ctypes.byref(text))
    return text.value.decode() if text.value else str(status)
