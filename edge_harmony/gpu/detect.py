"""Is there an NVIDIA GPU that computes, and which? Asked of the driver directly, before anything that may crash.

TensorRT and pycuda fail in unkind ways without a driver (a TensorRT runtime object can then end the process), so
whoever loads them asks here first. Uses ctypes alone.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

from edge_harmony.errors import BackendUnavailableError

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


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
    return BackendUnavailableError(
        f"TensorRT needs an NVIDIA GPU: {reason}",
        "use --backend onnxruntime here; in a container, start it with --gpus all or --runtime nvidia",
    )


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
