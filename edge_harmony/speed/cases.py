"""Which backends and precisions can be measured here, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_harmony.gpu.detect import find_gpu, no_gpu
from edge_harmony.harmonize.load import find_model, find_model_of
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine_files import ENGINE_SUFFIXES, EngineFile, engines_of, why_none

PRECISIONS: Final = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Case:
    """One backend at one precision, with the file that it would run, or why there is none.

    Attributes:
        model: path of the file; empty when there is none.
        reason: why there is none; empty when there is one.
        hint: what would make it.
    """

    backend: str
    precision: str
    model: str = ""
    reason: str = ""
    hint: str = ""


def list_cases(model: str | None, backends: Sequence[str], precisions: Sequence[str]) -> Iterator[Case]:
    """Every combination, in the order given.

    The FP32 model on ONNX Runtime is ``model`` itself; others are files named after it (``base_fp16.onnx``), beside
    it or in the current folder. Engines have any name: those of the model's weights that lie there (see
    ``engines_of``). Where ``model`` is an engine, it is the only one, and the model is the one of its weights that
    lies beside it or comes with the package.

    Raises:
        ModelError: there is no such model. EngineMismatchError: nothing tells what an engine is.
    """
    chosen = find_model(model)
    engine = EngineFile(chosen, engine_sidecar.read(chosen)) if chosen.suffix in ENGINE_SUFFIXES else None
    source = chosen if engine is None else find_model_of(engine.sidecar.weights_sha256, chosen.parent)
    for backend in backends:
        if backend == "tensorrt":
            yield from _tensorrt_cases(source, engine, precisions)
        elif source is None:
            name = chosen.name
            reason = f"the model that {name} was built from is neither beside it nor in the package"
            hint = "put the .onnx file beside the engine, or give it as --model"
            yield from (Case(backend, precision, reason=reason, hint=hint) for precision in precisions)
        else:
            yield from (_onnx_case(backend, source, precision) for precision in precisions)


def _onnx_case(backend: str, source: Path, precision: str) -> Case:
    if precision == "fp32":
        return Case(backend, precision, str(source))
    name = f"{source.stem}_{precision}.onnx"
    file = next((folder / name for folder in (Path(), source.parent) if (folder / name).is_file()), None)
    if file is not None:
        return Case(backend, precision, str(file))
    hint = f"calibrate on your own footage: python -m calibration.collect, then calibration.quantize, to {name}"
    if precision == "fp16":
        hint = f"python -m export.precision {source} --fp16 -o {name}"
    return Case(backend, precision, reason=f"there is no {name} here or beside {source.name}", hint=hint)


def _tensorrt_cases(source: Path | None, engine: EngineFile | None, precisions: Sequence[str]) -> Iterator[Case]:
    gpu, reason = find_gpu()
    if gpu is None:
        error = no_gpu(reason)
        yield from (Case("tensorrt", precision, reason=error.message, hint=error.hint) for precision in precisions)
        return
    if engine is not None:
        yield Case("tensorrt", engine.sidecar.precision, str(engine.path))
        return
    assert source is not None
    engines = engines_of(source)
    for precision in precisions:
        files = [file for file in engines if file.sidecar.precision == precision]
        yield from (Case("tensorrt", precision, str(file.path)) for file in files)
        if not files:
            reason = why_none(source) if not engines else f"there is no {precision} engine of {source.name} at hand"
            make = f"python -m export.build_engine --onnx {source} --precision {precision}"
            if precision == "int8":
                make += " --calibration SET, a set of python -m calibration.collect"
            yield Case("tensorrt", precision, reason=reason, hint=make)
