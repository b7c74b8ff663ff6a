"""TensorRT's and TensorRT-RTX's runtime: an engine file, checked, loaded and put on a stream. Knows no frames.

Only names that exist from TensorRT 10.3 to 11.4 and in TensorRT-RTX are used: those in ``typings/tensorrt``, which
pyright holds this code to, and a test holds to the bindings of each version.
"""

from __future__ import annotations

import importlib
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from edge_harmony.contract import (
    ALPHA,
    BACKGROUND,
    FOREGROUND,
    FRAME_GRAPH_INPUTS,
    FRAME_GRAPH_OUTPUTS,
    HARMONIZED,
    SMOOTHING,
    STRENGTH,
    TRANSFORM_GRAPH_INPUTS,
    TRANSFORM_GRAPH_OUTPUTS,
)
from edge_harmony.errors import BackendUnavailableError, EngineMismatchError, ModelError
from edge_harmony.gpu.device import Device
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine_sidecar import EngineSidecar, Machine

if TYPE_CHECKING:
    import tensorrt_rtx
    from tensorrt import ICudaEngine, IExecutionContext, ILogger, Runtime
    from tensorrt.module import TensorRt

_log = logging.getLogger(__name__)

OLDEST = (10, 3)  # TensorRT of JetPack 6.1
MODULES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
_INSTALL = {
    "tensorrt": "on Jetson install JetPack's python3-libnvinfer (apt), elsewhere: pip install tensorrt",
    "rtx": "pip install tensorrt-rtx-cu13",
}
_TENSORS = {
    "transform": (TRANSFORM_GRAPH_INPUTS, TRANSFORM_GRAPH_OUTPUTS),
    "frame": (FRAME_GRAPH_INPUTS, FRAME_GRAPH_OUTPUTS),
}


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine. Free dimensions are -1 in ``shape``."""

    name: str
    is_input: bool
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    smallest: tuple[int, ...]  # of an input; an output's is its shape
    largest: tuple[int, ...]


class Engine(Protocol):
    """What the runtime needs of an engine. Calls come with a current context, one at a time."""

    tensors: dict[str, Tensor]

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Fix the shape of an input that has free dimensions."""
        ...

    def bind(self, name: str, address: int) -> None:
        """Where a tensor lies on the GPU, aligned to 256 bytes."""
        ...

    def enqueue(self, stream: int) -> None:
        """Put one run on a stream, given by its handle. Raises ModelError when the engine refuses."""
        ...

    def close(self) -> None:
        """Free it. Safe to call twice."""
        ...


def load_engine(path: Path, device: Device, weights_sha256: str = "") -> tuple[Engine, EngineSidecar]:
    """Check an engine against this machine, then load it.

    Args:
        path: the engine; its sidecar lies beside it.
        device: the GPU. It is there already: without a driver TensorRT's runtime can crash the process.
        weights_sha256: of the model that the engine must be of; empty does not ask.

    Raises:
        EngineMismatchError: no sidecar, or the engine is of another machine, version, model or contract, or damaged;
            the hint is the command that builds it again.
        BackendUnavailableError: TensorRT is not installed or too old, or the GPU has no memory left.
    """
    target = engine_sidecar.read(path).target
    trt = load_tensorrt(target)
    machine = Machine(device.gpu.sm, device.gpu.name, {target: trt.__version__})
    sidecar = engine_sidecar.check(path, machine, weights_sha256)
    with device.current():
        return TensorRtEngine(trt, path, sidecar), sidecar


def load_tensorrt(target: str) -> TensorRt:
    """Import ``tensorrt`` or, for the target ``rtx``, ``tensorrt_rtx``.

    Raises:
        BackendUnavailableError: not installed, not loadable, or too old.
    """
    name = MODULES.get(target)
    if name is None:
        raise BackendUnavailableError(f"engines for {target!r} are not known", "build it with --target tensorrt or rtx")
    try:
        trt: Any = importlib.import_module(name)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == name
        reason = f"{name} is not installed" if missing else f"{name} cannot be loaded: {error}"
        raise BackendUnavailableError(reason, _INSTALL[target]) from error
    version = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if target == "tensorrt" and version < OLDEST:
        raise BackendUnavailableError(
            f"TensorRT {trt.__version__} is too old; 10.3 is the oldest that works",
            "on Jetson upgrade to JetPack 6.1 or later, elsewhere: pip install -U tensorrt",
        )
    return trt


