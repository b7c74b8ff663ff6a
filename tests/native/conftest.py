"""The C library, built once by the plain command of docs/c-library.md, and what it needs at run time."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.native.binding import load

ROOT = Path(__file__).resolve().parents[2]
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
def onnxruntime_path() -> Path:
    """The library of the installed onnxruntime package."""
    onnxruntime = pytest.importorskip("onnxruntime")
    found = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime*"))
    if not found:
        pytest.skip("the onnxruntime package here brings no library of its own")
    return found[0]


@pytest.fixture(scope="session")
def models() -> Path:
    return ROOT / "edge_harmony" / "models"
