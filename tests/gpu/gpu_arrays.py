"""Arrays on the GPU as other libraries offer them, made with pycuda alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_harmony.gpu import dlpack


class InterfaceArray:
    """Has ``__cuda_array_interface__``: rows may be apart, and memory may start at an odd address."""

    def __init__(
        self, device: Any, host: np.ndarray, pad: int = 0, offset: int = 0, version: int = 3, stream: Any = None
    ) -> None:
        row = int(np.prod(host.shape[1:]))
        self.pitch = row + pad
        staged = np.zeros((host.shape[0], self.pitch), np.uint8)
        staged[:, :row] = host.reshape(host.shape[0], row)
        with device.current():
            self.memory = device.alloc(staged.nbytes + offset)
            self._stream = stream or device.stream()
            self._pinned = device.pinned(staged.nbytes)
            self._pinned.array[:] = staged.reshape(-1)
            device.upload(self.memory.address + offset, self._pinned.array, self._stream)  # not waited for
        self._device = device
        self.shape = host.shape
        self.version = version
        self.address = self.memory.address + offset
        self.strides = (self.pitch, *((host.shape[2], 1) if host.ndim == 3 else (1,)))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        facts = {"shape": self.shape, "typestr": "|u1", "data": (self.address, True), "version": self.version}
        facts["strides"] = self.strides
        if self.version >= 3:
            facts["stream"] = self._stream.handle
        return facts

    def free(self) -> None:
        with self._device.current():
            self.memory.free()
            self._pinned.free()
            del self._stream


class DlpackArray(InterfaceArray):
    """Has DLPack too, as PyTorch does: the producer makes the taker's stream wait. ``taken`` says whose stream."""

    taken: int | None = None

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, 0

    def __dlpack__(self, stream: int | None = None) -> Any:
        from edge_harmony.gpu.driver import order_after

        assert stream is not None
        order_after(stream, self._stream.handle)
        self.taken = stream
        return dlpack.offer(self, self.address, self.shape, "|u1")
