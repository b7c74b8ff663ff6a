"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("edge_harmony", "training", "export", "calibration", "benchmarks", "examples", "tests")
SOURCES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))
COMMANDS = [
    path for path in SOURCES
    if path.relative_to(ROOT).parts[0] in ("export", "calibration") and '__name__ == "__main__"' in path.read_text()
]  # fmt: skip

# Optional packages, and the only places in the runtime that may import them.
IMPORTERS = {
    "pycuda": ("edge_harmony/gpu/device",),
    "tensorrt": ("edge_harmony/harmonize/tensorrt/engine", "edge_harmony/doctor"),
    "tensorrt_rtx": ("edge_harmony/harmonize/tensorrt/engine", "edge_harmony/doctor"),
    "pyvirtualcam": ("edge_harmony/sinks/", "edge_harmony/doctor"),
    "av": ("edge_harmony/capture/", "edge_harmony/sinks/"),
    "gi": ("edge_harmony/gstreamer/element",),
    "ray": ("edge_harmony/batch/ray_workers",),
    "onnxruntime": ("edge_harmony/harmonize/onnxruntime", "edge_harmony/matte/onnx", "edge_harmony/doctor"),
}


def imported(path: Path) -> set[str]:
    """Top-level names of all packages that a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_file_has_a_name_that_says_something(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_file_parses_on_python_3_10(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 10))


@pytest.mark.parametrize("package", sorted(IMPORTERS))
def test_optional_package_has_its_own_file(package: str) -> None:
    runtime = [p for p in SOURCES if p.relative_to(ROOT).parts[0] == "edge_harmony"]
    strangers = [
        name
        for p in runtime
        if package in imported(p)
        if not (name := p.relative_to(ROOT).as_posix()).startswith(IMPORTERS[package])
    ]
    assert not strangers


def test_import_loads_numpy_and_opencv_only() -> None:
    # `import edge_harmony` is to cost under 0.2 s: so nothing heavy may be behind it.
    loaded = run_python(
        "import sys, numpy, cv2\n"
        "before = {m.split('.')[0] for m in sys.modules}\n"
        "import edge_harmony\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} - before - set(sys.stdlib_module_names)))"
    ).split()
    assert set(loaded) <= {"edge_harmony"}


def test_import_works_without_any_optional_package() -> None:
    run_python(
        "import sys\n"
        "class Absent:\n"
        "    names = {'torch','onnx','onnxruntime','numba','av','rich','tomli','skimage','pycuda','tensorrt','scipy'}\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in self.names: raise ImportError(name + ' is absent')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import edge_harmony, edge_harmony.contract, edge_harmony.errors, edge_harmony.pixels.over\n"
    )


def test_repository_names_no_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    words = tuple("/" + name + "/" for name in ("work", "root", "farm"))
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in (".onnx", ".png", ".jpg", ".webp", ".mp4") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        found += [f"{name}: {word}" for word in words if word in text]
    assert not found


def test_weights_in_the_repository_are_small() -> None:
    models = sorted((ROOT / "edge_harmony" / "models").glob("*.onnx"))
    large = [p for p in models if p.stem.split("_")[0] == "large"]  # for GPUs and files, and asked for by name
    assert sum(p.stat().st_size for p in models if p not in large) <= 6e6  # base has 1.5 million weights in two bytes
    assert sum(p.stat().st_size for p in large) <= 10e6
    for model in models:
        assert model.with_suffix(".md").exists() or (model.parent / f"{model.stem.split('_')[0]}.md").exists(), (
            f"{model.name} has no model card"
        )


@pytest.mark.parametrize("path", COMMANDS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_of_models_has_v(path: Path) -> None:
    text = path.read_text()
    assert "add_verbose(parser)" in text


def test_pycuda_is_asked_for_alike_everywhere() -> None:
    """Before 2025.1.2 it does not compile with CUDA 13."""
    from edge_harmony.gpu.detect import PYCUDA

    for name in ("pyproject.toml", "Dockerfile.jetson", "docs/jetson.md"):
        found = set(re.findall(r"pycuda>=[\d.]+", (ROOT / name).read_text()))
        assert found == {PYCUDA}, name


def test_docs_state_one_contract_version() -> None:
    from edge_harmony.contract import CONTRACT_VERSION

    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "edge_harmony/models").glob("*.md")]
    said = re.compile(r"contract(?:'s)?(?: version)?,?\s[`*]{0,2}(\d+)\b", re.IGNORECASE)
    stated = {(page.name, int(number)) for page in pages for number in said.findall(page.read_text())}
    assert "contract.md" in {page for page, _ in stated}
    assert {number for _, number in stated} == {CONTRACT_VERSION}, stated
