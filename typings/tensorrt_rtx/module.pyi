"""The type of the module itself, as in ``tensorrt.module``."""

from typing import Protocol

import tensorrt_rtx
from tensorrt.module import TensorRt

class TensorRtRtx(TensorRt, Protocol):
    ComputeCapability: type[tensorrt_rtx.ComputeCapability]
