"""Which model, on which backend."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from edge_harmony.contract import META_GRAPH, META_PRECISION, META_WEIGHTS
from edge_harmony.errors import BackendUnavailableError, ConfigError, EngineMismatchError, ModelError
from edge_harmony.gpu.detect import find_gpu, no_gpu
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.model_metadata import read_metadata
from edge_harmony.harmonize.tensorrt.engine_files import ENGINE_SUFFIXES, engines_of, why_none

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "base"
PERSON = "person"  # the matte beside the harmonizers
MODEL_FOLDER = Path(__file__).resolve().parent.parent / "models"


def load_harmonizer(
    model: str | os.PathLike[str] | None = None, backend: str = "auto", threads: int | None = None
) -> Harmonizer:
    """Load a model on a backend.

    Args:
        model: the name of a model that comes with the package (``base``, the default), or the path of an ONNX
            file with the transform graph, or of an engine that ``python -m export.build_engine`` made.
        backend: ``auto``, ``tensorrt`` or ``onnxruntime``. ``auto`` tries them in this order (TensorRT with an engine
            of the model's weights that lies beside it or in the current folder, see ``engines_of``); the harmonizer's
            ``summary`` says which it took and why others were refused. A backend asked for by name runs or is an
            error, never silently replaced; an engine asked for by its path too.
        threads: how many threads to use; by default the processors available, at most 8.

    Returns:
        A harmonizer, ready for its first frame.

    Raises:
        ModelError: no such model, or it cannot be used. BackendUnavailableError: the backend asked for, or with
        ``auto`` every backend, cannot run here. EngineMismatchError: the engine asked for is not for this machine.
        ConfigError: an unknown backend, or threads below 1.
    """
    if backend != "auto" and backend not in BACKENDS:
        close = difflib.get_close_matches(backend, ["auto", *BACKENDS], n=1)
        raise ConfigError(
            f"unknown backend {backend!r}",
            f"did you mean {close[0]}?" if close else f"choose from auto, {', '.join(BACKENDS)}",
        )
    path = find_model(model)
    if path.suffix in ENGINE_SUFFIXES:
        if backend not in ("auto", "tensorrt"):
            raise ModelError(
                f"{path} is a TensorRT engine, which {backend} does not run",
                "use --backend tensorrt, or pass the .onnx file that it was built from",
            )
        backend = "tensorrt"
    if backend != "auto":
        return _announce(BACKENDS[backend](path, threads))
    refused: dict[str, str] = {}
    for name, open_backend in BACKENDS.items():
        try:
            harmonizer = open_backend(path, threads)
        except (BackendUnavailableError, EngineMismatchError, ModelError) as error:
            if isinstance(error, ModelError) and name == "onnxruntime":  # the model itself is at fault
                raise
            is_at_hand = isinstance(error, EngineMismatchError)  # then the way to mend it is worth a word
            refused[name] = f"{error.message} ({error.hint})" if is_at_hand else error.message
            continue
        harmonizer.refused = refused
        return _announce(harmonizer)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise BackendUnavailableError(f"no backend can run here ({reasons})", "pip install onnxruntime")


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """The file of a model, from its name or its path.

    Raises:
        ModelError: there is no such model; the hint names those that there are.
    """
    text = os.fspath(model) if model is not None else DEFAULT_MODEL
    is_name = not os.path.dirname(text) and not os.path.splitext(text)[1]
    path = MODEL_FOLDER / f"{text}.onnx" if is_name else Path(text).expanduser()
    if path.is_file():
        return path
    if not is_name:
        raise ModelError(f"{path}: no such model file", "check the path, or use a model by name, such as base")
    names = sorted(f.stem for f in MODEL_FOLDER.glob("*.onnx") if f.stem != PERSON and not f.stem.endswith("_frame"))
    close = difflib.get_close_matches(text, names, n=1)
    raise ModelError(
        f"there is no model named {text!r}",
        f"did you mean {close[0]}?"
        if close
        else f"models that come with this package: {', '.join(names) or 'none'}; or pass the path of an .onnx file",
    )


def find_model_of(weights_sha256: str, beside: Path) -> Path | None:
    """The FP32 model with some weights, in one folder or among those of the package; None where there is none."""
    for path in (*sorted(beside.glob("*.onnx")), *sorted(MODEL_FOLDER.glob("*.onnx"))):
        try:
            notes = read_metadata(path)
        except ModelError:
            continue
        is_model = notes.get(META_GRAPH) == "transform" and notes.get(META_PRECISION, "fp32") == "fp32"
        if is_model and notes.get(META_WEIGHTS) == weights_sha256:
            return path
    return None


def _open_onnxruntime(path: Path, threads: int | None) -> Harmonizer:
    from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer

    return OnnxRuntimeHarmonizer(path, threads)


def _open_tensorrt(path: Path, threads: int | None) -> Harmonizer:
    gpu, reason = find_gpu()  # no GPU is the first thing to say
    if gpu is None:
        raise no_gpu(reason)
    from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer

    if path.suffix in ENGINE_SUFFIXES:
        return TensorRtHarmonizer(path, threads)
    refused: EngineMismatchError | None = None
    for file in engines_of(path):
        try:
            return TensorRtHarmonizer(file.path, threads, file.sidecar.weights_sha256)
        except EngineMismatchError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    raise BackendUnavailableError(
        why_none(path), f"build one on this machine: python -m export.build_engine --fp16 --onnx {path}"
    )


BACKENDS: dict[str, Callable[[Path, int | None], Harmonizer]] = {
    "tensorrt": _open_tensorrt,
    "onnxruntime": _open_onnxruntime,
}
"""Backends by name, in the order in which ``auto`` tries them; each opens a model file with a thread count."""


def _announce(harmonizer: Harmonizer) -> Harmonizer:
    _log.info("harmonized by %s", harmonizer.summary)
    return harmonizer
