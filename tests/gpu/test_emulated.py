"""The GPU tests without a GPU: the real pycuda, built from source, on a driver that emulates one.

The emulated driver does the work as late as CUDA allows and checks every call, so this finds wrong calls, missing
waits, leaks and unbalanced contexts; it says nothing of speed, of TensorRT, or of a real driver's moods.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edge_harmony.gpu.detect import find_gpu
from tests.gpu import build_pycuda, make_ptx

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("EDGE_HARMONY_EMULATED_GPU" in os.environ, reason="this is the emulated run"),
]


@pytest.fixture(scope="module")
def emulated() -> dict[str, str]:
    """The environment with the emulated GPU; it takes a minute to build, once."""
    if find_gpu()[0] is not None:
        pytest.skip("there is a GPU: python tests/gpu/run_all.py")
    try:
        return {**build_pycuda.build(), "OMP_NUM_THREADS": "1"}
    except build_pycuda.NotHereError as reason:
        pytest.skip(f"pycuda cannot be built here: {reason}")


def _pytest(environment: dict[str, str], repository, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *arguments]
    result = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert "PyCUDA" not in result.stderr, result.stderr  # its warnings on leaks and dead contexts
    return result.stdout


def test_on_a_discrete_gpu(emulated, repository):
    assert " passed" in _pytest(emulated, repository, "tests/gpu")


def test_on_an_integrated_gpu(emulated, repository):
    """As on a Jetson: mapped memory, one stream."""
    environment = {**emulated, "EMULATED_INTEGRATED": "1"}
    said = _pytest(environment, repository, "tests/gpu/test_device.py", "tests/gpu/test_frames.py")
    assert "skipped" not in said


def test_work_that_is_done_at_once(emulated, repository):
    """As early as CUDA allows: a buffer that is written too soon, or an error that shows at another call."""
    environment = {**emulated, "EMULATED_EAGER": "1"}
    chosen = ("tests/gpu/test_frames.py", "tests/gpu/test_engines.py", "tests/gpu/test_build_engine.py")
    assert " passed" in _pytest(environment, repository, *chosen)


@pytest.mark.parametrize(
    ("setting", "words"),
    [("0", "the NVIDIA driver sees no GPU"), ("none", "CUDA_ERROR_NO_DEVICE")],
)
def test_a_driver_without_a_gpu(emulated, repository, setting, words):
    """pycuda is imported, and asked, up to the device count."""
    program = (
        "import pycuda.driver as cuda\n"
        "from edge_harmony.gpu.device import open_device\n"
        "from edge_harmony.errors import BackendUnavailableError\n"
        "try: cuda.init(); print(cuda.Device.count())\n"
        "except cuda.Error as error: print(error)\n"
        "try: open_device()\n"
        "except BackendUnavailableError as error: print(error.message)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=repository,
        env={**emulated, "EMULATED_GPUS": setting},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert words in result.stdout.splitlines()[1], result.stderr


def test_the_kernels_are_those_of_the_source():
    assert make_ptx.PTX.read_text().splitlines()[0] == make_ptx.digest_line(), "run python tests/gpu/make_ptx.py"
