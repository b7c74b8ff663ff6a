"""The example programs, in each language whose compiler is there, against the Python package."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_harmony.compose.compositor import Compositor
from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer
from tests.native.conftest import ROOT
from tests.native.scenes import soft_disc, textured

EXAMPLES = ROOT / "native" / "examples"
INCLUDE = ROOT / "native" / "include"
HEIGHT, WIDTH = 180, 256


@dataclass
class Case:
    """Files for an example to work on, and what it should make of them."""

    folder: Path
    words: list[str]
    expected: NDArray[np.uint8]
    environment: dict[str, str]

    def check(self, command: list[str]) -> None:
        """Run a program and compare."""
        out = self.folder / "out"
        out.unlink(missing_ok=True)
        done = subprocess.run(
            [*command, *self.words, str(out)], env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        made = np.fromfile(out, np.uint8).reshape(HEIGHT, WIDTH, 3)
        assert cv2.absdiff(made, self.expected).max() <= 1
        wrong = [self.words[0] + ".none", *self.words[1:], str(out)]
        done = subprocess.run(
            [*command, *wrong], env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        assert done.returncode != 0, "a model that is not there"
        assert ".none" in done.stderr


@pytest.fixture(scope="module")
def case(library_path: Path, models: Path, onnxruntime_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("example")
    rng = np.random.default_rng(4)
    parts = textured(rng, HEIGHT, WIDTH), soft_disc(HEIGHT, WIDTH, (90, 128), 60, 6.0), textured(rng, HEIGHT, WIDTH)
    for name, part in zip(("frame", "alpha", "background"), parts, strict=True):
        part.tofile(folder / name)
    model = models / "nano.onnx"
    expected = Compositor(OnnxRuntimeHarmonizer(model)).process(*parts)
    words = [str(model), str(WIDTH), str(HEIGHT), *(str(folder / name) for name in ("frame", "alpha", "background"))]
    environment = {
        "EDGE_HARMONY_ONNXRUNTIME": str(onnxruntime_path),
        "LD_LIBRARY_PATH": str(library_path.parent),
        "DYLD_LIBRARY_PATH": str(library_path.parent),
    }
    return Case(folder, words, expected, environment)


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}")
    return found


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
