"""The transform graph in ONNX Runtime, on the CPU."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import (
    COMPOSITE,
    CONTRACT_VERSION,
    MASK,
    META_CONTRACT,
    META_GRAPH,
    META_MODEL,
    TRANSFORM,
    TRANSFORM_SHAPE,
    WORKING_SIZE,
)
from edge_harmony.errors import BackendUnavailableError, ModelError
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.model_metadata import read_metadata
from edge_harmony.harmonize.transfer import Transform

_log = logging.getLogger(__name__)

_PROVIDERS = ["CPUExecutionProvider"]
_EXPORT_HINT = "export it again from its checkpoint with python -m export.to_onnx"
_EXPECTED = {
    COMPOSITE: (1, 3, WORKING_SIZE, WORKING_SIZE),
    MASK: (1, 1, WORKING_SIZE, WORKING_SIZE),
    TRANSFORM: TRANSFORM_SHAPE,
}
_LIKELY_SMALLEST = 200  # bytes; an ONNX file that holds our three tensors is larger


class OnnxRuntimeHarmonizer(Harmonizer):
    """A transform graph on ONNX Runtime's CPU provider.

    May be called from several threads at once. The model is checked before it is used.

    Args:
        model_path: an ONNX file that holds the transform graph of ``edge_harmony.contract``.
        threads: how many threads the network and the full-resolution step may use; by default the processors
            available, at most 8.

    Raises:
        BackendUnavailableError: ONNX Runtime is not installed or cannot be loaded.
        ModelError: the file is missing, no ONNX model, damaged, of another contract version, the frame graph
            instead of the transform graph, or has other tensors.
        ConfigError: threads below 1.
    """

    backend = "onnxruntime"

    def __init__(self, model_path: Path, threads: int | None = None) -> None:
        runtime = _import_runtime()
        _check_file(model_path)
        super().__init__(model_path.stem, model_path, {}, threads)
        self._session = _open_session(runtime, model_path, self.threads)
        self.metadata = read_metadata(model_path)
        self.name = self.metadata.get(META_MODEL) or model_path.stem
        _check_contract(model_path, self.metadata)
        _check_tensors(model_path, self._session)
        _log.debug("%s: %s with %d threads", model_path, self._session.get_providers(), self.threads)

    def _transform_impl(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Transform:
        try:
            (transform,) = self._session.run([TRANSFORM], {COMPOSITE: composite, MASK: mask})
        except Exception as error:  # the runtime's own classes share no other base
            raise ModelError(f"{self.model_path} failed to run: {_first_line(error)}", _EXPORT_HINT) from error
        return transform


def _import_runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailableError(f"ONNX Runtime cannot be imported: {error}", "pip install onnxruntime") from error
    if not hasattr(onnxruntime, "InferenceSession"):  # a folder of that name, or a broken installation
        raise BackendUnavailableError(
            "the module onnxruntime is not ONNX Runtime", "pip install --force-reinstall onnxruntime"
        )
    return onnxruntime


def _check_file(model_path: Path) -> None:
    if not model_path.is_file():
        raise ModelError(
            f"{model_path}: no such model file", "check the path; models are .onnx files of the transform graph"
        )
    try:
        with model_path.open("rb") as file:
            start = file.read(_LIKELY_SMALLEST)
    except OSError as error:
        raise ModelError(f"{model_path}: {error.strerror}", "check the file's permissions") from error
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{model_path} is only a pointer to a large file", "fetch the file itself: git lfs pull")
    if len(start) < _LIKELY_SMALLEST:
        raise ModelError(f"{model_path} is no ONNX model: it holds {len(start)} bytes", "copy or download it again")


def _open_session(runtime: Any, model_path: Path, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # 10 MB, and no faster with it
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only: they reach the user as exceptions
    # Threads that go on spinning after a run would compete with the full-resolution step that follows it. Within a
    # run, spinning saves a fifth where the processors are free (and costs as much again where others are busy).
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return runtime.InferenceSession(str(model_path), options, providers=_PROVIDERS)
    except Exception as error:  # the runtime's own classes share no other base
        raise ModelError(
            f"{model_path} cannot be loaded, it is damaged or no ONNX model: {_first_line(error)}",
            f"copy it again, or {_EXPORT_HINT}",
        ) from error


def _check_contract(model_path: Path, metadata: dict[str, str]) -> None:
    version = metadata.get(META_CONTRACT)
    if version is None:
        raise ModelError(
            f"{model_path} says no contract version: it was not exported by edge_harmony",
            "use a model that python -m export.to_onnx wrote",
        )
    if version != str(CONTRACT_VERSION):
        raise ModelError(
            f"{model_path} is of contract version {version}; this edge_harmony needs {CONTRACT_VERSION}",
            _EXPORT_HINT,
        )
    graph = metadata.get(META_GRAPH)
    if graph != "transform":
        raise ModelError(
            f"{model_path} is the {graph or 'unnamed'} graph, not the transform graph",
            "the frame graph is for other programs; pass the file that python -m export.to_onnx wrote without "
            "_frame in its name",
        )


def _check_tensors(model_path: Path, session: Any) -> None:
    for kind, tensors, names in (
        ("inputs", session.get_inputs(), (COMPOSITE, MASK)),
        ("outputs", session.get_outputs(), (TRANSFORM,)),
    ):
        try:
            found = [tensor.name for tensor in tensors]
        except UnicodeDecodeError:
            raise ModelError(f"{model_path} has {kind} whose names are no text in UTF-8", _EXPORT_HINT) from None
        if sorted(found) != sorted(names):
            raise ModelError(
                f"{model_path} has the {kind} {', '.join(found) or 'none'}; expected {', '.join(names)}",
                _EXPORT_HINT,
            )
        for tensor in tensors:
            expected = _EXPECTED[tensor.name]
            if tensor.type != "tensor(float)" or tuple(tensor.shape) != expected:
                raise ModelError(
                    f"{model_path}: {tensor.name} is {tensor.type} {tuple(tensor.shape)}; "
                    f"expected tensor(float) {expected}",
                    _EXPORT_HINT,
                )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
