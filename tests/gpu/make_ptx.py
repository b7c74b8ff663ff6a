"""Compile ``standin.cu`` to PTX that every driver since CUDA 12.6's loads. Needs no GPU.

    pip install nvidia-cuda-nvrtc-cu12==12.6.85
    python tests/gpu/make_ptx.py

The PTX is kept in the repository, with the digest of its source in the first line, so that the GPU tests need no
compiler; a test holds the two together.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("standin.cu")
PTX = SOURCE.with_suffix(".ptx")
OPTIONS = (b"--gpu-architecture=compute_70", b"--fmad=false")


def digest_line() -> str:
    """The first line that the PTX of the present source has."""
    return f"// standin.cu {hashlib.sha256(SOURCE.read_bytes()).hexdigest()}"


def compile_ptx() -> str:
    """The PTX of the source, by NVRTC. Raises RuntimeError with the compiler's words."""
    nvrtc = ctypes.CDLL(str(_library()))
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), SOURCE.read_bytes(), SOURCE.name.encode(), 0, None, None)
    options = (ctypes.c_char_p * len(OPTIONS))(*OPTIONS)
    status = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), options)
    size = ctypes.c_size_t()
    if status != 0:
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        raise RuntimeError(log.value.decode())
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, text)
    return text.value.decode()


def _library() -> Path:
    specification = importlib.util.find_spec("nvidia.cuda_nvrtc")
    for folder in (specification and specification.submodule_search_locations) or []:
        return next((Path(folder) / "lib").glob("libnvrtc.so.*"))
    raise RuntimeError("NVRTC is not installed: pip install nvidia-cuda-nvrtc-cu12==12.6.85")


def main() -> int:
    PTX.write_text(f"{digest_line()}\n{compile_ptx()}")
    print(f"{PTX}: {PTX.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
