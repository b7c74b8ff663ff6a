"""Arrays on the GPU, in and out: PyTorch, CuPy, Numba, CV-CUDA and others, without a copy to the host.

Two agreements are understood and offered: DLPack, and the CUDA array interface. DLPack is preferred where an object
has both, because it orders the two libraries' streams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SourceError
from edge_harmony.gpu import dlpack
from edge_harmony.gpu.device import Device
from edge_harmony.gpu.driver import order_after

_CONTIGUOUS = "make it contiguous first, for example with tensor.contiguous()"


@dataclass(frozen=True)
class GpuView:
    """Someone else's uint8 memory on the GPU: a picture's rows, ``pitch`` bytes apart, pixels packed in a row."""

    address: int
    shape: tuple[int, ...]
    pitch: int
    owner: Any  # keeps the memory alive

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's pixels."""
        return int(np.prod(self.shape[1:]))

    @property
    def packed(self) -> bool:
        """Whether the rows follow each other without gaps."""
        return self.pitch == self.row_bytes


class GpuArray:
    """A picture on the GPU that belongs to its holder: uint8, C-contiguous, complete when it is handed out.

    Take it over without a copy: ``torch.from_dlpack(array)``, ``cupy.from_dlpack(array)``, ``cupy.asarray(array)``,
    ``numba.cuda.as_cuda_array(array)``. Its memory is used again for a later picture when the array and all that was
    made of it are gone. Work on it that is still under way then is waited for if it is on the default stream or on
    the stream that DLPack was given; otherwise keep the array until that work is done.

    Attributes:
        shape: (H, W, 3).
        dtype: uint8.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, device: Device, address: int, shape: tuple[int, ...], used_on: Callable[[int], None]) -> None:
        self.shape = shape
        self._device = device
        self._address = address
        self._used_on = used_on

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": "|u1",
            "data": (self._address, False),
            "strides": None,
            "version": 3,
            "stream": None,  # nothing to wait for
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, 0

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        del max_version  # an unversioned capsule may always be given
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("this array is handed over as it is, on the first GPU")
        if stream is not None and stream > 0:  # -1: the taker looks after the order itself
            self._used_on(stream)
        return dlpack.offer(self, self._address, self.shape, "|u1")

    def to_host(self) -> NDArray[np.uint8]:
        """A copy in host memory."""
        host = np.empty(self.shape, np.uint8)
        with self._device.current():
            stream = self._device.stream()
            self._device.download(host, self._address, stream)
            stream.synchronize()
            del stream
        return host

    def __repr__(self) -> str:
        return f"<GpuArray uint8 {self.shape} on {self._device.gpu.name}>"


def is_on_gpu(array: Any) -> bool:
    """Whether an array lies on a GPU; NumPy arrays, and CPU tensors of any library, do not."""
    if isinstance(array, np.ndarray):
        return False
    device = getattr(array, "__dlpack_device__", None)
    if device is not None:
        return device()[0] in (dlpack.CUDA, dlpack.CUDA_MANAGED)
    return hasattr(array, "__cuda_array_interface__")


def view_on_gpu(array: Any, name: str, channels: int | None, stream: int, device: Device) -> GpuView:
    """Look at another library's picture on the GPU; call inside ``Device.current``.

    Args:
        array: uint8 (H, W, channels), or (H, W) if ``channels`` is None (then (H, W, 1) will do), with DLPack or the
            CUDA array interface. Rows may be apart (a crop), pixels within a row not.
        name: what to call it in errors.
        channels: 3, or None.
        stream: handle of the stream on which it will be read: made to wait for the array's own work.
        device: the GPU.

    Raises:
        SourceError: another type, shape, layout or GPU.
    """
    address, shape, strides, typestr, owner = _described(array, name, stream, device)
    inner = (1,) if channels is None else (channels, 1)
    if channels is None and len(shape) == 3 and shape[2] == 1:
        shape, strides = shape[:2], strides and strides[:2]
    if typestr != "|u1":
        raise SourceError(f"{name} on the GPU has elements of type {typestr}, not uint8", "convert it to uint8 first")
    if len(shape) != (2 if channels is None else 3) or (channels is not None and shape[-1] != channels):
        wanted = "(H, W)" if channels is None else f"(H, W, {channels})"
        raise SourceError(f"{name} on the GPU has shape {shape}, not {wanted}", "pass pixels as rows of BGR bytes")
    row_bytes = int(np.prod(shape[1:]))
    strides = strides or (row_bytes, *inner)
    if strides[1:] != inner or strides[0] < row_bytes:
        raise SourceError(f"{name} on the GPU has strides {strides}: its pixels are not side by side", _CONTIGUOUS)
    return GpuView(address, shape, strides[0], owner)


def _described(
    array: Any, name: str, stream: int, device: Device
) -> tuple[int, tuple[int, ...], tuple[int, ...] | None, str, Any]:
    """Address, shape, strides in bytes, type and owner, with ``stream`` made to wait for the array's work."""
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        try:
            capsule = array.__dlpack__(stream=stream)
            address, shape, strides, typestr, number = dlpack.read(capsule)
        except (BufferError, TypeError, ValueError, RuntimeError) as error:
            raise SourceError(f"{name} on the GPU cannot be read through DLPack: {error}", _CONTIGUOUS) from error
        if number != 0:
            raise SourceError(f"{name} lies on GPU {number}, the engine runs on GPU 0", "move it to GPU 0")
        return address, shape, strides, typestr, (array, capsule)
    facts = array.__cuda_array_interface__
    producer = facts.get("stream")
    if facts.get("version", 0) < 3:  # tells nothing of streams
        device.synchronize()
    elif producer is not None:
        order_after(stream, int(producer))
    strides = facts.get("strides")
    return (
        int(facts["data"][0]),
        tuple(int(n) for n in facts["shape"]),
        None if strides is None else tuple(int(n) for n in strides),
        str(facts["typestr"]),
        array,
    )
