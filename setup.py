"""Builds the full-resolution passes (native/*.c) into libraries beside edge_harmony/pixels/passes.py, which loads them.

They are plain shared libraries, not modules of Python's: one build serves every Python. The compiler is clang, as the
package ziglang brings it for every system (named in pyproject.toml, so that pip fetches it for the build alone): the
slowest of its loops are two to six times as fast as gcc's. Set CC to build with another, such as CC=gcc.
"""

from __future__ import annotations

import os
import platform
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
FLAGS = [
    "-std=c11", "-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden",
    "-shared",
]  # fmt: skip
ON_X86_64 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32
# By the levels that native/processor.c tells: how zig and how others name them.
X86_64 = {1: ("x86_64", "x86-64"), 3: ("x86_64_v3", "x86-64-v3"), 4: ("x86_64_v4", "x86-64-v4")}


class BuildPasses(build_ext):
    """Compiles one library for each level of processor."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + SUFFIX

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        given = os.environ.get("CC")
        compiler = shlex.split(given) if given else [sys.executable, "-m", "ziglang", "cc"]
        level = int(ext.name.split("_v")[1].split("_")[0])
        command = [*compiler, *FLAGS, *self.architecture(level, bool(given))]
        command += [str(ROOT / source) for source in ext.sources] + ["-o", str(target)]
        if sys.platform != "win32":
            command += ["-fPIC", "-lm"]
        cache = str(Path(self.build_temp).resolve() / "zig")
        found = {"ZIG_LOCAL_CACHE_DIR": cache, "ZIG_GLOBAL_CACHE_DIR": cache} | dict(os.environ)
        try:
            subprocess.run(command, check=True, env=found)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CompileError(
                f"the full-resolution passes cannot be compiled: {error}\n"
                "hint: pip install ziglang, or set CC to a C compiler (CC=gcc), then install again"
            ) from error

    def copy_extensions_to_source(self) -> None:
        """Into the checkout, where those of older sources go."""
        for old in (ROOT / "edge_harmony" / "pixels").glob("_passes_*"):
            old.unlink()
        super().copy_extensions_to_source()

    @staticmethod
    def architecture(level: int, other: bool) -> list[str]:
        zig, common = X86_64[level] if ON_X86_64 else ("baseline", "")
        if other:
            return [f"-march={common}"] if common else []
        return [f"-mcpu={zig}", "-fno-sanitize=undefined"]


class PlatformWheel(bdist_wheel):
    """For one system, but for every Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


DIGEST = runpy.run_path(str(ROOT / "edge_harmony" / "pixels" / "passes_digest.py"))["sources_digest"](ROOT / "native")
SOURCES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "native").glob("*.c"))
setup(
    ext_modules=[
        Extension(f"edge_harmony.pixels._passes_v{level}_{DIGEST}", SOURCES) for level in (X86_64 if ON_X86_64 else [1])
    ],
    cmdclass={"build_ext": BuildPasses, "bdist_wheel": PlatformWheel},
)
