"""Which backends and precisions can be measured here, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_harmony.gpu.detect import find_gpu
from edge_harmony.harmonize.load import find_model

PRECISIONS: Final = ("fp32", "fp16", "int8")
_SUFFIX: Final = {"onnxruntime": ".onnx", "tensorrt": ".engine"}


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

    The FP32 model on ONNX Runtime is ``model`` itself; others are files named after it, ``base_fp16.onnx`` or
    ``base_int8.engine``, beside it or in the current folder.

    Raises:
        ModelError: there is no such model.
    """
    source = find_model(model)
    for backend in backends:
        without = find_gpu()[1] if backend == "tensorrt" else ""
        for precision in precisions:
            if without:
                yield Case(backend, precision, reason=without, hint="use --backend onnxruntime, or an NVIDIA GPU")
                continue
            suffix = _SUFFIX.get(backend, ".onnx")
            if precision == "fp32" and suffix == ".onnx":
                yield Case(backend, precision, str(source))
                continue
            name = f"{source.stem}_{precision}{suffix}"
            file = next((folder / name for folder in (Path(), source.parent) if (folder / name).is_file()), None)
            if file is not None:
                yield Case(backend, precision, str(file))
                continue
            reason = f"there is no {name} here or beside {source.name}"
            yield Case(backend, precision, reason=reason, hint=_how_to_make(backend, precision, source, name))


def _how_to_make(backend: str, precision: str, source: Path, name: str) -> str:
    if backend == "tensorrt":
        return f"python -m export.build_engine --onnx {source} --precision {precision} -o {name}"
    if precision == "fp16":
        return f"python -m export.precision {source} --fp16 -o {name}"
    return f"calibrate on your own footage: python -m calibration.collect, then calibration.quantize, to {name}"
