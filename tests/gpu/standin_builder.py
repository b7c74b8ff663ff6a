"""TensorRT's builder and parser, stood in for: any graph of ours becomes an engine of the stand-in.

It has the part of the interface that ``export.builder`` uses. The graph is parsed for its inputs alone, and what is
built computes what the stand-in's kernels compute, whatever the graph says.
"""

from __future__ import annotations

import enum
import math
import os
from typing import Any

import onnx
from standin_tensorrt import serialize

from edge_harmony import contract

NO_MEMORY = "STANDIN_NO_MEMORY"  # set in the environment: nothing can be built


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class IProgressMonitor:
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None: ...

    def step_complete(self, phase_name: str, step: int) -> bool:
        return True

    def phase_finish(self, phase_name: str) -> None: ...


class ITensor:
    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.shape = name, shape


class INetworkDefinition:
    def __init__(self) -> None:
        self.tensors: list[ITensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self.tensors)

    def get_input(self, index: int) -> ITensor:
        return self.tensors[index]


class OnnxParser:
    num_errors = 0

    def __init__(self, network: INetworkDefinition, logger: Any) -> None:
        self._network = network

    def parse(self, model: bytes) -> bool:
        for value in onnx.ModelProto.FromString(model).graph.input:
            dims = value.type.tensor_type.shape.dim
            shape = tuple(-1 if dim.HasField("dim_param") else dim.dim_value for dim in dims)
            self._network.tensors.append(ITensor(value.name, shape))
        return True


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        assert all(low <= usual <= high for low, usual, high in zip(min, opt, max, strict=True))
        self.shapes[input] = (min, opt, max)


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def combine(self, input_cache: ITimingCache, ignore_mismatch: bool) -> bool:
        lines = {*self._data.splitlines(), *input_cache._data.splitlines()}
        self._data = b"\n".join(sorted(lines))
        return not ignore_mismatch

    def serialize(self) -> memoryview:
        return memoryview(self._data)


class IBuilderConfig:
    progress_monitor: IProgressMonitor | None = None
    builder_optimization_level = 3

    def __init__(self, logger: Any = None) -> None:
        self._logger = logger
        self.profiles: list[IOptimizationProfile] = []
        self.cache: ITimingCache | None = None

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE
        assert pool_size >= 1 << 20

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return 0

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        known = all(line.startswith(b"timing of ") for line in serialized_timing_cache.splitlines())
        if not known:
            self._logger.log(self._logger.Severity.ERROR, "the timing cache was made by another version")
        return ITimingCache(bytes(serialized_timing_cache)) if known else None

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return not ignore_mismatch

    def get_timing_cache(self) -> ITimingCache | None:
        return self.cache


class Builder:
    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def create_network(self, flags: int) -> INetworkDefinition:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self._logger)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
        shapes = {tensor.name: tensor.shape for tensor in network.tensors}
        monitor = config.progress_monitor
        assert monitor is not None
        monitor.phase_start("Building", None, 2)
        if NO_MEMORY in os.environ:
            words = "Requested amount of GPU memory (1073741824 bytes) could not be allocated."
            self._logger.log(self._logger.Severity.ERROR, words)
            return None
        if not all(monitor.step_complete("Building", step) for step in range(2)):
            return None
        monitor.phase_finish("Building")
        if config.cache is not None:
            config.cache.combine(ITimingCache(b"timing of " + "".join(sorted(shapes)).encode()), False)
        if contract.COMPOSITE in shapes:
            return serialize("transform")
        smallest = largest = shapes[contract.FOREGROUND]
        if -1 in smallest:
            (profile,) = config.profiles
            smallest, _, largest = profile.shapes[contract.FOREGROUND]
        assert math.prod(smallest) > 0
        return serialize("frame", (smallest[0], smallest[1]), (largest[0], largest[1]))
