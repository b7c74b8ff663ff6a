"""Memory on the GPU that is handed out with pictures and comes back when they are gone."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from edge_harmony.gpu.array import GpuArray
from edge_harmony.gpu.device import Device, DeviceMemory
from edge_harmony.gpu.driver import DEFAULT_STREAMS, LEGACY_STREAM, order_after


class PicturePool:
    """Pictures on the GPU whose memory is kept and used again. May be used from any thread."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._idle: list[tuple[DeviceMemory, bool]] = []  # and whether streams that we cannot ask have read it
        self._closed = False

    def take(self, shape: tuple[int, ...], nbytes: int, stream: int) -> tuple[DeviceMemory, Callable[[], GpuArray]]:
        """Memory for a picture; call inside ``Device.current``.

        Args:
            shape, nbytes: of the picture.
            stream: handle of the stream that will write it: made to wait for what others still read there.

        Returns:
            The memory, and a function that makes the picture of it, to be called once.
        """
        with self._lock:
            fitting = next((item for item in self._idle if item[0].nbytes == nbytes), None)
            if fitting is not None:
                self._idle.remove(fitting)
        if fitting is None:
            memory = self._device.alloc(nbytes)
        else:
            memory, is_foreign = fitting
            if is_foreign:  # its stream may be gone by now, and a handle that is no stream must not be touched
                self._device.synchronize()
            else:
                order_after(stream, LEGACY_STREAM)
        streams: set[int] = set()

        def picture() -> GpuArray:
            array = GpuArray(self._device, memory.address, shape, streams.add)
            weakref.finalize(array, self._give_back, memory, streams).atexit = False
            return array

        return memory, picture

    def close(self) -> None:
        """Free what is idle, and from now on what comes back; call inside ``Device.current``. Safe to call twice."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for memory, _ in idle:
            memory.free()

    def _give_back(self, memory: DeviceMemory, streams: set[int]) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append((memory, any(handle not in DEFAULT_STREAMS for handle in streams)))
                return
        with self._device.current():
            memory.free()  # waits for whoever still reads it
