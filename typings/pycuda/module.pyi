"""The type of the module ``pycuda.driver`` itself, which is handed about. There is no such module in pycuda."""

from typing import Any, Protocol

from numpy.typing import NDArray
from pycuda import driver

class Driver(Protocol):
    @property
    def Error(self) -> type[driver.Error]: ...  # noqa: N802
    @property
    def MemoryError(self) -> type[driver.MemoryError]: ...  # noqa: N802
    @property
    def Context(self) -> type[driver.Context]: ...  # noqa: N802
    @property
    def Device(self) -> type[driver.Device]: ...  # noqa: N802
    @property
    def Event(self) -> type[driver.Event]: ...  # noqa: N802
    @property
    def Memcpy2D(self) -> type[driver.Memcpy2D]: ...  # noqa: N802
    @property
    def Stream(self) -> type[driver.Stream]: ...  # noqa: N802
    @property
    def device_attribute(self) -> type[driver.device_attribute]: ...
    @property
    def event_flags(self) -> type[driver.event_flags]: ...
    @property
    def host_alloc_flags(self) -> type[driver.host_alloc_flags]: ...
    def init(self) -> None: ...
    def mem_alloc(self, size: int, /) -> driver.DeviceAllocation: ...
    def pagelocked_empty(self, shape: int, dtype: Any, *, mem_flags: int = 0) -> NDArray[Any]: ...
    def memcpy_htod_async(self, to: int, source: NDArray[Any], stream: driver.Stream, /) -> None: ...
    def memcpy_dtoh_async(self, to: NDArray[Any], source: int, stream: driver.Stream, /) -> None: ...
    def memcpy_dtod_async(self, to: int, source: int, size: int, stream: driver.Stream, /) -> None: ...
