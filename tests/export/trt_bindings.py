"""TensorRT's real Python bindings without TensorRT: are our type stubs true in every version?

The binding wheels are small and import on any machine when the libraries behind them are there, even empty ones.
This installs several versions of them, each into a folder of its own under ``build/``, compiles empty libraries
with gcc, and asks each version for every name in ``typings/tensorrt`` and for its parameters::

    python tests/export/trt_bindings.py            # what differs
    python tests/export/trt_bindings.py --record   # and keep the answers in tensorrt_api.json, after changing a stub

Pyright holds our sources to the stubs, so no name is used that a version lacks. Nothing can run: there is no
TensorRT.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
STUB = REPOSITORY / "typings" / "tensorrt" / "__init__.pyi"
RTX_STUB = REPOSITORY / "typings" / "tensorrt_rtx" / "__init__.pyi"
RECORD = Path(__file__).with_name("tensorrt_api.json")
BINDINGS = REPOSITORY / "build" / "trt-bindings"
VERSIONS = {  # JetPack 6.1 and 6.2; 7.0 and 7.1; 7.2.2
    "10.3.0": "tensorrt-cu12-bindings",
    "10.13.3.9": "tensorrt-cu12-bindings",
    "11.4.0.106": "tensorrt-cu13-bindings",
}
_LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")

Overloads = list[list[str]]  # of a method: the parameters of each form, without self; of anything else: empty
Api = dict[str, Overloads | None]  # by name, such as "Builder.create_network"; None: there is no such name

_ASK = """
import importlib, json, sys
sys.path[:0] = sys.argv[2:]
from tests.export.trt_bindings import describe
trt = importlib.import_module(sys.argv[1])
print(json.dumps([trt.__version__, describe(trt, json.load(sys.stdin))]))
"""


class NotHereError(Exception):
    """The bindings cannot be had here; the message says why."""


def stub_names(stub: Path) -> Api:
    """Every name in a stub, with its parameters; private ones and Python's own, but for ``__init__``, are left out."""
    names: Api = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                names[prefix + node.name] = []
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
                is_property = any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list)
                parameters = [argument.arg for argument in node.args.args if argument.arg != "self"]
                names[prefix + node.name] = [] if is_property else [parameters]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and prefix:
                names[prefix + node.target.id] = []

    visit(ast.parse(stub.read_text(encoding="utf-8")).body, "")
    return names


def describe(module: object, names: list[str]) -> Api:
    """What a module has of these names; its doc-strings tell the parameters."""
    answers: Api = {}
    for name in names:
        found = module
        try:
            for part in name.split("."):
                found = getattr(found, part)
        except AttributeError:
            answers[name] = None
            continue
        signature = re.compile(rf"^(?:\d+\. )?{re.escape(name.split('.')[-1])}\((.*)\) -> ", re.MULTILINE)
        forms = signature.findall(getattr(found, "__doc__", None) or "") if callable(found) else []
        answers[name] = [_parameters(form) for form in forms if not form.startswith("*args")]
    return answers


def _parameters(form: str) -> list[str]:
    """The names in ``self: Builder, flags: int = 0``, without self."""
    names = re.findall(r"(?:^|, )(\w+): ", re.sub(r"\[[^\]]*\]|<[^>]*>", "", form))
    return [name for name in names if name != "self"]


def differences(stub: Api, real: Api) -> list[str]:
    """Where a stub says what a version does not have: names, and parameters by name and order."""
    found = []
    for name, ours in stub.items():
        theirs = real.get(name)
        if theirs is None:
            found.append(f"{name} does not exist")
        elif ours and theirs and not any(form[: len(ours[0])] == ours[0] for form in theirs):
            found.append(f"{name} takes {theirs}, not {ours[0]}")
        elif ours and not theirs:
            found.append(f"{name} is no method")
    return found


def ask(version: str, names: list[str]) -> Api:
    """What a version of TensorRT's bindings has of these names. Installs it under ``build/`` at the first call.

    Raises:
        NotHereError: it cannot be installed or imported here.
    """
    home = BINDINGS / version
    if not (home / "ready").is_file():
        shutil.rmtree(home, ignore_errors=True)
        _install(version, home)
        _compile_stubs(version, home)
        (home / "ready").touch()
    command = [sys.executable, "-c", _ASK, "tensorrt_bindings", str(home), str(REPOSITORY)]
    environment = {"LD_LIBRARY_PATH": str(home / "stubs"), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, input=json.dumps(names), text=True, capture_output=True, env=environment)
    if result.returncode != 0:
        raise NotHereError(f"TensorRT {version}'s bindings do not import: {result.stderr.strip().splitlines()[-1]}")
    reported, answers = json.loads(result.stdout)
    assert version.startswith(reported) or reported.startswith(version), (version, reported)
    return answers


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--record", action="store_true", help="keep the answers in tensorrt_api.json")
    args = parser.parse_args()
    stub = stub_names(STUB)
    answers: dict[str, Api] = {}
    worst = 0
    for version in VERSIONS:
        try:
            answers[version] = ask(version, sorted(stub))
        except NotHereError as reason:
            print(f"TensorRT {version}: skipped, {reason}")
            continue
        wrong = differences(stub, answers[version])
        right = f"{len(stub) - len(wrong)} of {len(stub)} names are as in the stub"
        print(f"TensorRT {version}: {right}", *wrong, sep="\n  ")
        worst = max(worst, len(wrong))
    if args.record and len(answers) == len(VERSIONS):
        versions = (
            f"  {json.dumps(version)}: {{\n"
            + ",\n".join(f"    {json.dumps(name)}: {json.dumps(found)}" for name, found in api.items())
            + "\n  }"
            for version, api in answers.items()
        )
        RECORD.write_text("{\n" + ",\n".join(versions) + "\n}\n")
        print(RECORD)
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main())
