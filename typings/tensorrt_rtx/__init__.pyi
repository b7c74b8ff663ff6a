"""What TensorRT-RTX has and TensorRT has not; the rest is TensorRT's."""

from typing import ClassVar

import tensorrt

class ComputeCapability:
    SM86: ClassVar[ComputeCapability]

class IBuilderConfig(tensorrt.IBuilderConfig):
    num_compute_capabilities: int
    def set_compute_capability(self, compute_capability: ComputeCapability, index: int) -> bool: ...
