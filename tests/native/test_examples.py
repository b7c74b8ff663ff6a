"""The example programs, in each language whose compiler is there, against the Python package."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from tests.native.conftest import EXAMPLES, INCLUDE, ROOT, Case, needed


def test_c(case: Case, compiler: list[str], library_path: Path) -> None:
    program = case.folder / "composite_c"
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(
        [*compiler, *strict, "-I", str(INCLUDE), str(EXAMPLES / "composite.c"), "-o", str(program),
         f"-L{library_path.parent}", "-ledgeharmony"], check=True,
    )  # fmt: skip
    case.check([str(program)])


def test_cpp(case: Case, library_path: Path) -> None:
    program = case.folder / "composite_cpp"
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    needed(compiler[0])
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(
        [*compiler, *strict, "-I", str(INCLUDE), str(EXAMPLES / "composite.cpp"), "-o", str(program),
         f"-L{library_path.parent}", "-ledgeharmony"], check=True,
    )  # fmt: skip
    case.check([str(program)])


def test_rust(case: Case, library_path: Path) -> None:
    program = case.folder / "composite_rs"
    subprocess.run(
        [needed("rustc"), "--edition", "2021", "-D", "warnings", str(EXAMPLES / "composite.rs"), "-o", str(program),
         "-L", str(library_path.parent)], check=True,
    )  # fmt: skip
    case.check([str(program)])


def test_c_sharp(case: Case) -> None:
    program = case.folder / "Composite.exe"
    subprocess.run(
        [needed("mcs"), "-warnaserror", f"-out:{program}", str(EXAMPLES / "Composite.cs"),
         str(ROOT / "native" / "bindings" / "EdgeHarmony.cs")], check=True,
    )  # fmt: skip
    case.check([needed("mono"), str(program)])


def test_swift(case: Case) -> None:
    """The module map is one, for clang's modules are Swift's."""
    clang = needed("clang")
    source = case.folder / "module.m"
    source.write_text("@import EdgeHarmony;\nint main(void) { return eh_abi() - EDGE_HARMONY_ABI; }\n")
    subprocess.run([clang, "-fmodules", "-fsyntax-only", "-I", str(INCLUDE), str(source)], check=True)
