"""The type of the module itself, which is loaded by name at run time. There is no such module in TensorRT."""

from typing import Protocol

import tensorrt

class TensorRt(Protocol):
    __version__: str
    Builder: type[tensorrt.Builder]
    DataType: type[tensorrt.DataType]
    ILogger: type[tensorrt.ILogger]
    IProgressMonitor: type[tensorrt.IProgressMonitor]
    MemoryPoolType: type[tensorrt.MemoryPoolType]
    NetworkDefinitionCreationFlag: type[tensorrt.NetworkDefinitionCreationFlag]
    OnnxParser: type[tensorrt.OnnxParser]
    Runtime: type[tensorrt.Runtime]
    TensorIOMode: type[tensorrt.TensorIOMode]
