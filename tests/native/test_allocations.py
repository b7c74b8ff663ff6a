"""Nothing is allocated per frame: counted by a program that stands in for malloc."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from tests.native.conftest import ROOT


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="counting stands in for glibc's malloc")
def test_no_allocation_after_the_first_frame(
    compiler: list[str], library_path: Path, models: Path, onnxruntime_path: Path, tmp_path: Path
) -> None:
    program = tmp_path / "allocations"
    source = Path(__file__).with_name("allocations.c")
    subprocess.run(
        [*compiler, "-O2", "-rdynamic", "-I", str(ROOT / "native" / "include"), str(source), "-o", str(program),
         f"-L{library_path.parent}", "-ledgeharmony", f"-Wl,-rpath,{library_path.parent}"], check=True,
    )  # fmt: skip
    environment = {**os.environ, "EDGE_HARMONY_ONNXRUNTIME": str(onnxruntime_path)}
    done = subprocess.run(
        [str(program), str(models / "nano.onnx"), str(models / "person.onnx")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {name: (int(ours), int(others)) for name, ours, others in map(str.split, done.stdout.splitlines())}
    assert set(found) == {"plain", "finished", "yuv", "network", "matte"}
    for name, (ours, others) in found.items():
        assert ours == 0, (name, found)
        if name in ("plain", "finished", "yuv"):
            assert others == 0, (name, found)
    # ONNX Runtime allocates as it runs (see docs/c-library.md); were that not counted, the count would say nothing.
    assert found["network"][1] > 0
    print(found)
