"""The file beside an engine that says what it is: ``model.engine`` has ``model.engine.json``.

An engine fits one TensorRT, one GPU generation, one model and one contract, and TensorRT's own answer to another is
at best a riddle, at worst a crash. So everything that has to fit is written down when the engine is built, and
checked before a byte of it is deserialized. It is not written into the engine itself: other tools would refuse it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edge_harmony.contract import CONTRACT_VERSION
from edge_harmony.errors import EngineMismatchError

FORMAT = "edge_harmony.engine.1"


@dataclass(frozen=True)
class EngineSidecar:
    """What an engine is; sizes are (width, height) in pixels, as on the command line."""

    contract: int
    graph: str  # "transform" or "frame"
    model: str  # such as "base"
    weights_sha256: str  # the model's identity, whatever the graph's kind and precision
    onnx: str  # name of the ONNX file that the engine was made from
    onnx_sha256: str  # of that file, for the record
    precision: str  # "fp32", "fp16" or "int8"
    target: str  # "tensorrt" or "rtx"
    builder_version: str  # of TensorRT or TensorRT-RTX
    sm: tuple[str, ...]  # compute capabilities, such as ("87",)
    gpu: str  # name of the GPU it was built on; empty when there was none (TensorRT-RTX)
    cuda: str  # newest CUDA of the driver it was built with; empty when there was none
    min_size: tuple[int, int] | None  # frame graph only, as the next two
    opt_size: tuple[int, int] | None
    max_size: tuple[int, int] | None
    engine_sha256: str
    engine_bytes: int
    activation_bytes: int | None  # device memory of one execution, where the builder told
    rebuild: str  # the command that builds it again
    parity: Mapping[str, Any] = field(default_factory=dict)  # what the gate measured, and on what


def _is_size(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value))


_IS_A: dict[str, Callable[[Any], bool]] = {  # by the fields' annotations, as JSON has them
    "int": lambda value: type(value) is int,
    "int | None": lambda value: value is None or type(value) is int,
    "str": lambda value: isinstance(value, str),
    "tuple[str, ...]": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "tuple[int, int] | None": _is_size,
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
}


def path_of(engine: str | os.PathLike[str]) -> Path:
    """Where an engine's sidecar lies."""
    return Path(f"{os.fspath(engine)}.json")


def write(engine: str | os.PathLike[str], sidecar: EngineSidecar) -> Path:
    """Write the sidecar of an engine under a temporary name, and rename it. Raises OSError."""
    path = path_of(engine)
    part = path.with_name(f"{path.name}.part.{os.getpid()}")
    try:
        part.write_text(json.dumps({"format": FORMAT, **asdict(sidecar)}, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def read(engine: str | os.PathLike[str]) -> EngineSidecar:
    """Read the sidecar of an engine.

    Raises:
        EngineMismatchError: there is none, or it is no sidecar of this version and contract; the hint is the
            command that builds the engine again, as far as it is known.
    """
    path = path_of(engine)
    hint = f"build the engine again: python -m export.build_engine -o {os.fspath(engine)}"
    if not path.is_file():
        raise EngineMismatchError(f"{path} is missing, so nothing tells what the engine is", hint)
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        hint = f"build the engine again: {values['rebuild']}"
        if values.pop("format") != FORMAT:
            raise EngineMismatchError(f"{path} is a sidecar of another version", hint)
        if values["contract"] != CONTRACT_VERSION:
            raise EngineMismatchError(
                f"{os.fspath(engine)} is of contract {values['contract']}, this version runs {CONTRACT_VERSION}", hint
            )
        known = {f.name: str(f.type) for f in fields(EngineSidecar)}
        wrong = [name for name, kind in known.items() if not _IS_A[kind](values.get(name, {}))]
        if wrong:
            raise ValueError(f"{wrong[0]} is missing or no {known[wrong[0]]}")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        return EngineSidecar(**given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EngineMismatchError(f"{path} is damaged: {type(error).__name__}: {error}", hint) from None


@dataclass(frozen=True)
class Machine:
    """What an engine is held against. Empty is not known, and nothing is compared with it."""

    sm: str = ""  # compute capability of the GPU at hand, such as "87"
    gpu: str = ""  # its name; TensorRT's engines are tuned for one model
    versions: Mapping[str, str] = field(default_factory=dict)  # of the runtimes at hand, by target


def check(engine: str | os.PathLike[str], machine: Machine, weights_sha256: str = "") -> EngineSidecar:
    """Judge an engine: does it fit this machine and, if one is named, this model? Nothing of it is deserialized.

    Everything that takes an engine asks here: each backend, ``auto``, the benchmark and the doctor.

    Args:
        engine: the engine file, its sidecar beside it; its length and digest are checked, which finds a truncated or
            damaged one.
        machine: to run it on.
        weights_sha256: of the model that it should be of; empty: any.

    Returns:
        The sidecar.

    Raises:
        EngineMismatchError: something does not fit; the hint is the command that builds the engine again.
    """
    name = os.fspath(engine)
    sidecar = read(engine)
    try:
        problem = _problem(Path(name), sidecar, machine, weights_sha256)
    except OSError as error:
        problem = f"it cannot be read: {error.strerror or error}"
    if problem:
        raise EngineMismatchError(f"{name} cannot run here: {problem}", f"build it again here: {sidecar.rebuild}")
    return sidecar


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file. Raises OSError."""
    result = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            result.update(block)
    return result.hexdigest()


def _problem(engine: Path, sidecar: EngineSidecar, machine: Machine, weights_sha256: str) -> str:
    """What does not fit, in words; empty when everything does."""
    version = machine.versions.get(sidecar.target, "")
    if version and sidecar.builder_version != version:
        return f"it was built with {sidecar.target} version {sidecar.builder_version}, this is {version}"
    if machine.sm and machine.sm not in sidecar.sm:
        return f"it was built for SM {', '.join(sidecar.sm)}, this GPU is SM {machine.sm}"
    if sidecar.target == "tensorrt" and machine.gpu and sidecar.gpu and sidecar.gpu != machine.gpu:
        return f"it was built on a {sidecar.gpu}, this is a {machine.gpu}"
    if weights_sha256 and sidecar.weights_sha256 != weights_sha256:
        return f"it is of other weights ({sidecar.model or 'a model without a name'})"
    size = engine.stat().st_size
    if size != sidecar.engine_bytes:
        return f"the file has {size} bytes, {sidecar.engine_bytes} were written: it is truncated or another's"
    if digest(engine) != sidecar.engine_sha256:
        return "the file is damaged, or the sidecar is another engine's"
    return ""
