"""pycuda, built from source on a machine without a GPU, and the emulated driver that it then runs on.

    python tests/gpu/build_pycuda.py        # about a minute, once; everything lands in build/pycuda

Needs a C++ compiler and the CUDA headers (nvcc on the path, CUDA_HOME, or /usr/local/cuda). On a machine with a GPU
none of this is wanted: ``pip install -e '.[tensorrt]'`` there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
PYCUDA = "pycuda==2026.1"
NEEDS = ("pytools", "siphash24", "platformdirs", "mako", "markupsafe", "typing-extensions")  # of pycuda
SONAME = ("-Wl,-soname,libcuda.so.1",)


class NotHereError(Exception):
    """It cannot be built here; the message says why."""


def build(folder: Path = REPOSITORY / "build" / "pycuda") -> dict[str, str]:
    """Build what is not built yet; returns the environment in which the emulated GPU is there.

    Raises:
        NotHereError: a compiler, the headers or the package index are missing.
    """
    headers = _cuda_headers()
    if shutil.which("g++") is None:
        raise NotHereError("no C++ compiler (g++)")
    site = folder / f"site-{sys.implementation.cache_tag}"
    if not (site / "ready").is_file():
        shutil.rmtree(site, ignore_errors=True)
        _install_pycuda(site, folder, headers)
        (site / "ready").touch()
    driver = _compile_driver(folder, headers, next((site / "pycuda").glob("_driver*.so")))
    path = os.pathsep.join(filter(None, [str(site), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    libraries = os.pathsep.join(filter(None, [str(driver), os.environ.get("LD_LIBRARY_PATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "LD_LIBRARY_PATH": libraries, "EDGE_HARMONY_EMULATED_GPU": "1"}


def _cuda_headers() -> Path:
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_ROOT"), "/usr/local/cuda"]
    homes += [str(Path(nvcc).resolve().parent.parent)] if nvcc else []
    for home in filter(None, homes):
        if (Path(home) / "include" / "cuda.h").is_file():
            return Path(home) / "include"
    raise NotHereError("no CUDA headers (cuda.h): nvcc is not on the path, and CUDA_HOME is not set")


def _install_pycuda(site: Path, folder: Path, headers: Path) -> None:
    """pycuda's own settings file is read from the home folder, so it gets one of its own."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    link = _compile(folder / "link" / "libcuda.so", f"-I{headers}", *SONAME, str(HERE / "emulated_driver.cpp"))
    settings = {
        "CUDA_INC_DIR": [str(headers)],
        "CUDADRV_LIB_DIR": [str(link.parent)],
        "CUDA_ENABLE_CURAND": False,
        "CXXFLAGS": ["-O0", "-g0", "-w"],
        "LDFLAGS": [],
    }
    lines = (f"{name} = {value!r}\n" for name, value in settings.items())
    (home / ".aksetup-defaults.py").write_text("".join(lines))
    environment = {**os.environ, "HOME": str(home), "CFLAGS": "-O0 -g0"}
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--cache-dir", str(folder / "cache"), "--target", str(site)]
    for packages in (NEEDS, ("--no-binary", "pycuda", PYCUDA)):
        result = subprocess.run([*pip, *packages], text=True, capture_output=True, env=environment, timeout=900)
        if result.returncode != 0:
            words = [line for line in result.stderr.splitlines() if "error" in line.lower()] or ["pip failed"]
            raise NotHereError(f"{packages[-1]} cannot be built here: {words[-1].strip()}")


def _compile_driver(folder: Path, headers: Path, extension: Path) -> Path:
    """libcuda.so.1: what ``emulated_driver.cpp`` defines; everything else that pycuda links to is refused."""
    sources = b"".join((HERE / name).read_bytes() for name in ("emulated_driver.cpp", "standin.cu"))
    driver = folder / f"driver-{hashlib.sha256(sources).hexdigest()[:12]}" / "libcuda.so.1"
    if not driver.is_file():
        flags = (f"-I{headers}", f"-I{HERE}", "-std=c++17", "-O2")
        part = _compile(driver.with_name("part.so"), *flags, str(HERE / "emulated_driver.cpp"))
        defined, wanted = _symbols(part, "--defined-only"), _symbols(extension, "--undefined-only")
        rest = driver.with_name("rest.cpp")
        refusals = (f'extern "C" int {name}(void) {{ return 801; }}\n' for name in sorted(wanted - defined))
        rest.write_text("".join(refusals))  # CUDA_ERROR_NOT_SUPPORTED
        made = _compile(driver.with_name("made.so"), *flags, *SONAME, str(HERE / "emulated_driver.cpp"), str(rest))
        made.rename(driver)
    return driver.parent


def _symbols(library: Path, which: str) -> set[str]:
    listing = subprocess.run(["nm", "-D", which, str(library)], text=True, capture_output=True, check=True).stdout
    return set(re.findall(r"\s[TU] (cu\w+)", listing))


def _compile(library: Path, *arguments: str) -> Path:
    library.parent.mkdir(parents=True, exist_ok=True)
    command = ["g++", "-shared", "-fPIC", "-w", *arguments, "-o", str(library)]
    result = subprocess.run(command, text=True, capture_output=True)
    if result.returncode != 0:
        raise NotHereError(f"{library.name} does not compile: {result.stderr.strip().splitlines()[0]}")
    return library


def main() -> int:
    try:
        environment = build()
    except NotHereError as reason:
        print(f"not built: {reason}")
        return 1
    ask = "import pycuda.driver as d; d.init(); print(d.Device.count(), d.Device(0).name(), d.get_driver_version())"
    return subprocess.run([sys.executable, "-c", ask], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
