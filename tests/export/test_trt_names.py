"""Every TensorRT name in our sources exists in the bindings of all versions that we claim, and in TensorRT-RTX."""

from __future__ import annotations

import functools

import pytest

from tests.export import trt_bindings


@pytest.mark.parametrize("version", trt_bindings.VERSIONS)
def test_names_exist(version, repository):
    folder = repository / "build" / "trt-bindings"
    try:
        never = {"Builder.create_everything", "NoSuchClass"}
        assert set(trt_bindings.missing_from(version, never, folder)) == never, "the probe finds anything"
        missing = trt_bindings.missing_from(version, trt_bindings.names_used() - trt_bindings.RTX_ONLY, folder)
    except trt_bindings.NotHereError as reason:
        pytest.skip(str(reason))
    assert not missing


def test_names_exist_in_rtx():
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install -e '.[rtx]'")
    names = trt_bindings.names_used()
    assert len(names) > 30
    assert names >= trt_bindings.RTX_ONLY
    for name in names:
        functools.reduce(getattr, name.split("."), trt)


def test_names_are_found_in_a_source():
    source = """
class Own(trt.ILogger):
    def log(self, severity, msg): return self.trt.Logger.Severity.ERROR
def f(builder): return builder.create_network(1 << int(trt.Flag.STRONG)), self.engine.num_io_tensors, other.thing
"""
    assert trt_bindings.names_in(source) == {
        "ILogger",
        "ILogger.log",
        "Logger.Severity.ERROR",
        "Builder.create_network",
        "Flag.STRONG",
        "ICudaEngine.num_io_tensors",
    }


def test_what_11_removed_is_not_used():
    used = trt_bindings.names_used()
    assert not {name for name in used if name.startswith(("BuilderFlag.FP16", "BuilderFlag.INT8", "IInt8"))}
