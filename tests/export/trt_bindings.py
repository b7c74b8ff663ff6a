"""TensorRT's real Python bindings without TensorRT: do the names that we use exist in every version?

The binding wheels are small and import on any machine when the libraries behind them are there, even empty ones.
This installs several versions of them, each into a folder of its own under ``build/``, compiles empty libraries
with gcc, and asks each version for every name that our code uses::

    python tests/export/trt_bindings.py

The names are read from the sources: chains such as ``trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED``, and
attributes of variables that are named after what they hold (``OBJECTS``). Nothing can run: there is no TensorRT.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCES = ("export/builder.py", "edge_harmony/harmonize/engine.py")
VERSIONS = {  # JetPack 6.1 and 6.2; 7.0 and 7.1; 7.2.2
    "10.3.0": "tensorrt-cu12-bindings",
    "10.13.3.9": "tensorrt-cu12-bindings",
    "11.4.0.106": "tensorrt-cu13-bindings",
}
OBJECTS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "fault": "ParserError",
    "profile": "IOptimizationProfile",
    "tensor": "ITensor",
    "cache": "ITimingCache",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
}
RTX_ONLY = {
    "ComputeCapability",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
}
_LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")

_ASK = """
import functools, importlib, json, sys
sys.path.insert(0, sys.argv[1])
trt = importlib.import_module(sys.argv[2])
missing = []
for name in json.load(sys.stdin):
    try:
        functools.reduce(getattr, name.split("."), trt)
    except AttributeError:
        missing.append(name)
print(json.dumps([trt.__version__, missing]))
"""


class NotHereError(Exception):
    """The bindings cannot be had here; the message says why."""


def names_used() -> set[str]:
    """Every name of TensorRT in our sources, such as ``Builder.create_network``."""
    names: set[str] = set()
    for source in SOURCES:
        path = REPOSITORY / source
        if path.is_file():
            names |= names_in(path.read_text(encoding="utf-8"))
    return names


def names_in(source: str) -> set[str]:
    """The names of TensorRT in one source text."""
    tree = ast.parse(source)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = _last_name(node.value)
            if owner in OBJECTS:
                names.add(f"{OBJECTS[owner]}.{node.attr}")
            chain = _chain(node)
            if chain and id(node) not in inner and not chain.startswith("__"):
                names.add(chain)
        elif isinstance(node, ast.ClassDef):  # an interface of theirs that we implement
            for base in filter(None, map(_chain, node.bases)):
                methods = (m.name for m in node.body if isinstance(m, ast.FunctionDef))
                names |= {f"{base}.{method}" for method in methods if not method.startswith("_")}
    return names


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _chain(node: ast.expr) -> str:
    """``A.B`` of ``trt.A.B`` or ``self.trt.A.B``; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and node.attr != "trt":
        parts.insert(0, node.attr)
        node = node.value
    return ".".join(parts) if _last_name(node) == "trt" else ""


def missing_from(version: str, names: set[str], folder: Path) -> list[str]:
    """The names that a version of TensorRT's bindings lacks. Installs it into ``folder`` at the first call.

    Raises:
        NotHereError: it cannot be installed or imported here.
    """
    home = folder / version
    if not (home / "ready").is_file():
        shutil.rmtree(home, ignore_errors=True)
        _install(version, home)
        _compile_stubs(version, home)
        (home / "ready").touch()
    ask = [sys.executable, "-c", _ASK, str(home), "tensorrt_bindings"]
    environment = {"LD_LIBRARY_PATH": str(home / "stubs"), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(ask, input=json.dumps(sorted(names)), text=True, capture_output=True, env=environment)
    if result.returncode != 0:
        raise NotHereError(f"TensorRT {version}'s bindings do not import: {result.stderr.strip().splitlines()[-1]}")
    reported, missing = json.loads(result.stdout)
    assert version.startswith(reported) or reported.startswith(version), (version, reported)
    return missing


def _install(version: str, home: Path) -> None:
    wheel = f"{VERSIONS[version]}=={version}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    result = subprocess.run([*command, "--target", str(home), wheel], text=True, capture_output=True, timeout=300)
    if result.returncode != 0:
        words = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise NotHereError(f"{wheel} cannot be installed for this Python: {words[-1]}")


def _compile_stubs(version: str, home: Path) -> None:
    """Empty libraries that hold the symbols which the bindings want."""
    missing = [tool for tool in ("gcc", "nm") if shutil.which(tool) is None]
    if missing:
        raise NotHereError(f"{' and '.join(missing)} not installed, so that no stub libraries can be compiled")
    (binding,) = (home / "tensorrt_bindings").glob("tensorrt*.so")
    listing = subprocess.run(["nm", "-D", "--undefined-only", str(binding)], text=True, capture_output=True, check=True)
    symbols = re.findall(r"^\s+U (\w+)$", listing.stdout, re.MULTILINE)  # the C library's carry a version
    code = "".join(f"void *{s}(void) {{ return 0; }}\n" for s in symbols if not s.startswith(("Py", "_Py")))
    stubs = home / "stubs"
    stubs.mkdir()
    (stubs / "stub.c").write_text(code)
    for library in _LIBRARIES:
        name = f"{library}.so.{version.split('.')[0]}"
        flags = ["-w", "-fno-builtin", "-shared", "-fPIC", f"-Wl,-soname,{name}"]
        subprocess.run(["gcc", *flags, "-o", str(stubs / name), str(stubs / "stub.c")], check=True)


def main() -> int:
    names = names_used() - RTX_ONLY
    worst = 0
    for version in VERSIONS:
        try:
            missing = missing_from(version, names, REPOSITORY / "build" / "trt-bindings")
        except NotHereError as reason:
            print(f"TensorRT {version}: skipped, {reason}")
            continue
        print(f"TensorRT {version}: {len(names) - len(missing)} of {len(names)} names exist", *missing)
        worst = max(worst, len(missing))
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main())
