"""Our type stubs of TensorRT are true in all versions that we claim, and in TensorRT-RTX; pyright holds us to them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.trt_bindings import (
    RECORD,
    RTX_STUB,
    STUB,
    VERSIONS,
    Api,
    NotHereError,
    ask,
    describe,
    differences,
    stub_names,
)

RECORDED: dict[str, Api] = json.loads(RECORD.read_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stub_is_true_in_each_version(version):
    """Held against the answers of the real bindings that were recorded."""
    stub = stub_names(STUB)
    assert len(stub) > 60
    assert sorted(RECORDED[version]) == sorted(stub), "run python tests/export/trt_bindings.py --record"
    assert not differences(stub, RECORDED[version])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_record_is_true(version):
    """Held against the real bindings, where they can be installed."""
    try:
        real = ask(version, [*RECORDED[version], "Builder.create_everything", "NoSuchClass"])
    except NotHereError as reason:
        pytest.skip(str(reason))
    assert real.pop("Builder.create_everything") is None, "the probe finds anything"
    assert real.pop("NoSuchClass") is None
    assert real == RECORDED[version]


def test_the_stubs_are_true_in_rtx():
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install -e '.[rtx]'")
    stub = {**stub_names(STUB), **stub_names(RTX_STUB)}
    assert "IBuilderConfig.set_compute_capability" in stub
    assert not differences(stub, describe(trt, list(stub)))


def test_differences_are_found(tmp_path):
    stub = tmp_path / "stub.pyi"
    stub.write_text("class A:\n    def f(self, x: int, y: int = 0): ...\n    def g(self): ...\n    z: int\n")
    ours = stub_names(stub)
    assert ours == {"A": [], "A.f": [["x", "y"]], "A.g": [[]], "A.z": []}
    real: Api = {"A": [], "A.f": [["x", "y", "more"]], "A.g": [[]], "A.z": []}
    assert not differences(ours, real)
    assert differences(ours, {**real, "A.f": [["y", "x"]]}) == ["A.f takes [['y', 'x']], not ['x', 'y']"]
    assert differences(ours, {**real, "A.g": None}) == ["A.g does not exist"]
    assert differences(ours, {**real, "A.f": []}) == ["A.f is no method"]


def test_what_11_removed_is_not_in_the_stub():
    assert not {name for name in stub_names(STUB) if name.startswith(("BuilderFlag.FP16", "BuilderFlag.INT8", "IInt8"))}


@pytest.mark.parametrize("name", ["standin_tensorrt", "standin_builder"])
def test_the_stand_in_has_nothing_of_its_own(name, repository):
    """What the stand-in of tests/gpu offers under TensorRT's names, TensorRT has, with the same parameters."""
    standin = stub_names(repository / "tests" / "gpu" / f"{name}.py")
    known = stub_names(STUB)
    for name_of, forms in stub_names(RTX_STUB).items():  # what TensorRT-RTX alone has, or has in another form too
        known[name_of] = [*(known.get(name_of) or []), *(forms or [])]
    shared = {name: forms for name, forms in standin.items() if name.split(".")[0] in known}
    assert len(shared) > 10
    assert not differences({name: forms for name, forms in shared.items() if not name.endswith("__init__")}, known)


def test_pyright_finds_a_wrong_name(tmp_path, repository):
    if shutil.which(pyright := str(Path(sys.executable).with_name("pyright"))) is None:
        pytest.skip("pyright is not installed")
    (tmp_path / "use.py").write_text(
        "from edge_harmony.harmonize.tensorrt.engine import load_tensorrt\n"
        "trt = load_tensorrt('tensorrt')\n"
        "trt.Bilder\n"
        "trt.Builder(trt.ILogger()).create_netzwerk()\n"
        "trt.Runtime(trt.ILogger()).deserialize_cuda_engine()\n"
    )
    settings = {"stubPath": str(repository / "typings"), "extraPaths": [str(repository)], "typeCheckingMode": "basic"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    result = subprocess.run([pyright, "--outputjson", "-p", str(tmp_path)], capture_output=True, text=True)
    found = [(d["range"]["start"]["line"], d["rule"]) for d in json.loads(result.stdout)["generalDiagnostics"]]
    wrong = "reportAttributeAccessIssue"
    assert [(2, wrong), (3, wrong), (4, "reportCallIssue")] == [d for d in found if d[1] != "reportUnusedExpression"]
