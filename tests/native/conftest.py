"""The C library, built once by the plain command of docs/c-library.md, and what it needs at run time."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_harmony.compose.compositor import Compositor
from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer
from tests.native.binding import load
from tests.native.scenes import textured
from tests.scenes import soft_disc

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "native" / "examples"
INCLUDE = ROOT / "native" / "include"
HEIGHT, WIDTH = 180, 256
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-fvisibility=hidden", "-DEDGE_HARMONY_BUILDING")
LIBRARIES = ("-lm", "-lpthread", "-ldl")


@pytest.fixture(scope="session")
def compiler() -> list[str]:
    """The C compiler: CC, or cc."""
    words = shlex.split(os.environ.get("CC") or "cc")
    if os.name == "nt" or shutil.which(words[0]) is None:
        pytest.skip(f"no C compiler {words[0]}")
    return words


@pytest.fixture(scope="session")
def library_path(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("library") / "libedgeharmony.so"
    sources = sorted(str(path) for path in (ROOT / "native" / "library").glob("*.c"))
    flags = [flag.replace("-O3", "-O2") for flag in FLAGS]  # quicker to compile
    subprocess.run([*compiler, *flags, "-shared", *sources, "-o", str(target), *LIBRARIES], check=True)
    return target


@pytest.fixture(scope="session")
def library(library_path: Path) -> Any:
    return load(library_path)


@pytest.fixture(scope="session")
def models() -> Path:
    return ROOT / "edge_harmony" / "models"


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}")
    return found


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


@pytest.fixture(scope="session")
def case(library_path: Path, models: Path, onnxruntime_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("example")
    rng = np.random.default_rng(4)
    parts = textured(rng, HEIGHT, WIDTH), soft_disc((HEIGHT, WIDTH), 60, 6.0, (128, 90)), textured(rng, HEIGHT, WIDTH)
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
