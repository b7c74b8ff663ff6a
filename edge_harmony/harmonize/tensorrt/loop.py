"""Frames through an engine: buffers that are kept, streams that overlap, and graphs that are replayed.

Two ways to run, which share the engine's one execution context and its stream:

- *latency*: one frame, nothing else in flight, everything on one stream. Once the same shapes and addresses come
  again, the engine's work is captured as a CUDA graph and launched as one.
- *throughput*: up to two frames in flight on three streams, so that a frame is uploaded and another downloaded while
  the engine works on the one between. Addresses alternate, hence no graph; launches hide behind the GPU's work.

A graph is only valid while its execution context is left as it was, so it is dropped as soon as a shape or an
address changes.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import BackendUnavailableError, EdgeHarmonyError
from edge_harmony.gpu.array import GpuView
from edge_harmony.gpu.device import Device, DeviceMemory, GpuLostError, PinnedMemory
from edge_harmony.gpu.driver import CapturedGraph, DriverCallError, capture
from edge_harmony.harmonize.tensorrt.engine import Engine

if TYPE_CHECKING:
    from edge_harmony.gpu.device import Event, Stream

_log = logging.getLogger(__name__)

ALIGNMENT = 256  # bytes, of every address that TensorRT is given
_CLOSED: list[Any] = []
_SMALL = 64  # bytes up to which an input is compared, and not uploaded again when it is the same

Input = NDArray[Any] | GpuView | DeviceMemory | str
Output = tuple[int, ...] | DeviceMemory


class Slot:
    """The buffers of one frame in flight, and the events that tell how far it is."""

    def __init__(self, device: Device, mapped: bool) -> None:
        self._device, self._mapped = device, mapped
        self._pinned: dict[str, PinnedMemory] = {}
        self._memory: dict[str, DeviceMemory] = {}
        self.uploaded: Event = device.event()
        self.computed: Event = device.event()
        self.finished: Event = device.event()
        self.borrowed: Any = None  # arrays of others that the frame reads or writes

    def pinned(self, name: str, nbytes: int) -> PinnedMemory:
        """The host's buffer of a tensor, kept while it is large enough."""
        kept = self._pinned.get(name)
        if kept is None or kept.nbytes < nbytes:
            if kept is not None:
                kept.free()
            kept = self._pinned[name] = self._device.pinned(nbytes, self._mapped)
            kept.array[:_SMALL] = 255  # equals no number that is passed in
        return kept

    def memory(self, name: str, nbytes: int) -> DeviceMemory:
        """The GPU's buffer of a tensor, kept while it is large enough."""
        kept = self._memory.get(name)
        if kept is None or kept.nbytes < nbytes:
            if kept is not None:
                kept.free()
            kept = self._memory[name] = self._device.alloc(nbytes)
        return kept

    def free(self) -> None:
        for buffer in (*self._pinned.values(), *self._memory.values()):
            buffer.free()
        self._pinned, self._memory, self.borrowed = {}, {}, None
        self.uploaded = self.computed = self.finished = None  # pyright: ignore[reportAttributeAccessIssue]


