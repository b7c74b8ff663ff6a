"""Which model, on which backend."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from edge_harmony.errors import BackendUnavailableError, ConfigError, ModelError
from edge_harmony.harmonize.base import Harmonizer

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "base"
MODEL_FOLDER = Path(__file__).resolve().parent.parent / "models"


def load_harmonizer(
    model: str | os.PathLike[str] | None = None, backend: str = "auto", threads: int | None = None
) -> Harmonizer:
    """Load a model on a backend.

    Args:
        model: the name of a model that comes with the package (``base``, the default), or the path of an ONNX
            file with the transform graph.
        backend: ``auto``, ``tensorrt`` or ``onnxruntime``. ``auto`` tries them in this order, logs which it took,
            and keeps why others were refused in the harmonizer's ``refused``. A backend asked for by name runs or
            is an error, never silently replaced.
        threads: how many threads to use; by default the processors available, at most 8.

    Returns:
        A harmonizer, ready for its first frame.

    Raises:
        ModelError: no such model, or it cannot be used. BackendUnavailableError: the backend asked for, or with
        ``auto`` every backend, cannot run here. ConfigError: an unknown backend, or threads below 1.
    """
    if backend != "auto" and backend not in BACKENDS:
        close = difflib.get_close_matches(backend, ["auto", *BACKENDS], n=1)
        raise ConfigError(
            f"unknown backend {backend!r}",
            f"did you mean {close[0]}?" if close else f"choose from auto, {', '.join(BACKENDS)}",
        )
    path = find_model(model)
    if backend != "auto":
        return _announce(BACKENDS[backend](path, threads))
    refused: dict[str, str] = {}
    for name, open_backend in BACKENDS.items():
        try:
            harmonizer = open_backend(path, threads)
        except BackendUnavailableError as error:
            refused[name] = error.message
            _log.debug("backend %s refused: %s", name, error.message)
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
    names = sorted(file.stem for file in MODEL_FOLDER.glob("*.onnx") if not file.stem.endswith("_frame"))
    close = difflib.get_close_matches(text, names, n=1)
    raise ModelError(
        f"there is no model named {text!r}",
        f"did you mean {close[0]}?"
        if close
        else f"models that come with this package: {', '.join(names) or 'none'}; or pass the path of an .onnx file",
    )


def _open_onnxruntime(path: Path, threads: int | None) -> Harmonizer:
    from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer

    return OnnxRuntimeHarmonizer(path, threads)


def _open_tensorrt(path: Path, threads: int | None) -> Harmonizer:
    del path, threads
    raise BackendUnavailableError(
        "this version of edge_harmony does not run TensorRT engines", "use --backend onnxruntime"
    )


BACKENDS: dict[str, Callable[[Path, int | None], Harmonizer]] = {
    "tensorrt": _open_tensorrt,
    "onnxruntime": _open_onnxruntime,
}
"""Backends by name, in the order in which ``auto`` tries them; each opens a model file with a thread count."""


def _announce(harmonizer: Harmonizer) -> Harmonizer:
    reasons = "".join(f"; not {name}: {reason}" for name, reason in harmonizer.refused.items())
    _log.info(
        "harmonizing with %s on %s, %d threads%s",
        harmonizer.name,
        harmonizer.backend,
        harmonizer.threads,
        reasons,
    )
    return harmonizer
