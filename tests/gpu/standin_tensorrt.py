"""TensorRT's runtime, stood in for where there is a GPU but no TensorRT. (Its builder: ``standin_builder``.)

It has the part of TensorRT's Python interface that ``edge_harmony.harmonize.tensorrt.engine`` uses (a test holds it to
the real bindings), and "engines" whose results the kernels of ``standin.cu`` compute on the GPU, in the stream given.
It is as strict as TensorRT where that matters: every tensor must be bound, to an aligned address, and shapes must
lie in the profile.
"""

from __future__ import annotations

import ctypes
import enum
import importlib
import json
import math
import os
from pathlib import Path
from typing import Any

from edge_harmony import contract

__version__ = "10.13.3.9"
_PTX = Path(__file__).with_name("standin.ptx")
_MAGIC = b"standin engine "
NAN_ENGINE = "STANDIN_NAN"  # set in the environment: engines give NaN
_GRID = contract.TRANSFORM_SHAPE
_NUMBERS = math.prod(_GRID)  # of a transform
_CELLS = ctypes.c_int(contract.GRID_SIZE)  # on a side
_VIEW = contract.WORKING_SIZE


def __getattr__(name: str) -> Any:
    """The builder's part, which needs ``onnx`` and builds on this one."""
    return getattr(importlib.import_module("standin_builder"), name)


class DataType(enum.Enum):
    FLOAT, HALF, INT32, UINT8 = range(4)


class TensorIOMode(enum.Enum):
    INPUT, OUTPUT = range(2)


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


_FLOAT, _UINT8 = DataType.FLOAT, DataType.UINT8
_FRAME = {
    contract.FOREGROUND: (True, _UINT8, (-1, -1, 3)),
    contract.ALPHA: (True, _UINT8, (-1, -1)),
    contract.BACKGROUND: (True, _UINT8, (-1, -1, 3)),
    contract.PREVIOUS_TRANSFORM: (True, _FLOAT, _GRID),
    contract.STRENGTH: (True, _FLOAT, (1,)),
    contract.SMOOTHING: (True, _FLOAT, (1,)),
    contract.HARMONIZED: (False, _UINT8, (-1, -1, 3)),
    contract.TRANSFORM: (False, _FLOAT, _GRID),
}
_TRANSFORM = {
    contract.COMPOSITE: (True, _FLOAT, (1, 3, _VIEW, _VIEW)),
    contract.MASK: (True, _FLOAT, (1, 1, _VIEW, _VIEW)),
    contract.TRANSFORM: (False, _FLOAT, _GRID),
}


def serialize(graph: str, smallest: tuple[int, int] = (64, 64), largest: tuple[int, int] = (2160, 3840)) -> bytes:
    """An engine file; sizes are (H, W), and one size makes a static engine."""
    return _MAGIC + json.dumps({"graph": graph, "smallest": smallest, "largest": largest}).encode()


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if not serialized_engine.startswith(_MAGIC):
            self.logger.log(ILogger.Severity.ERROR, "Serialization assertion failed: magic tag does not match")
            return None
        return ICudaEngine(json.loads(serialized_engine[len(_MAGIC) :]), self.logger)


class ICudaEngine:
    def __init__(self, description: dict[str, Any], logger: ILogger) -> None:
        self._logger = logger
        self._frame = description["graph"] == "frame"
        self._smallest, self._largest = tuple(description["smallest"]), tuple(description["largest"])
        self._tensors = dict(_FRAME if self._frame else _TRANSFORM)
        if self._smallest == self._largest:
            for name, (is_input, kind, shape) in self._tensors.items():
                self._tensors[name] = (is_input, kind, _filled(shape, self._smallest))

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if self._tensors[name][0] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return self._tensors[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name][2]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [_filled(self._tensors[name][2], size) for size in (self._smallest, self._smallest, self._largest)]

    def create_execution_context(self, runtime_config: IRuntimeConfig | None = None) -> IExecutionContext:
        cache = runtime_config and runtime_config.cache
        if cache is not None and cache.kernels != b"kernels of this GPU":
            IRuntimeCache.compiled += 1
            cache.kernels = b"kernels of this GPU"
        return IExecutionContext(self)

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig(self._logger)


class IRuntimeCache:
    """TensorRT-RTX's; counts over all of them how often kernels had to be compiled."""

    compiled = 0

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        self.kernels = b""

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"kernels"):
            self._logger.log(ILogger.Severity.ERROR, "the runtime cache is of another version")
            return False
        self.kernels = bytes(blob)
        return True

    def serialize(self) -> memoryview:
        return memoryview(self.kernels)

    def reset(self) -> bool:
        self.kernels = b""
        return True


