"""The installed wheel carries its types: mypy and pyright pass the examples, and find mistakes that were planted."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = ("demo.py", "embed.py", "gate_frames.py")
MISTAKEN = '''\
import numpy as np

import edge_harmony
from edge_harmony.live import Pipeline

frame = np.zeros((64, 64, 3), np.uint8)
alpha = np.zeros((64, 64), np.uint8)
compositor = edge_harmony.Compositor(None)
compositor.process(frame, alpha)  # planted: no background
edge_harmony.load_harmonizer(threads="two")  # planted: a number is needed
Pipeline("0", sinks=[print])  # planted: no sink
result = compositor.process(frame, alpha, frame, pts_s=0.5)
print(result.shape, compositor.strength)
'''
PLANTED = {number for number, line in enumerate(MISTAKEN.splitlines(), 1) if "# planted" in line}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """An environment with nothing of the checkout: the wheel, and the dependencies that are at hand."""
    folder = tmp_path_factory.mktemp("typed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("edge_harmony/", "native/", "training/", "export/", "calibration/")) or "/" not in name:
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, target)
    compiler = {} if _has_zig() else {"CC": shutil.which("gcc") or shutil.which("cc") or "cc"}
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    done = subprocess.run(build, cwd=folder / "source", env={**os.environ, **compiler}, capture_output=True, text=True)
    if done.returncode != 0 and "setuptools" in done.stderr and "No module" in done.stderr:
        pytest.skip("building without isolation needs setuptools 77 or later")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:  # as pip does it: a wheel of data and pure code is unpacked
        archive.extractall(packages)
    dependencies = [path for path in site.getsitepackages() if (Path(path) / "numpy").is_dir()]
    (packages / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    (folder / "check").mkdir()
    for example in EXAMPLES:
        shutil.copy2(repository / "examples" / example, folder / "check" / example)
    (folder / "check" / "mistaken.py").write_text(MISTAKEN)
    return folder


def _has_zig() -> bool:
    return subprocess.run([sys.executable, "-m", "ziglang", "version"], capture_output=True).returncode == 0


def _python(folder: Path) -> str:
    return str(folder / "env" / "bin" / "python")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder / "check", env=_environment(), capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_the_wheel_is_what_is_imported(clean: Path) -> None:
    code = "import edge_harmony, pathlib; print(pathlib.Path(edge_harmony.__file__).parent)"
    home = Path(_run(clean, _python(clean), "-c", code).strip())
    assert clean in home.parents
    assert (home / "py.typed").is_file()
    assert list((home / "pixels").glob("_passes_*"))


def test_mypy_passes_the_examples_and_finds_the_mistakes(clean: Path) -> None:
    pytest.importorskip("mypy", reason="pip install -e '.[dev]'")
    said = _run(
        clean, sys.executable, "-m", "mypy", "--python-executable", _python(clean), "--ignore-missing-imports",
        "--cache-dir", str(clean / "cache"), *EXAMPLES, "mistaken.py",
    )  # fmt: skip
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert {int(line.split(":")[1]) for line in errors if line.startswith("mistaken.py")} == PLANTED, said
    assert [line for line in errors if not line.startswith("mistaken.py")] == []


def test_pyright_passes_the_examples_and_finds_the_mistakes(clean: Path) -> None:
    pytest.importorskip("pyright", reason="pip install -e '.[dev]'")
    said = json.loads(
        _run(clean, sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", _python(clean),
             "--level", "error", *EXAMPLES, "mistaken.py")
    )  # fmt: skip
    errors = [(Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in said["generalDiagnostics"]]
    assert {line for name, line in errors if name == "mistaken.py"} == PLANTED, said
    assert [one for one in errors if one[0] != "mistaken.py"] == []
