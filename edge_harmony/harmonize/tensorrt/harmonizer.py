"""A TensorRT or TensorRT-RTX engine as a harmonizer."""

from __future__ import annotations

import atexit
import logging
import sys
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import (
    COMPOSITE,
    FOREGROUND,
    HARMONIZED,
    MASK,
    META_CONTRACT,
    META_GRAPH,
    META_MODEL,
    META_PRECISION,
    META_WEIGHTS,
    TRANSFORM,
    TRANSFORM_SHAPE,
)
from edge_harmony.errors import ConfigError
from edge_harmony.gpu.array import is_on_gpu
from edge_harmony.gpu.device import open_device
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.tensorrt.engine import Tensor, load_engine
from edge_harmony.harmonize.tensorrt.frames import IN_FLIGHT, FrameRunner, PendingFrame, Picture
from edge_harmony.harmonize.tensorrt.loop import EngineLoop
from edge_harmony.harmonize.transfer import Transform
from edge_harmony.pixels.frame import Alpha, Frame, check_alpha, check_frame

_log = logging.getLogger(__name__)

_open: weakref.WeakSet[TensorRtHarmonizer] = weakref.WeakSet()


class TensorRtHarmonizer(Harmonizer):
    """An engine of the transform graph or of the frame graph.

    The *transform* engine runs the network on the GPU; frames stay in host memory, where the full-resolution step
    is done. The *frame* engine does the whole job on the GPU. Besides the call of every harmonizer it has
    ``harmonize_frame`` (lowest latency) and ``submit`` and ``stream`` (highest throughput), which keep the transform
    on the GPU from frame to frame, and it takes and gives arrays that lie on the GPU.

    May be called from several threads at once. With smoothing it follows one video: make an object for each. Close
    it, or leave it to the garbage collector or to the program's end.

    Args:
        engine_path: the engine, with its sidecar beside it.
        threads: for the full-resolution step of a transform engine; by default the processors available, at most 8.
        weights_sha256: of the model that the engine must be of; empty does not ask.
        mapped: let the GPU read and write host memory in place (True) or copy (False); None: in place on a GPU that
            shares the host's memory, unless the environment says EDGE_HARMONY_GPU_MEMORY=copied.

    Attributes:
        graph: "transform" or "frame".

    Raises:
        BackendUnavailableError: no driver, GPU, pycuda or TensorRT, or no memory left on the GPU.
        EngineMismatchError: the engine was built for something else, or is damaged; the hint builds it again.
        ConfigError: threads below 1.
    """

    def __init__(
        self, engine_path: Path, threads: int | None = None, weights_sha256: str = "", mapped: bool | None = None
    ) -> None:
        device = open_device()
        engine, sidecar = load_engine(engine_path, device, weights_sha256)
        is_rtx = sidecar.target == "rtx"
        self.backend = "tensorrt-rtx" if is_rtx else "tensorrt"
        self.graph = sidecar.graph
        refusal = "TensorRT-RTX replaces its kernels as it runs" if is_rtx else ""
        self._loop = EngineLoop(device, engine, refusal, mapped)
        _open.add(self)
        metadata = {
            META_CONTRACT: str(sidecar.contract),
            META_GRAPH: sidecar.graph,
            META_MODEL: sidecar.model,
            META_WEIGHTS: sidecar.weights_sha256,
            META_PRECISION: sidecar.precision,
            "engine": f"{sidecar.target} {sidecar.builder_version} on {device.gpu.name}",
        }
        super().__init__(sidecar.model or engine_path.stem, engine_path, metadata, threads)
        self._frames = FrameRunner(self._loop, sidecar.rebuild) if self.graph == "frame" else None
        if self._frames is None:
            with self._loop.working():
                self._slot = self._loop.slot()

    def __enter__(self) -> TensorRtHarmonizer:
        return self

    @property
    def graph_refusal(self) -> str:
        """Why no CUDA graph is replayed; empty while none was refused."""
        return self._loop.graph_refusal

    @property
    def graph_launches(self) -> int:
        """How many frames were run by replaying a CUDA graph."""
        return self._loop.graph_launches

    @property
    def size_range(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Smallest and largest frame, (H, W), that a frame engine takes; None for a transform engine."""
        return None if self._frames is None else (self._frames.smallest, self._frames.largest)

    def __call__(self, composite_bgr: Any, mask: Any, strength: float = 1.0, out: Frame | None = None) -> Picture:
        """As ``Harmonizer.__call__``. With a frame engine the arrays may lie on the GPU: the result then does too."""
        if self._frames is None and not is_on_gpu(composite_bgr):
            return super().__call__(composite_bgr, mask, strength, out)
        with self.timings.stage("total"):
            frames = self._frame_runner()
            if not is_on_gpu(composite_bgr) and not is_on_gpu(mask):
                composite_bgr = check_frame(composite_bgr, "composite")
                mask = check_alpha(mask, composite_bgr.shape[:2], "mask")
                if not mask.any():
                    return self._untouched(composite_bgr, out)
            return frames.run(composite_bgr, mask, composite_bgr, strength, out=out, keep=False)

    def harmonize_frame(
        self,
        foreground_bgr: Any,
        alpha: Any,
        background_bgr: Any,
        strength: float = 1.0,
        smoothing: float = 0.0,
        out: Frame | None = None,
    ) -> Picture:
        """Composite and harmonize one frame on the GPU, with nothing else in flight: the lowest latency.

        Args:
            foreground_bgr: uint8 (H, W, 3), the subject's straight colour: a NumPy array, or an array on the GPU
                with DLPack or the CUDA array interface. The same holds for the next two; the three may be mixed.
            alpha: uint8 (H, W); in host memory also what ``check_alpha`` takes.
            background_bgr: uint8 (H, W, 3).
            strength: 0 (composited, colours untouched) .. 1 (fully harmonized).
            smoothing: 0 follows every frame, 0.9 keeps 90 % of the last frame's transform. The first frame, and the
                first after ``reset``, is not smoothed.
            out: uint8 (H, W, 3) host array to write a host result into.

        Returns:
            uint8 (H, W, 3): ``out`` or a new array; a ``GpuArray`` when the foreground lies on the GPU, and then
            nothing is copied to the host. It is complete, and the caller's own.

        Raises:
            ConfigError: a number out of range, or the engine is of the transform graph.
            SourceError, MatteError: an array of another type, shape or layout, or sizes that differ.
            EngineMismatchError: the engine was not built for frames of this size.
            BackendUnavailableError: the GPU failed.
        """
        with self.timings.stage("total"):
            frames = self._frame_runner()
            return frames.run(foreground_bgr, alpha, background_bgr, strength, smoothing, out)

    def submit(
        self, foreground_bgr: Any, alpha: Any, background_bgr: Any, strength: float = 1.0, smoothing: float = 0.0
    ) -> PendingFrame:
        """As ``harmonize_frame``, but only started: the highest throughput, for a frame more of latency.

        Two frames are in flight at most: a third waits for the oldest, whose picture is kept until it is asked for.
        Host arrays may be changed as soon as this returns, arrays on the GPU not before the result is there.
        """
        return self._frame_runner().submit(foreground_bgr, alpha, background_bgr, strength, smoothing)

    def stream(
        self, frames: Iterable[tuple[Any, Any, Any]], strength: float = 1.0, smoothing: float = 0.0
    ) -> Iterator[Picture]:
        """Harmonize ``(foreground, alpha, background)`` after ``(foreground, alpha, background)``, in their order.

        Two frames are in flight: a picture is given as soon as the frame after it has been started.
        """
        waiting: deque[PendingFrame] = deque()
        for foreground_bgr, alpha, background_bgr in frames:
            waiting.append(self.submit(foreground_bgr, alpha, background_bgr, strength, smoothing))
            if len(waiting) == IN_FLIGHT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def reset(self) -> None:
        """The next frame starts a new video: it is not smoothed."""
        self._frame_runner().reset()

    def close(self) -> None:
        """Finish frames in flight and free the GPU's memory. Safe to call twice; do not use it afterwards."""
        _open.discard(self)
        if getattr(self, "_frames", None) is not None:
            self._frame_runner().close()
        self._loop.close()

    def __del__(self) -> None:
        if hasattr(self, "_loop") and not sys.is_finalizing():
            with suppress(Exception):
                self.close()

    def unchecked_transform(self, composite512_bgr: Frame, alpha512: Alpha) -> Transform:
        """As ``transform``, but as the engine gave it: it may hold NaN. For those who measure an engine."""
        return self._predict(composite512_bgr, alpha512)

    @property
    def mapped(self) -> bool:
        """Whether the GPU reads and writes host memory in place."""
        return self._loop.mapped

    @property
    def shares_memory(self) -> bool:
        """Whether the GPU shares the host's memory, as on a Jetson: then ``mapped`` is worth a measurement."""
        return self._loop.device.integrated

    @property
    def input_tensors(self) -> list[Tensor]:
        """The engine's inputs, as its graph has them."""
        return [tensor for tensor in self._loop.engine.tensors.values() if tensor.is_input]

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The engine's own tensors in and out, see ``edge_harmony.contract``. For those who measure an engine.

        Args:
            inputs: every input of the engine's graph, of its type and of a shape that it takes.

        Returns:
            Every output, in new arrays.
        """
        with self._loop.working():
            slot = self._slot if self._frames is None else self._frames.free_slot()
            outputs: dict[str, Any] = {TRANSFORM: TRANSFORM_SHAPE}
            if self._frames is not None:
                outputs[HARMONIZED] = inputs[FOREGROUND].shape
            self._loop.start(slot, inputs, outputs, overlapped=False)
            slot.finished.synchronize()
            return {name: self._loop.output(slot, name, shape).copy() for name, shape in outputs.items()}

    def _predict(self, composite512_bgr: Frame, alpha512: Alpha) -> Transform:
        if self._frames is None:
            return super()._predict(composite512_bgr, alpha512)
        return self._frames.transform(composite512_bgr, alpha512)

    def _transform_impl(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Transform:
        inputs = {COMPOSITE: composite, MASK: mask}
        with self._loop.working():
            self._loop.start(self._slot, inputs, {TRANSFORM: TRANSFORM_SHAPE}, overlapped=False)
            self._slot.finished.synchronize()
            return self._loop.output(self._slot, TRANSFORM, TRANSFORM_SHAPE).copy()

    def _frame_runner(self) -> FrameRunner:
        if self._frames is None:
            raise ConfigError(
                f"{self.model_path.name} is an engine of the transform graph, which takes no frames on the GPU",
                "build one of the frame graph: python -m export.build_engine --graph frame",
            )
        return self._frames


@atexit.register
def _close_all() -> None:
    """Before the interpreter takes pycuda and TensorRT apart, in whatever order."""
    for harmonizer in list(_open):
        with suppress(Exception):
            harmonizer.close()
