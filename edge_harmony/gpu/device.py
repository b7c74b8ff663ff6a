"""The GPU through pycuda. This is the only file that imports it.

The *primary* context is used, which TensorRT, PyTorch and CuPy share, so that memory and streams pass between them.
It is pushed and popped round every piece of work (``Device.current``): nothing stays current in a caller's thread,
and any thread may call. pycuda's own objects free themselves only while their context is current, therefore whoever
owns memory, streams or events here lets go of them inside ``Device.current``.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import BackendUnavailableError, EdgeHarmonyError
from edge_harmony.gpu.detect import INSTALL_PYCUDA, Gpu, find_gpu, no_gpu
from edge_harmony.gpu.driver import DriverCallError

if TYPE_CHECKING:
    from pycuda.driver import DeviceAllocation, Event, PagelockedHostAllocation, Stream
    from pycuda.module import Driver

MEMORY_SWITCH = "EDGE_HARMONY_GPU_MEMORY"  # "copied": no mapped memory on an integrated GPU
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: not held up by what others put on the default stream

_lock = threading.Lock()
_device: Device | None = None


def open_device() -> Device:
    """The first GPU, ready to compute. One object serves the whole process; may be called from any thread.

    Raises:
        BackendUnavailableError: no driver, no GPU, no pycuda, or the GPU does not start.
    """
    global _device
    with _lock:
        if _device is None:
            gpu, reason = find_gpu()
            if gpu is None:
                raise no_gpu(reason)
            _device = Device(_import_driver(), gpu)
        return _device


class GpuLostError(BackendUnavailableError):
    """The GPU, or this process's hold on it, is gone; nothing on it can be used any more."""


class DeviceMemory:
    """Memory on the GPU; free it inside ``Device.current``."""

    def __init__(self, allocation: DeviceAllocation, nbytes: int) -> None:
        self.address = int(allocation)
        self.nbytes = nbytes
        self._allocation: DeviceAllocation | None = allocation

    def free(self) -> None:
        """Give it back; waits for work that uses it. Safe to call twice."""
        allocation, self._allocation = self._allocation, None
        if allocation is not None:
            allocation.free()


class PinnedMemory:
    """Host memory that the GPU copies from and to by itself; free it inside ``Device.current``.

    Attributes:
        array: uint8 (nbytes,), the memory. No view of it may be used after ``free``.
        address: where the GPU sees it, when it is mapped (else 0): no copy is needed at all then.
    """

    def __init__(self, array: NDArray[np.uint8], mapped: bool) -> None:
        self.array = array
        allocation = cast("PagelockedHostAllocation", array.base)
        self.address = int(allocation.get_device_pointer()) if mapped else 0
        self.nbytes = array.nbytes
        self._allocation: PagelockedHostAllocation | None = allocation

    def free(self) -> None:
        """Give it back; waits for work that uses it. Safe to call twice."""
        allocation, self._allocation = self._allocation, None
        if allocation is not None:
            self.array = np.empty(0, np.uint8)
            allocation.free()


