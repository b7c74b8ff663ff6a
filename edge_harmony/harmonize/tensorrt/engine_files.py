"""Which engines of a model lie at hand: found by the weights that they were built from, whatever their names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge_harmony.errors import EngineMismatchError
from edge_harmony.harmonize.model_metadata import weights_of
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine_sidecar import EngineSidecar

ENGINE_SUFFIXES = (".engine", ".plan")
_PRECISIONS = ("fp16", "int8", "fp32")  # the first is preferred
_MOST = 200  # that are looked at in one folder


@dataclass(frozen=True)
class EngineFile:
    """An engine with its sidecar, of any machine."""

    path: Path
    sidecar: EngineSidecar


def engines_of(model_path: Path) -> list[EngineFile]:
    """The engines of a model's weights beside it and in the current folder, the preferred one first.

    An engine named exactly as the model comes first; then FP16 before INT8 before FP32, an engine of the transform
    graph before one of the frame graph, and one beside the model before one in the current folder.

    Raises:
        ModelError: the model is no ONNX file, or does not say of which weights it is.
    """
    weights = weights_of(model_path)
    found = [file for file in _files(model_path) if file.sidecar.weights_sha256 == weights]

    def rank(file: EngineFile) -> tuple[bool, int, bool]:
        precision = file.sidecar.precision
        place = _PRECISIONS.index(precision) if precision in _PRECISIONS else len(_PRECISIONS)
        return file.path.stem != model_path.stem, place, file.sidecar.graph != "transform"

    return sorted(found, key=rank)


def why_none(model_path: Path) -> str:
    """That no engine of a model is at hand, with what lies there instead, in words."""
    words = f"there is no engine of {model_path.name} beside it or in the current folder"
    rest = []
    for path in engine_paths(_folders(model_path))[:3]:
        try:
            rest.append(f"{path.name} is of other weights ({engine_sidecar.read(path).model or 'no name'})")
        except EngineMismatchError as error:
            rest.append(error.message)
    return f"{words}: {'; '.join(rest)}" if rest else words


def engine_paths(folders: list[Path]) -> list[Path]:
    """Every engine file in some folders, each folder once, by name."""
    seen: set[str] = set()
    paths: list[Path] = []
    for folder in folders:
        real = os.path.realpath(folder)
        if real in seen or not folder.is_dir():
            continue
        seen.add(real)
        paths += sorted(path for path in folder.iterdir() if path.suffix in ENGINE_SUFFIXES)[:_MOST]
    return paths


def _folders(model_path: Path) -> list[Path]:
    return [model_path.parent, Path()]


def _files(model_path: Path) -> list[EngineFile]:
    files = []
    for path in engine_paths(_folders(model_path)):
        try:
            files.append(EngineFile(path, engine_sidecar.read(path)))
        except EngineMismatchError:  # whose engine it is, nothing tells
            continue
    return files
