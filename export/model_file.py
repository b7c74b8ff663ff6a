"""ONNX files of ours: read them checked, stamp their metadata, write them whole or not at all.

Needs ``onnx`` only, so that a graph can be rewritten on a machine that has no torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from google.protobuf.message import DecodeError

from edge_harmony import contract
from edge_harmony.errors import ModelError
from export.packing import unpack

GRAPH_TRANSFORM = "transform"
GRAPH_FRAME = "frame"
META_PRECISION = contract.META_PRECISION
META_CALIBRATION = "edge_harmony.calibration_sha256"  # of the calibration set behind an INT8 graph

_UNWRITABLE = "name a file in a writable folder with free space"
_INTERFACES = {
    GRAPH_TRANSFORM: (contract.TRANSFORM_GRAPH_INPUTS, contract.TRANSFORM_GRAPH_OUTPUTS),
    GRAPH_FRAME: (contract.FRAME_GRAPH_INPUTS, contract.FRAME_GRAPH_OUTPUTS),
}


@dataclass(frozen=True)
class ModelInfo:
    """What a graph says of itself."""

    graph: str  # "transform" or "frame"
    name: str  # such as "base"
    weights_sha256: str
    precision: str  # "fp32", "fp16" or "int8"


def load(path: str | Path) -> tuple[onnx.ModelProto, ModelInfo]:
    """Read an ONNX file of ours, its weights unpacked to float32.

    Raises:
        ModelError: missing, no ONNX file, of another contract version, or with other tensors.
    """
    model = read(Path(path), "export it with python -m export.to_onnx --checkpoint FILE -o DIR")
    return unpack(model), inspect(model, str(path))


def read(path: Path, how_to_make: str) -> onnx.ModelProto:
    """Any sound ONNX file.

    Raises:
        ModelError: missing, with ``how_to_make`` as the hint, or no ONNX file.
    """
    if not path.is_file():
        raise ModelError(f"{path} does not exist", how_to_make)
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path} is no sound ONNX file: {reason}", "export or download it again") from None
    return model


def properties(model: onnx.ModelProto) -> dict[str, str]:
    """The metadata of a graph."""
    return {entry.key: entry.value for entry in model.metadata_props}


def inspect(model: onnx.ModelProto, origin: str = "the model") -> ModelInfo:
    """Read the metadata of a graph and hold its interface against the contract.

    Raises:
        ModelError: of another contract version, of an unknown kind, or with other tensors.
    """
    meta = properties(model)
    version = meta.get(contract.META_CONTRACT)
    if version != str(contract.CONTRACT_VERSION):
        found = f"contract {version}" if version else "no contract"
        mend = "" if version else "if a tool dropped its metadata: python -m export.stamp FILE --like ORIGINAL; else "
        raise ModelError(
            f"{origin} states {found}; this version reads contract {contract.CONTRACT_VERSION}",
            f"{mend}export it again from its checkpoint with python -m export.to_onnx",
        )
    kind = meta.get(contract.META_GRAPH, "")
    if kind not in _INTERFACES:
        raise ModelError(f"{origin} is of unknown kind {kind!r}", "export it with python -m export.to_onnx")
    expected = tuple(map(set, _INTERFACES[kind]))
    found_names = ({t.name for t in model.graph.input}, {t.name for t in model.graph.output})
    if found_names != expected:
        raise ModelError(
            f"{origin} has the tensors {sorted(found_names[0] | found_names[1])}, "
            f"a {kind} graph has {sorted(expected[0] | expected[1])}",
            "export it again from its checkpoint with python -m export.to_onnx",
        )
    return ModelInfo(
        kind, meta.get(contract.META_MODEL, ""), meta.get(contract.META_WEIGHTS, ""), meta.get(META_PRECISION, "fp32")
    )


def stamp(model: onnx.ModelProto, info: ModelInfo, more: Mapping[str, str] | None = None) -> None:
    """Write the metadata into ``model``, in place: contract, identity, and the meaning of every tensor."""
    meta = properties(model)
    meta = {key: value for key, value in meta.items() if not key.startswith(contract.META_TENSOR_PREFIX)}
    meta[contract.META_CONTRACT] = str(contract.CONTRACT_VERSION)
    meta[contract.META_GRAPH] = info.graph
    meta[contract.META_MODEL] = info.name
    meta[contract.META_WEIGHTS] = info.weights_sha256
    meta[META_PRECISION] = info.precision
    for names in _INTERFACES[info.graph]:
        for name in names:
            meta[contract.META_TENSOR_PREFIX + name] = contract.TENSOR_MEANINGS[name]
    meta.update(more or {})
    onnx.helper.set_model_props(model, dict(sorted(meta.items())))


def save(model: onnx.ModelProto, path: str | Path) -> Path:
    """Check the graph in full and write it under a temporary name, then rename it.

    Raises:
        ModelError: the graph is not sound, or the file cannot be written; nothing stands under ``path`` then
            that did not stand there before.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the graph for {path} is not sound: {error}", "report this: it is a fault of ours") from None
    write_whole(Path(path), model.SerializeToString())
    return Path(path)


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before.

    Raises:
        ModelError: the folder cannot be written, or the disk is full.
    """
    part = path.with_name(f"{path.name}.part.{os.getpid()}")
    with _explained(path, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def check_writable(path: Path) -> None:
    """Find out now, not after minutes of work, that ``path`` cannot be written. Raises ModelError."""
    part = path.with_name(f"{path.name}.part.{os.getpid()}")
    with _explained(path, part):
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()


@contextmanager
def beside(path: Path) -> Generator[Path]:
    """A folder for files that become ``path`` and its companions when they are right; gone afterwards.

    Raises:
        ModelError: it cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror or error}", _UNWRITABLE) from None


@contextmanager
def _explained(path: Path, part: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror or error}", _UNWRITABLE) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def digest(model: onnx.ModelProto) -> str:
    """SHA-256 of the graph as ``save`` writes it."""
    return hashlib.sha256(model.SerializeToString()).hexdigest()


def tensor_shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    """The shape of a graph's input or output; a free dimension is given by its name."""
    dims: Iterable[onnx.TensorShapeProto.Dimension] = value.type.tensor_type.shape.dim
    return tuple(d.dim_param if d.HasField("dim_param") else d.dim_value for d in dims)


def fix_size(model: onnx.ModelProto, size_hw: tuple[int, int]) -> onnx.ModelProto:
    """A copy of a frame graph with fixed frame size; a transform graph comes back as it is."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    sizes = dict(zip(("H", "W"), size_hw, strict=True))
    for value in (*fixed.graph.input, *fixed.graph.output, *fixed.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    return fixed
