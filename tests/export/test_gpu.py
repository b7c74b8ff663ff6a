"""Asking the driver for a GPU: against small libraries that answer as drivers do, and against this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

_DRIVER = """
#include <string.h>
#include <stddef.h>
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGetCount(int *n) { *n = COUNT; return 0; }
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *name, int n, int d) { strncpy(name, "Orin", n); return 0; }
int cuDeviceTotalMem_v2(size_t *m, int d) { *m = (size_t)8 << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : 7; return 0; }
int cuGetErrorName(int status, const char **name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
"""


def _ask(folder, code: str, *flags: str) -> str:
    """What find_gpu() says with ``code`` as the driver."""
    (folder / "driver.c").write_text(code)
    library = folder / "libcuda.so.1"
    command = ["gcc", "-w", "-shared", "-fPIC", *flags, "-o", str(library), str(folder / "driver.c")]
    subprocess.run(command, check=True)
    program = "from edge_harmony.gpu.detect import find_gpu; print(find_gpu())"
    environment = {"LD_LIBRARY_PATH": str(folder), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    return result.stdout.strip()


needs_gcc = pytest.mark.skipif(
    shutil.which("gcc") is None or not sys.platform.startswith("linux"), reason="no gcc to compile a driver with"
)


@needs_gcc
def test_a_gpu(tmp_path):
    said = _ask(tmp_path, _DRIVER, "-DINIT=0", "-DCOUNT=1")
    assert said == "(Gpu(name='Orin', sm='87', memory_mb=8192, cuda_version='12.6'), '')"


@needs_gcc
def test_a_driver_without_a_device(tmp_path):
    assert _ask(tmp_path, _DRIVER, "-DINIT=0", "-DCOUNT=0") == "(None, 'the NVIDIA driver sees no GPU')"
    assert "CUDA_ERROR_NO_DEVICE" in _ask(tmp_path, _DRIVER, "-DINIT=100", "-DCOUNT=0")


@needs_gcc
def test_a_library_that_is_no_driver(tmp_path):
    assert "is no CUDA driver" in _ask(tmp_path, "int nothing;")