class TensorRtEngine:
    """An ``Engine`` of TensorRT with one execution context. Make and use it with a current CUDA context."""

    def __init__(self, trt: TensorRt, path: Path, sidecar: EngineSidecar) -> None:
        self._path = path
        self._rebuild = f"build it again here: {sidecar.rebuild}"
        self._log = _logger(trt)
        try:
            runtime = trt.Runtime(self._log)
        except Exception as error:  # the bindings raise TypeError where the library gives no runtime
            raise BackendUnavailableError(
                f"TensorRT does not start: {_words(self._log)}; {error}", "does its version fit the driver? nvidia-smi"
            ) from error
        engine = runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise EngineMismatchError(f"{path} cannot be loaded: {_words(self._log)}", self._rebuild)
        self.tensors = {}
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            self.tensors[name] = _described(trt, engine, name)
        problem = _problem(self.tensors, sidecar.graph)
        if problem:
            raise ModelError(f"{path} is no {sidecar.graph} engine of ours: {problem}", self._rebuild)
        self._cache = RuntimeCache(path, engine, self._log) if sidecar.target == "rtx" else None
        context = engine.create_execution_context() if self._cache is None else self._cache.context()
        if context is None:
            raise BackendUnavailableError(
                f"{path}: no memory on the GPU to run it: {_words(self._log)}",
                "close other programs that use the GPU, or build the engine for smaller frames (--size, --max)",
            )
        self._runtime: Runtime | None = runtime
        self._engine: ICudaEngine | None = engine
        self._context: IExecutionContext | None = context

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._live().set_input_shape(name, shape):
            raise self._refusal(f"{name} of shape {shape}")

    def bind(self, name: str, address: int) -> None:
        if not self._live().set_tensor_address(name, address):
            raise self._refusal(f"an address for {name}")

    def enqueue(self, stream: int) -> None:
        if not self._live().execute_async_v3(stream):
            raise self._refusal("to run")

    def close(self) -> None:
        self._context = None  # in this order, which TensorRT wants
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.save()
        self._engine = self._runtime = None

    def _live(self) -> IExecutionContext:
        if self._context is None:
            raise ModelError(f"{self._path.name} was closed", "load it again")
        return self._context

    def _refusal(self, what: str) -> ModelError:
        return ModelError(f"{self._path.name} refuses {what}: {_words(self._log)}", self._rebuild)


class RuntimeCache:
    """TensorRT-RTX's compiled kernels, kept beside the engine (``m.engine.cache``): it compiles them when an engine is
    first run on a GPU, and not again with this. A cache that does not fit is ignored and replaced."""

    def __init__(self, engine_path: Path, engine: ICudaEngine, log: Any) -> None:
        self._path = Path(f"{engine_path}.cache")
        self._engine = cast("tensorrt_rtx.ICudaEngine", engine)
        self._config = self._engine.create_runtime_config()
        self._cache = self._config.create_runtime_cache()
        self._kept = self._read()
        if self._kept and not self._cache.deserialize(self._kept):
            _log.info("%s does not fit, and is made again: %s", self._path, _words(log))
            self._cache.reset()
        if not self._config.set_runtime_cache(self._cache):
            _log.info("kernels are not kept: %s", _words(log))

    def context(self) -> IExecutionContext | None:
        """An execution context that uses it."""
        return self._engine.create_execution_context(self._config)

    def save(self) -> None:
        """Keep what has been compiled; where it cannot be written the next start compiles again."""
        part = self._path.with_name(f"{self._path.name}.part.{os.getpid()}")
        try:
            compiled = bytes(self._cache.serialize())
            if compiled and compiled != self._kept:
                part.write_bytes(compiled)
                part.replace(self._path)
        except OSError as error:
            _log.info("%s is not written: %s", self._path, error.strerror or error)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError:
            return b""


def _described(trt: TensorRt, engine: ICudaEngine, name: str) -> Tensor:
    types = {trt.DataType.FLOAT: np.dtype(np.float32), trt.DataType.UINT8: np.dtype(np.uint8)}
    kind = engine.get_tensor_dtype(name)
    shape = tuple(engine.get_tensor_shape(name))
    is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
    smallest = largest = shape
    if is_input and -1 in shape:
        smallest, _, largest = (tuple(dims) for dims in engine.get_tensor_profile_shape(name, 0))
    return Tensor(name, is_input, types.get(kind, np.dtype(object)), shape, smallest, largest)


def _problem(tensors: dict[str, Tensor], graph: str) -> str:
    """How an engine's tensors differ from the contract's, in words; empty when they do not."""
    inputs, outputs = _TENSORS.get(graph, ((), ()))
    for names, is_input, kind in ((inputs, True, "inputs"), (outputs, False, "outputs")):
        found = sorted(name for name, ours in tensors.items() if ours.is_input == is_input)
        if found != sorted(names):
            return f"its {kind} are {', '.join(found) or 'none'}"
    whole = {FOREGROUND, ALPHA, BACKGROUND, HARMONIZED}
    for name, ours in tensors.items():
        wanted = np.dtype(np.uint8 if name in whole else np.float32)
        if ours.dtype != wanted:
            return f"{name} is not {wanted}"
        ranks = {ALPHA: 2, STRENGTH: 1, SMOOTHING: 1}
        if len(ours.shape) != ranks.get(name, 3 if name in whole else 4):
            return f"{name} has shape {ours.shape}"
    return ""


def _logger(trt: TensorRt) -> Any:
    """A logger that hands on what TensorRT says, and remembers its last errors."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: ILogger.Severity, msg: str) -> None:
            level = trt.ILogger.Severity
            if severity in (level.ERROR, level.INTERNAL_ERROR):
                self.errors = [*self.errors[-1:], msg.strip()]
                _log.debug("TensorRT: %s", msg)  # reaches the user as an exception
            elif severity == level.WARNING:
                _log.info("TensorRT: %s", msg)

    return Logger()


def _words(logger: Any) -> str:
    """TensorRT's last errors, which are then forgotten."""
    words, logger.errors = "; ".join(logger.errors), []
    return words or "TensorRT gave no reason"