class Device:
    """A GPU with its primary context. Made by ``open_device`` alone.

    Attributes:
        gpu: its name and compute capability.
        integrated: it shares the host's memory, as on a Jetson: mapped memory then saves every copy.
    """

    def __init__(self, driver: Driver, gpu: Gpu) -> None:
        self.gpu = gpu
        self._driver = driver
        self.pid = os.getpid()
        try:
            driver.init()
            device = driver.Device(0)
            attribute = driver.device_attribute
            self.integrated = bool(
                device.get_attribute(attribute.INTEGRATED) and device.get_attribute(attribute.CAN_MAP_HOST_MEMORY)
            )
            self._context = device.retain_primary_context()
        except driver.Error as error:
            raise BackendUnavailableError(
                f"{gpu.name} does not start: {error}", "is it in use by another program, or out of memory? nvidia-smi"
            ) from error

    @contextmanager
    def current(self) -> Generator[None]:
        """Work with the GPU inside this; the thread's own context is current again afterwards.

        Raises:
            GpuLostError: in place of pycuda's and the driver's errors, and in a process that was forked.
            BackendUnavailableError: out of memory on the GPU.
        """
        if os.getpid() != self.pid:
            raise GpuLostError(
                "a GPU does not survive fork()", 'start processes with multiprocessing\'s "spawn" method'
            )
        try:
            self._context.push()
        except self._driver.Error as error:
            raise self._explained(error) from error
        try:
            yield
        except (self._driver.Error, DriverCallError) as error:
            raise self._explained(error) from error
        finally:
            with suppress(self._driver.Error):
                self._driver.Context.pop()

    def alloc(self, nbytes: int) -> DeviceMemory:
        """Memory on the GPU, aligned to at least 256 bytes, its content undefined."""
        return DeviceMemory(self._driver.mem_alloc(nbytes), nbytes)

    def pinned(self, nbytes: int, mapped: bool = False) -> PinnedMemory:
        """Pinned host memory, mapped where that is wanted; its content is undefined."""
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        return PinnedMemory(self._driver.pagelocked_empty(nbytes, np.uint8, mem_flags=flags), mapped)

    @property
    def maps_memory(self) -> bool:
        """Whether host memory is to be read and written in place: on an integrated GPU, unless the environment says
        EDGE_HARMONY_GPU_MEMORY=copied."""
        return self.integrated and os.environ.get(MEMORY_SWITCH) != "copied"

    def stream(self) -> Stream:
        """A stream: ``handle``, ``synchronize()``, ``wait_for_event(event)``."""
        return self._driver.Stream(_NON_BLOCKING)

    def event(self) -> Event:
        """An event: ``record(stream)``, ``synchronize()``, ``query()``."""
        return self._driver.Event(self._driver.event_flags.DISABLE_TIMING)

    def upload(self, address: int, array: NDArray[Any], stream: Stream) -> None:
        """Copy a contiguous array to the GPU; with pinned memory, without waiting for it."""
        self._driver.memcpy_htod_async(address, array, stream)

    def download(self, array: NDArray[Any], address: int, stream: Stream) -> None:
        """Copy from the GPU into a contiguous array; with pinned memory, without waiting for it."""
        self._driver.memcpy_dtoh_async(array, address, stream)

    def copy(self, to: int, source: int, nbytes: int, stream: Stream) -> None:
        """Copy on the GPU, without waiting for it."""
        self._driver.memcpy_dtod_async(to, source, nbytes, stream)

    def copy_rows(self, to: int, source: int, row_bytes: int, source_pitch: int, rows: int, stream: Stream) -> None:
        """Copy rows that lie ``source_pitch`` bytes apart, side by side, on the GPU, without waiting for it."""
        copy = self._driver.Memcpy2D()
        copy.set_src_device(source)
        copy.set_dst_device(to)
        copy.src_pitch = source_pitch
        copy.dst_pitch = copy.width_in_bytes = row_bytes
        copy.height = rows
        copy(stream)

    def synchronize(self) -> None:
        """Wait for everything, of any library, on this GPU's primary context."""
        self._driver.Context.synchronize()

    def release(self) -> None:
        """Give the primary context back, at the end of the program: pycuda's own destructor cannot."""
        with suppress(self._driver.Error):
            self._context.push()
            self._context.detach()

    def _explained(self, error: Exception) -> EdgeHarmonyError:
        if isinstance(error, self._driver.MemoryError):
            return BackendUnavailableError(
                f"{self.gpu.name} is out of memory: {error}",
                "close other programs that use the GPU, or build the engine for smaller frames (--size, --max)",
            )
        return GpuLostError(
            f"{self.gpu.name} stopped working: {error}",
            "start the program again; if it happens again, look at dmesg and nvidia-smi (heat, power, driver)",
        )


def _import_driver() -> Driver:
    try:
        import pycuda.driver
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "pycuda"
        raise BackendUnavailableError(
            "pycuda is not installed" if missing else f"pycuda cannot be loaded: {error}",
            INSTALL_PYCUDA,
        ) from error
    return pycuda.driver


@atexit.register
def _release() -> None:
    if _device is not None and os.getpid() == _device.pid:
        _device.release()
