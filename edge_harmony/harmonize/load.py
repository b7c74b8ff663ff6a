"""Which model, on which backend."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from edge_harmony.errors import BackendUnavailableError, ConfigError, EngineMismatchError, ModelError
from edge_harmony.harmonize.base import Harmonizer

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "base"
PERSON = "person"  # the matte beside the harmonizers
ENGINE_SUFFIXES = (".engine", ".plan")
MODEL_FOLDER = Path(__file__).resolve().parent.parent / "models"


def load_harmonizer(
    model: str | os.PathLike[str] | None = None, backend: str = "auto", threads: int | None = None
) -> Harmonizer:
    """Load a model on a backend.

    Args:
        model: the name of a model that comes with the package (``base``, the default), or the path of an ONNX
            file with the transform graph, or of an engine that ``python -m export.build_engine`` made.
        backend: ``auto``, ``tensorrt`` or ``onnxruntime``. ``auto`` tries them in this order (TensorRT only if an
            engine lies beside the model, see ``find_engine``), logs which it took, and keeps why others were refused
            in the harmonizer's ``refused``. A backend asked for by name runs or is an error, never silently
            replaced; an engine asked for by its path too.
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
        if name == "tensorrt" and find_engine(path) is None:
            refused[name] = f"there is no engine beside {path.name}"
            continue
        try:
            harmonizer = open_backend(path, threads)
        except (BackendUnavailableError, EngineMismatchError) as error:
            refused[name] = error.message
            _log.warning("not running on %s: %s (%s)", name, error.message, error.hint)
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


def find_engine(model_path: Path) -> Path | None:
    """The engine of a model: itself, or the file beside it that is named after it, FP16 before INT8 before FP32."""
    if model_path.suffix in ENGINE_SUFFIXES:
        return model_path
    stem = model_path.stem
    names = (f"{stem}.engine", *(f"{stem}_{precision}.engine" for precision in ("fp16", "int8", "fp32")))
    return next((path for name in names if (path := model_path.with_name(name)).is_file()), None)


def _open_onnxruntime(path: Path, threads: int | None) -> Harmonizer:
    from edge_harmony.harmonize.onnxruntime import OnnxRuntimeHarmonizer

    return OnnxRuntimeHarmonizer(path, threads)


def _open_tensorrt(path: Path, threads: int | None) -> Harmonizer:
    from edge_harmony.gpu.device import open_device
    from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer

    open_device()  # no GPU is the first thing to say
    engine = find_engine(path) or find_engine(Path(path.name))  # build_engine writes into the current folder
    if engine is None:
        raise BackendUnavailableError(
            f"there is no engine beside {path}",
            f"build one on this machine: python -m export.build_engine --fp16 --onnx {path} "
            f"-o {path.with_suffix('.engine')}",
        )
    return TensorRtHarmonizer(engine, threads, None if engine == path else path)


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