class IRuntimeConfig:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        self.cache: IRuntimeCache | None = None

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache(self._logger)

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self.cache = cache
        return True


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._shapes = {name: tensor[2] for name, tensor in engine._tensors.items() if tensor[0]}
        self._addresses: dict[str, int] = {}
        self._driver = ctypes.CDLL("libcuda.so.1")
        module = ctypes.c_void_p()
        self._check(self._driver.cuModuleLoadDataEx(ctypes.byref(module), _PTX.read_bytes(), 0, None, None))
        self._kernels = {}
        for name in ("standin_view", "standin_predict", "standin_apply"):
            self._kernels[name] = ctypes.c_void_p()
            self._check(self._driver.cuModuleGetFunction(ctypes.byref(self._kernels[name]), module, name.encode()))

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        lowest, _, highest = self._engine.get_tensor_profile_shape(name, 0)
        fits = len(shape) == len(lowest) and all(
            low <= n <= high for low, n, high in zip(lowest, shape, highest, strict=True)
        )
        return self._said(fits, f"setInputShape: {name} {shape} is not in the profile") and bool(
            self._shapes.update({name: tuple(shape)}) is None
        )

    def set_tensor_address(self, name: str, memory: int) -> bool:
        fits = name in self._engine._tensors and memory % 256 == 0
        if fits:
            self._addresses[name] = memory
        return self._said(fits, f"setTensorAddress: {name} at {memory:#x}")

    def execute_async_v3(self, stream_handle: int) -> bool:
        unbound = set(self._engine._tensors) - set(self._addresses)
        if not self._said(not unbound, f"enqueueV3: no address for {sorted(unbound)}"):
            return False
        at = {name: ctypes.c_uint64(address) for name, address in self._addresses.items()}
        if not self._engine._frame:
            view = (at[contract.COMPOSITE], at[contract.MASK], at[contract.TRANSFORM], _CELLS)
            return self._launch("standin_view", _NUMBERS, stream_handle, *view) and self._spoil(stream_handle)
        h, w = self._shapes[contract.FOREGROUND][:2]  # pyright: ignore[reportAssignmentType]
        same = {self._shapes[name][:2] for name in (contract.FOREGROUND, contract.ALPHA, contract.BACKGROUND)}
        if not self._said(same == {(h, w)} and h > 0, f"enqueueV3: shapes {self._shapes}"):
            return False
        size = (ctypes.c_int(h), ctypes.c_int(w))
        transform = at[contract.TRANSFORM]
        before = (at[contract.PREVIOUS_TRANSFORM], at[contract.SMOOTHING])
        predict = (at[contract.BACKGROUND], *size, *before, transform, _CELLS)
        apply = (at[contract.FOREGROUND], at[contract.ALPHA], at[contract.BACKGROUND], *size, transform,
                 at[contract.STRENGTH], at[contract.HARMONIZED], _CELLS)  # fmt: skip
        return (
            self._launch("standin_predict", _NUMBERS, stream_handle, *predict)
            and self._spoil(stream_handle)
            and self._launch("standin_apply", h * w, stream_handle, *apply)
        )

    def _spoil(self, stream: int) -> bool:
        if NAN_ENGINE not in os.environ:
            return True
        where, count = ctypes.c_uint64(self._addresses[contract.TRANSFORM]), ctypes.c_size_t(4 * _NUMBERS)
        status = self._driver.cuMemsetD8Async(where, ctypes.c_ubyte(255), count, ctypes.c_void_p(stream))
        return self._said(status == 0, f"cuMemsetD8Async: error {status}")

    def _launch(self, kernel: str, threads: int, stream: int, *parameters: Any) -> bool:
        pointers = (ctypes.c_void_p * len(parameters))(*(ctypes.addressof(p) for p in parameters))
        blocks = (threads + 255) // 256
        status = self._driver.cuLaunchKernel(
            self._kernels[kernel], blocks, 1, 1, 256, 1, 1, 0, ctypes.c_void_p(stream), pointers, None
        )
        return self._said(status == 0, f"cuLaunchKernel {kernel}: error {status}")

    def _check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(f"the stand-in's kernels cannot be loaded: error {status}")

    def _said(self, fits: bool, words: str) -> bool:
        if not fits:
            self._engine._logger.log(ILogger.Severity.ERROR, words)
        return fits


def _filled(shape: tuple[int, ...], size_hw: tuple[int, int]) -> tuple[int, ...]:
    free = iter(size_hw)
    return tuple(next(free) if dim == -1 else dim for dim in shape)
