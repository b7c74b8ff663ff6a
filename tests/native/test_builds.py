"""The library as others get it: installed by CMake, found by CMake and pkg-config, unpacked from an archive."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.native.conftest import EXAMPLES, ROOT, Case, needed

ARM_LIBRARIES = Path("/usr/aarch64-linux-gnu")  # Debian's libc6-arm64-cross and libstdc++6-arm64-cross

CORTEX_A76 = """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0b
CPU revision\t: 1
"""


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def at(case: Case, prefix: Path) -> Case:
    """The case, with the library of another place."""
    return replace(case, environment={**case.environment, "LD_LIBRARY_PATH": str(prefix / "lib")})


@pytest.mark.slow
def test_cmake_installs_it_and_both_find_it(case: Case, compiler: list[str], tmp_path: Path) -> None:
    cmake, prefix = needed("cmake"), tmp_path / "prefix"
    needed("c++")
    run(cmake, "-S", ROOT / "native", "-B", tmp_path / "build", "-DCMAKE_INSTALL_LIBDIR=lib")
    run(cmake, "--build", tmp_path / "build")
    run(cmake, "--install", tmp_path / "build", "--prefix", prefix)
    moved = tmp_path / "moved"  # an installation may be carried elsewhere
    prefix.rename(moved)
    for mode in ("", "-static"):
        if mode:
            run(cmake, "-S", ROOT / "native", "-B", tmp_path / "static", "-DBUILD_SHARED_LIBS=OFF",
                "-DCMAKE_INSTALL_LIBDIR=lib")  # fmt: skip
            run(cmake, "--build", tmp_path / "static")
            run(cmake, "--install", tmp_path / "static", "--prefix", tmp_path / "moved-static")
        made = tmp_path / f"examples{mode}"
        run(cmake, "-S", EXAMPLES, "-B", made, f"-DCMAKE_PREFIX_PATH={moved}{mode}")
        run(cmake, "--build", made)
        at(case, moved).check([str(made / "composite_c")])
        at(case, moved).check([str(made / "composite_cpp")])
    check_pkg_config(case, compiler, moved)


def check_pkg_config(case: Case, compiler: list[str], prefix: Path) -> None:
    words = run(needed("pkg-config"), "--cflags", "--libs", "edge_harmony",
                PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig")).split()  # fmt: skip
    program = case.folder / "by_pkg_config"
    run(*compiler, EXAMPLES / "composite.c", *words, "-o", program)
    at(case, prefix).check([str(program)])


def unpack(target: str, folder: Path) -> Path:
    """Build an archive and unpack it."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no ziglang: pip install ziglang==0.15.1")
    run(sys.executable, ROOT / "native" / "archives.py", "--target", target, "--out", folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="not Linux on x86-64")
def test_the_archive_for_linux(case: Case, compiler: list[str], tmp_path: Path) -> None:
    root = unpack("linux-x86_64", tmp_path)
    for name in ("include/edge_harmony.h", "lib/libedgeharmony.so.1", "models/base.onnx", "LICENSE", "README.md",
                 "LICENSE-onnxruntime-headers", "bindings/EdgeHarmony.cs"):  # fmt: skip
        assert (root / name).stat().st_size > 0
    check_pkg_config(case, compiler, root)
    cmake = needed("cmake")
    run(cmake, "-S", EXAMPLES, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={root}")
    run(cmake, "--build", tmp_path / "build")
    at(case, root).check([str(tmp_path / "build" / "composite_c")])


@pytest.mark.slow
def test_the_archive_for_arm_in_an_emulator(case: Case, tmp_path: Path) -> None:
    """EDGE_HARMONY_ONNXRUNTIME_AARCH64 names the library of ONNX Runtime's wheel for aarch64, unpacked.

    ONNX Runtime reads what processor it is on from /proc and /sys, which an emulator does not stand in for.
    """
    emulator, disguise = needed("qemu-aarch64"), needed("unshare")
    runtime = os.environ.get("EDGE_HARMONY_ONNXRUNTIME_AARCH64")
    if runtime is None:
        pytest.skip("EDGE_HARMONY_ONNXRUNTIME_AARCH64 names no ONNX Runtime for aarch64")
    if os.geteuid() != 0:
        pytest.skip("only root may mount an ARM processor's /proc/cpuinfo")
    if not (ARM_LIBRARIES / "lib" / "libstdc++.so.6").exists():
        pytest.skip("no C++ library for aarch64: libstdc++6-arm64-cross")
    root = unpack("linux-aarch64", tmp_path)
    program = tmp_path / "composite"
    run(sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.28", EXAMPLES / "composite.c", "-I",
        root / "include", f"-L{root / 'lib'}", "-ledgeharmony", "-o", program)  # fmt: skip
    cores = tmp_path / "cpu"
    cores.mkdir()
    for name in ("possible", "present", "online"):
        (cores / name).write_text("0\n")
    (tmp_path / "cpuinfo").write_text(CORTEX_A76)
    mounted = 'mount --bind "$0/cpu" /sys/devices/system/cpu && mount --bind "$0/cpuinfo" /proc/cpuinfo && exec "$@"'
    environment = ("-E", f"LD_LIBRARY_PATH={root / 'lib'}", "-E", f"EDGE_HARMONY_ONNXRUNTIME={runtime}")
    case.check([disguise, "-m", "sh", "-c", mounted, str(tmp_path), emulator, "-cpu", "cortex-a76",
                "-L", str(ARM_LIBRARIES), *environment, str(program)])  # fmt: skip
