"""Probes of the models and engines, and of the main job itself; each runs in a process of its own."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any, Final

from edge_harmony.contract import CONTRACT_VERSION, META_CONTRACT, META_GRAPH, META_MODEL, META_PRECISION, META_WEIGHTS
from edge_harmony.doctor.report import ABSENT, FAILED, OK, WARNING, Finding
from edge_harmony.errors import BackendUnavailableError, EdgeHarmonyError, EngineMismatchError
from edge_harmony.harmonize.load import MODEL_FOLDER, find_model, load_harmonizer
from edge_harmony.harmonize.model_metadata import read_metadata, weights_of
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine_files import ENGINE_SUFFIXES, engine_paths
from edge_harmony.harmonize.tensorrt.engine_sidecar import Machine

_NO_MODEL: Final = (
    "install edge-harmony again, or put the model back: python -m export.to_onnx --checkpoint FILE "
    "-o edge_harmony/models --name base"
)
_MATTE: Final = "matte"  # the kind of graph that finds the subject; no contract binds it but its own tensors
_SIZE_HW: Final = (180, 320)  # of the picture that the main job is tried on


def probe_models(model: str | None) -> Finding:
    """The model asked for and those of the package: hash, contract version, what they say of themselves."""
    try:
        chosen = find_model(model)
    except EdgeHarmonyError as error:
        remedy = error.hint if model else _NO_MODEL
        return Finding("models", FAILED, reason=error.message, remedy=remedy, details={"files": []})
    files = [chosen, *(path for path in sorted(MODEL_FOLDER.glob("*.onnx")) if path != chosen)]
    described = [_describe(path) for path in files]
    words = [_words(about) for about in described]
    first, *others = described
    details = {"folder": str(MODEL_FOLDER), "files": described}
    if first["problem"]:
        remedy = "copy it again, or export it again from its checkpoint with python -m export.to_onnx"
        return Finding("models", FAILED, "; ".join(words), f"{chosen.name}: {first['problem']}", remedy, details)
    bad = next((about for about in others if about["problem"]), None)
    if bad is not None:
        remedy = f"remove {bad['path']}, or export it again with python -m export.to_onnx"
        reason = f"{Path(bad['path']).name}: {bad['problem']}"
        return Finding("models", WARNING, "; ".join(words), reason, remedy, details)
    return Finding("models", OK, "; ".join(words), details=details)


def probe_engines(
    folders: list[str], gpu: dict[str, Any], tensorrt: str, tensorrt_rtx: str, model: str | None = None
) -> Finding:
    """The engines in some folders: whether each has its sidecar, is whole, and fits this machine and the model.

    Args:
        folders: where to look.
        gpu: ``name`` and ``sm`` of the GPU, None where there is none.
        tensorrt: version at hand; empty where there is none, as for ``tensorrt_rtx``.
        model: the name or file of the model that they should be of; by default the package's own.
    """
    machine = Machine(gpu.get("sm") or "", gpu.get("name") or "", {"tensorrt": tensorrt, "rtx": tensorrt_rtx})
    weights, asked = _weights_asked_for(model)
    files = [_describe_engine(path, machine) for path in engine_paths([Path(folder) for folder in folders])]
    details = {"files": files}
    build = f"python -m export.build_engine --fp16{'' if model is None else f' --onnx {asked}'}"
    if not files:
        reason = "no engine here or beside the model"
        return Finding("engines", ABSENT, reason=reason, remedy=build, details=details)
    words = "; ".join(_words(about) for about in files)
    ours = [about for about in files if about["weights_sha256"] == weights]
    bad = next((about for about in (ours or files) if about["problem"]), None)
    if bad is not None and not any(about for about in ours if not about["problem"]):
        return Finding("engines", WARNING, words, bad["problem"], bad["remedy"], details)
    if not ours:
        return Finding("engines", ABSENT, words, f"none of them is of {asked.name}", build, details)
    if not gpu.get("sm"):
        return Finding("engines", ABSENT, words, "whole, but there is no GPU to run them on", details=details)
    return Finding("engines", OK, words, details=details)


def probe_main_job(model: str | None) -> Finding:
    """Harmonize a small picture with the model on ONNX Runtime, on the CPU: what everything else is for."""
    return _try_backend("main job", "onnxruntime", model, FAILED)


def probe_tensorrt_backend(model: str | None) -> Finding:
    """The same with TensorRT."""
    return _try_backend("TensorRT backend", "tensorrt", model, ABSENT)


def _try_backend(name: str, backend: str, model: str | None, unavailable: str) -> Finding:
    numpy: Any = importlib.import_module("numpy")
    started = time.perf_counter()
    try:
        with load_harmonizer(model, backend, threads=1) as harmonizer:
            ready = time.perf_counter()
            height, width = _SIZE_HW
            picture = numpy.zeros((height, width, 3), numpy.uint8)
            picture[:, :, :] = numpy.linspace(20, 220, width).astype(numpy.uint8)[None, :, None]
            mask = numpy.zeros((height, width), numpy.uint8)
            mask[40:140, 100:220] = 255
            result = harmonizer(picture, mask)
    except EdgeHarmonyError as error:
        status = unavailable if isinstance(error, BackendUnavailableError) else FAILED
        if isinstance(error, EngineMismatchError):
            status = WARNING
        return Finding(name, status, reason=error.message, remedy=error.hint)
    if not numpy.array_equal(result[mask == 0], picture[mask == 0]):
        return Finding(name, FAILED, reason="pixels outside the mask changed", remedy="report this, it is our bug")
    took_ms = (time.perf_counter() - ready) * 1e3
    details = {"model": harmonizer.name, "backend": harmonizer.backend, "load_ms": round((ready - started) * 1e3, 1)}
    words = f"{harmonizer.name} on {harmonizer.backend}: a {width} x {height} picture in {took_ms:.0f} ms"
    return Finding(name, OK, words, details=details)


def _describe(path: Path) -> dict[str, Any]:
    about: dict[str, Any] = {"path": str(path), "bytes": None, "sha256": "", "contract": "", "graph": "", "name": ""}
    about |= {"precision": "", "weights_sha256": "", "problem": ""}
    try:
        about["bytes"] = path.stat().st_size
        about["sha256"] = engine_sidecar.digest(path)
    except OSError as error:
        return about | {"problem": f"cannot be read: {error.strerror}"}
    try:
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        notes = read_metadata(path)
    except Exception as error:
        return about | {"problem": " ".join(f"cannot be opened: {error}".split())[:200]}
    about["contract"] = notes.get(META_CONTRACT, "")
    about["graph"] = notes.get(META_GRAPH, "")
    about["name"] = notes.get(META_MODEL, "")
    about["weights_sha256"] = notes.get(META_WEIGHTS, "")
    about["precision"] = notes.get(META_PRECISION, "fp32")
    if about["graph"] == _MATTE:
        return about
    if not about["contract"]:
        about["problem"] = "says no contract version: it was not exported by edge_harmony"
    elif about["contract"] != str(CONTRACT_VERSION):
        about["problem"] = f"of contract {about['contract']}, this version needs {CONTRACT_VERSION}"
    return about


def _describe_engine(path: Path, machine: Machine) -> dict[str, Any]:
    about: dict[str, Any] = {"path": str(path), "problem": "", "remedy": "", "precision": "", "target": "", "sm": []}
    about |= {"graph": "", "model": "", "weights_sha256": ""}
    try:
        sidecar = engine_sidecar.read(path)
        about |= {"precision": sidecar.precision, "target": sidecar.target, "sm": list(sidecar.sm)}
        about |= {"graph": sidecar.graph, "model": sidecar.model, "weights_sha256": sidecar.weights_sha256}
        engine_sidecar.check(path, machine)
    except EdgeHarmonyError as error:
        about |= {"problem": error.message, "remedy": error.hint}
    return about


def _weights_asked_for(model: str | None) -> tuple[str, Path]:
    """The weights of the model that engines should be of, and its file; no weights where it does not say."""
    try:
        path = find_model(model)
        if path.suffix in ENGINE_SUFFIXES:
            return engine_sidecar.read(path).weights_sha256, path
        return weights_of(path), path
    except EdgeHarmonyError:
        return "", Path(model or "the model")


def _words(about: dict[str, Any]) -> str:
    name = Path(about["path"]).name
    if about["problem"]:
        return name
    if "sha256" in about:
        contract = f", contract {about['contract']}" if about["contract"] else ""
        return f"{name} ({about['graph']}, {about['precision']}{contract}, {about['sha256'][:12]})"
    return f"{name} ({about['model']}, {about['graph']}, {about['precision']}, SM {', '.join(about['sm'])})"
