"""What stands in for TensorRT is like it, pycuda's names exist, and each is loaded in one file alone."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys

import pytest

from tests.gpu import build_pycuda


def test_tensorrt_is_loaded_in_one_file(repository):
    others = [p for p in (repository / "edge_harmony").rglob("*.py") if p.name != "engine.py"]
    strays = {p.name for p in others if {"tensorrt", "tensorrt_rtx"} & _imports(p.read_text())}
    assert not strays, "TensorRT belongs into one file"


def test_the_stand_in_has_nothing_that_tensorrt_lacks(repository):
    """Names, and those of the parameters, so that what runs on the stand-in is at least callable on TensorRT."""
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install -e '.[rtx]'")
    sys.path.insert(0, str(repository / "tests" / "gpu"))
    import standin_tensorrt as standin

    for kind in ("Runtime", "ICudaEngine", "IExecutionContext", "ILogger"):
        real, ours = getattr(trt, kind), getattr(standin, kind)
        for name, member in vars(ours).items():
            if name.startswith("_"):
                continue
            assert hasattr(real, name), f"{kind}.{name}"
            if inspect.isfunction(member) and kind != "ILogger":
                told = inspect.getdoc(getattr(real, name)) or ""
                for parameter in list(inspect.signature(member).parameters)[1:]:
                    assert f"{parameter}:" in told, f"{kind}.{name}({parameter}): {told.splitlines()[:1]}"
    for kind in ("DataType", "TensorIOMode"):
        assert all(hasattr(getattr(trt, kind), member.name) for member in getattr(standin, kind))


def test_pycudas_names_exist(repository):
    """Against pycuda as it was built here; the GPU tests on the emulated driver then call them."""
    names = _pycuda_names((repository / "edge_harmony" / "gpu" / "device.py").read_text())
    assert {"Device", "Context.pop", "memcpy_htod_async", "host_alloc_flags.DEVICEMAP"} <= names
    if not (repository / "build" / "pycuda").is_dir():
        pytest.skip("pycuda was not built yet: python tests/gpu/build_pycuda.py")
    try:
        environment = build_pycuda.build()
    except build_pycuda.NotHereError as reason:
        pytest.skip(str(reason))
    ask = (
        "import functools, sys, pycuda.driver as cuda\n"
        "def has(name):\n"
        "    try: functools.reduce(getattr, name.split('.'), cuda)\n"
        "    except AttributeError: return False\n"
        "    return True\n"
        "print([name for name in sys.argv[1:] if not has(name)])\n"
    )
    command = [sys.executable, "-c", ask, *sorted(names)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_pycuda_is_imported_in_one_file(repository):
    files = [p for p in (repository / "edge_harmony").rglob("*.py") if "pycuda" in _imports(p.read_text())]
    assert [p.relative_to(repository).as_posix() for p in files] == ["edge_harmony/gpu/device.py"]


def test_the_runtime_loads_without_pycuda_and_tensorrt(repository):
    program = (
        "import sys\n"
        "import edge_harmony.harmonize.tensorrt.harmonizer\n"
        "print([name for name in ('pycuda', 'tensorrt', 'tensorrt_rtx') if name in sys.modules])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert result.stdout.strip() == "[]", result.stderr


def _imports(source: str) -> set[str]:
    """The packages that a source imports, ``importlib.import_module("...")`` aside."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def _pycuda_names(source: str) -> set[str]:
    """Chains after ``driver``, and after the names that hold parts of it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        parts: list[str] = []
        value: ast.expr = node if isinstance(node, ast.Attribute) else ast.Name("")
        while isinstance(value, ast.Attribute) and value.attr != "_driver":
            parts.insert(0, value.attr)
            value = value.value
        if (isinstance(value, ast.Attribute) or (isinstance(value, ast.Name) and value.id == "driver")) and parts:
            names.add(".".join(parts))
    return names
