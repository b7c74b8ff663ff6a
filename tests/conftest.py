"""Fixtures for every test: where the test material lies, and which hardware there is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_harmony.gpu.detect import find_gpu

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a script: commands inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

REPOSITORY = Path(__file__).resolve().parent.parent
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@pytest.fixture(autouse=True)
def signals_are_left_as_found() -> Iterator[None]:
    """What a test does to this process's signals would decide what a later one sees."""

    def held() -> object:
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) if hasattr(signal, "pthread_sigmask") else None
        return [signal.getsignal(number) for number in STOPPING], masked

    before = held()
    yield
    assert held() == before


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with photographs and clips that are too large, or not free enough, for the repository.

    ``shared`` beside the checkout, or what EDGE_HARMONY_SHARED names. Tests that need it are skipped without it.
    """
    folder = Path(os.environ.get("EDGE_HARMONY_SHARED") or REPOSITORY.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no test material at {folder}: put it there or set EDGE_HARMONY_SHARED")
    return folder


@pytest.fixture(scope="session")
def onnxruntime_path() -> Path:
    """The library of the installed onnxruntime package."""
    onnxruntime = pytest.importorskip("onnxruntime")
    found = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime*"))
    if not found:
        pytest.skip("the onnxruntime package here brings no library of its own")
    return found[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs hardware that is not there."""
    missing = {}
    gpu, reason = find_gpu()
    if gpu is None:
        missing["gpu"] = reason
    if not any(Path("/dev").glob("video*")):
        missing["camera"] = "no camera"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