class EngineLoop:
    """Runs an engine on frames: everything inside ``working``.

    Args:
        device: the GPU.
        engine: becomes the loop's own, which closes it.
        graph_refusal: why graphs must not be captured; empty when they may.
        mapped: read and write host memory in place instead of copying; by default as ``Device.maps_memory`` says.

    Attributes:
        device: the GPU.
        mapped: see above.
        engine: the engine.
        stream: the compute stream.
        graph_refusal: why no graph is captured; empty while none was refused.
        graph_launches: how many frames were run by launching a graph.
    """

    def __init__(self, device: Device, engine: Engine, graph_refusal: str = "", mapped: bool | None = None) -> None:
        self.device = device
        self.mapped = device.maps_memory if mapped is None else mapped
        self.engine = engine
        self.graph_refusal = graph_refusal
        self.graph_launches = 0
        self._lock = threading.RLock()
        self._error: BackendUnavailableError | None = None  # why it can never be used again
        self._slots: list[Slot] = []
        self._bound: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._repeated = False  # the engine has run once with what is bound now
        self._graph: CapturedGraph | None = None
        self._upload: Stream | None = None  # made for the first overlapped frame
        self._download: Stream | None = None
        with device.current():
            self.stream: Stream = device.stream()

    @contextmanager
    def working(self) -> Generator[None]:
        """Only one thread works at a time, with the GPU's context current.

        Raises:
            BackendUnavailableError: the GPU failed, now or earlier, or the loop was closed.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            try:
                with self.device.current():
                    yield
            except GpuLostError as error:
                self._error = error
                raise

    def slot(self) -> Slot:
        """Buffers for one frame in flight."""
        slot = Slot(self.device, self.mapped)
        self._slots.append(slot)
        return slot

    def start(
        self,
        slot: Slot,
        inputs: Mapping[str, Input],
        outputs: Mapping[str, Output],
        overlapped: bool,
        feedback: tuple[DeviceMemory, DeviceMemory] | None = None,
    ) -> None:
        """Put one frame on the streams; returns before it is done.

        Args:
            slot: its buffers; nothing of an earlier frame may be in flight in it.
            inputs: every input of the engine: host arrays are uploaded (and may be changed as soon as this returns),
                GPU memory is read where it lies, or copied on the GPU when it is not packed and aligned; a name
                stands for the same memory as that input, given before.
            outputs: every output: a shape is downloaded to the slot, memory on the GPU is written and left there.
            overlapped: throughput instead of latency.
            feedback: memory to copy after the run, to and from.
        """
        upload, download = self._streams(overlapped)
        addresses: dict[str, int] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, value in inputs.items():
            if isinstance(value, str):
                addresses[name], shapes[name] = addresses[value], shapes[value]
            else:
                addresses[name] = self._feed(slot, name, value, upload)
                shapes[name] = () if isinstance(value, DeviceMemory) else value.shape
        wanted: dict[str, tuple[int, tuple[int, ...]]] = {}
        for name, output in outputs.items():
            if isinstance(output, DeviceMemory):
                addresses[name] = output.address
                continue
            nbytes = math.prod(output) * self.engine.tensors[name].dtype.itemsize
            buffer = slot.pinned(name, nbytes)
            addresses[name] = buffer.address or slot.memory(name, nbytes).address
            wanted[name] = (nbytes, output)
        if upload is not self.stream:
            slot.uploaded.record(upload)
            self.stream.wait_for_event(slot.uploaded)
        self._bind(addresses, shapes)
        self._run(capturable=not overlapped)
        if feedback is not None:
            to, source = feedback
            self.device.copy(to.address, source.address, min(to.nbytes, source.nbytes), self.stream)
        if download is not self.stream:
            slot.computed.record(self.stream)
            download.wait_for_event(slot.computed)
        for name, (nbytes, _) in wanted.items():
            buffer = slot.pinned(name, nbytes)
            if not buffer.address:
                self.device.download(buffer.array[:nbytes], addresses[name], download)
        slot.finished.record(download)

    def output(self, slot: Slot, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The downloaded output of a finished frame: a view of the slot's buffer, to be copied before its next."""
        dtype = self.engine.tensors[name].dtype
        nbytes = math.prod(shape) * dtype.itemsize
        return slot.pinned(name, nbytes).array[:nbytes].view(dtype).reshape(shape)

    def close(self) -> None:
        """Free everything, the engine too. Safe to call twice, and on a GPU that was lost."""
        with self._lock:
            if self._slots is _CLOSED:
                return
            slots, self._slots = self._slots, _CLOSED
            self._error = BackendUnavailableError("the harmonizer was closed", "load it again")
            with suppress(BackendUnavailableError), self.device.current():
                for action in (self._drop_graph, *(slot.free for slot in slots), self.engine.close):
                    with suppress(Exception):  # a lost GPU refuses every call; go on to the next
                        action()
                self.stream = self._upload = self._download = None  # pyright: ignore[reportAttributeAccessIssue]

    def _streams(self, overlapped: bool) -> tuple[Stream, Stream]:
        if not overlapped or self.mapped:  # nothing is copied then
            return self.stream, self.stream
        if self._upload is None or self._download is None:
            self._upload, self._download = self.device.stream(), self.device.stream()
        return self._upload, self._download

    def _feed(self, slot: Slot, name: str, value: NDArray[Any] | GpuView | DeviceMemory, upload: Stream) -> int:
        """Bring an input to the GPU; returns its address there."""
        if isinstance(value, DeviceMemory):
            return value.address
        if isinstance(value, GpuView):
            if value.packed and value.address % ALIGNMENT == 0:
                return value.address
            rows, nbytes = value.shape[0], value.row_bytes * value.shape[0]
            copy = slot.memory(name, nbytes)
            self.device.copy_rows(copy.address, value.address, value.row_bytes, value.pitch, rows, self.stream)
            return copy.address
        buffer = slot.pinned(name, value.nbytes)
        staged = buffer.array[: value.nbytes].view(value.dtype).reshape(value.shape)
        address = buffer.address or slot.memory(name, value.nbytes).address
        if value.nbytes <= _SMALL and np.array_equal(staged, value):
            return address
        np.copyto(staged, value)
        if not buffer.address:
            self.device.upload(address, buffer.array[: value.nbytes], upload)
        return address

    def _bind(self, addresses: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Tell the engine what has changed."""
        for name, shape in shapes.items():
            if self._shapes.get(name) != shape:
                self._changed()
                if -1 in self.engine.tensors[name].shape:
                    self.engine.set_shape(name, shape)
                self._shapes[name] = shape
        for name, address in addresses.items():
            if self._bound.get(name) != address:
                self._changed()
                self.engine.bind(name, address)
                self._bound[name] = address

    def _changed(self) -> None:
        self._drop_graph()
        self._repeated = False

    def _drop_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()

    def _run(self, capturable: bool) -> None:
        handle = self.stream.handle
        if self._graph is None and capturable and self._repeated and not self.graph_refusal:
            try:
                self._graph = capture(handle, lambda: self.engine.enqueue(handle))
            except (DriverCallError, EdgeHarmonyError) as reason:  # TensorRT has layers that cannot be captured
                self.graph_refusal = str(reason)
                _log.info("no CUDA graph, the engine is launched layer by layer: %s", reason)
        if self._graph is not None:
            self._graph.launch(handle)
            self.graph_launches += 1
            return
        self.engine.enqueue(handle)
        self._repeated = True
