"""The frame graph's engine at work: pictures in, pictures out, the transform staying on the GPU between them."""

# A PendingFrame is the engine's own, behind what it shows to callers.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cv2
import numpy as np

from edge_harmony.contract import (
    ALPHA,
    BACKGROUND,
    FOREGROUND,
    HARMONIZED,
    IDENTITY,
    PREVIOUS_TRANSFORM,
    READ_SIZE,
    SMOOTHING,
    STRENGTH,
    TRANSFORM,
    TRANSFORM_SHAPE,
)
from edge_harmony.errors import ConfigError, EngineMismatchError, SourceError
from edge_harmony.gpu.array import GpuView, is_on_gpu, view_on_gpu
from edge_harmony.gpu.pool import PicturePool
from edge_harmony.harmonize.tensorrt.loop import EngineLoop, Input, Output, Slot
from edge_harmony.harmonize.transfer import Transform
from edge_harmony.pixels.frame import Alpha, Frame, check_alpha, check_frame

IN_FLIGHT = 2  # frames, in throughput mode

Picture = Any  # uint8 (H, W, 3): a NumPy array or a GpuArray


class PendingFrame:
    """A frame on its way, from ``TensorRtHarmonizer.submit``."""

    def __init__(
        self, runner: FrameRunner, slot: Slot, foreground: Any, collect: Callable[[Frame | None], Picture]
    ) -> None:
        self._runner = runner
        self._shape = None if isinstance(foreground, GpuView) else foreground.shape
        self._slot: Slot | None = slot
        self._collect: Callable[[Frame | None], Picture] | None = collect
        self._picture: Picture = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether ``result`` would return, or raise, at once."""
        return self._runner.is_done(self)

    def result(self, out: Frame | None = None) -> Picture:
        """Wait for the frame. May be asked again, from any thread.

        Args:
            out: uint8 (H, W, 3) host array to write a host result into.

        Returns:
            As ``TensorRtHarmonizer.harmonize_frame`` does.

        Raises:
            BackendUnavailableError: the GPU failed meanwhile, or the harmonizer was closed.
        """
        _check_out(out, self._shape)
        self._runner.wait(self)
        self._runner.settle(self, out)
        if self._error is not None:
            raise self._error
        if out is not None and self._picture is not out:
            np.copyto(out, self._picture)
            return out
        return self._picture


class FrameRunner:
    """Feeds an engine of the frame graph. All of it may be called from any thread.

    Args:
        loop: with the engine; its owner closes it, after this.
        rebuild: the command that built the engine, for hints.
    """

    def __init__(self, loop: EngineLoop, rebuild: str) -> None:
        self._loop = loop
        self._rebuild = rebuild
        self._flying: deque[PendingFrame] = deque()
        self._is_first = True
        frame = loop.engine.tensors[FOREGROUND]
        self.smallest, self.largest = frame.smallest[:2], frame.largest[:2]  # (H, W)
        with loop.working():
            self._slots = [loop.slot() for _ in range(IN_FLIGHT)]
            self._pool = PicturePool(loop.device)
            state = IDENTITY.nbytes
            self._fresh, self._previous = loop.device.alloc(state), loop.device.alloc(state)
            loop.device.upload(self._previous.address, IDENTITY, loop.stream)
            loop.stream.synchronize()

    def run(
        self,
        foreground_bgr: Any,
        alpha: Any,
        background_bgr: Any,
        strength: float,
        smoothing: float = 0.0,
        out: Frame | None = None,
        keep: bool = True,
    ) -> Picture:
        """One frame with nothing else in flight. ``keep``: it belongs to the video, the next one builds on it."""
        _check_numbers(strength, smoothing)
        with self._loop.working():
            self._drain()
            slot = self._slots[0]
            parts = self._parts(foreground_bgr, alpha, background_bgr)
            _check_out(out, None if isinstance(parts[0], GpuView) else parts[0].shape)
            collect = self._start(slot, parts, strength, smoothing, overlapped=False, keep=keep)
            slot.finished.synchronize()
            slot.borrowed = None
            return collect(out)

    def submit(
        self, foreground_bgr: Any, alpha: Any, background_bgr: Any, strength: float, smoothing: float
    ) -> PendingFrame:
        """Start one frame; when two are in flight, wait for the older first."""
        _check_numbers(strength, smoothing)
        with self._loop.working():
            while len(self._flying) >= IN_FLIGHT:
                self.wait(self._flying[0])
                self.settle(self._flying[0], None)
            busy = {id(pending._slot) for pending in self._flying}
            slot = next(slot for slot in self._slots if id(slot) not in busy)
            parts = self._parts(foreground_bgr, alpha, background_bgr)
            collect = self._start(slot, parts, strength, smoothing, overlapped=True, keep=True)
            pending = PendingFrame(self, slot, parts[0], collect)
            self._flying.append(pending)
            return pending

    def transform(self, view_bgr: Frame, alpha: Alpha) -> Transform:
        """The colour transform alone, of a composite that has been read down: (512, 512, 3) and (512, 512).

        The engine is run at 512 x 512 where it was built for that. Otherwise pixels are repeated up to a size that it
        takes; from twice the size on, and nearly from once, the graph reads exactly the same view down again.
        """
        size_hw = tuple(min(max(READ_SIZE, low), high) for low, high in zip(self.smallest, self.largest, strict=True))
        if size_hw != view_bgr.shape[:2]:
            target = (size_hw[1], size_hw[0])
            view_bgr = cv2.resize(view_bgr, target, interpolation=cv2.INTER_NEAREST_EXACT)
            alpha = cv2.resize(alpha, target, interpolation=cv2.INTER_NEAREST_EXACT)
        with self._loop.working():
            self._drain()
            slot = self._slots[0]
            outputs: dict[str, Output] = {
                HARMONIZED: slot.memory("unused picture", view_bgr.nbytes),
                TRANSFORM: TRANSFORM_SHAPE,
            }
            self._loop.start(slot, self._inputs((view_bgr, alpha, view_bgr), 0.0, 0.0), outputs, overlapped=False)
            slot.finished.synchronize()
            return self._loop.output(slot, TRANSFORM, TRANSFORM_SHAPE).copy()

    def free_slot(self) -> Slot:
        """A slot with nothing in flight, in this one or another; inside ``EngineLoop.working``."""
        self._drain()
        return self._slots[0]

    def reset(self) -> None:
        """The next frame starts a new video."""
        self._is_first = True

    def is_done(self, pending: PendingFrame) -> bool:
        slot = pending._slot
        if slot is None:
            return True
        with self._loop.device.current():
            lost = slot.finished is None  # pyright: ignore[reportUnnecessaryComparison] - once the device is lost
            return lost or slot.finished.query()

    def wait(self, pending: PendingFrame) -> None:
        """Wait until a frame is done; others may submit meanwhile. An error is left to ``settle``."""
        slot = pending._slot
        event = slot and slot.finished
        if event is not None:
            with suppress(Exception), self._loop.device.current():
                event.synchronize()
                del event  # here, where its context is current

    def settle(self, pending: PendingFrame, out: Frame | None) -> None:
        """Take the picture of a frame that is done out of its slot, which is free then."""
        try:
            with self._loop.working():
                slot, collect = pending._slot, pending._collect
                if slot is None or collect is None:
                    return
                slot.finished.synchronize()
                slot.borrowed = None
                pending._picture = collect(out)
                self._landed(pending)
        except Exception as error:
            if pending._slot is not None:
                pending._error = error
                self._landed(pending)

    def close(self) -> None:
        """Finish what is in flight and free what is here. Safe on a GPU that was lost."""
        for pending in list(self._flying):
            self.settle(pending, None)
        with suppress(Exception), self._loop.device.current():
            for free in (self._pool.close, self._fresh.free, self._previous.free):
                with suppress(Exception):
                    free()

    def _drain(self) -> None:
        while self._flying:
            self.settle(self._flying[0], None)

    def _landed(self, pending: PendingFrame) -> None:
        pending._slot = pending._collect = None
        with suppress(ValueError):
            self._flying.remove(pending)

    def _parts(self, foreground_bgr: Any, alpha: Any, background_bgr: Any) -> tuple[Any, Any, Any]:
        """The three arrays, checked: NumPy arrays or views of GPU memory; the background may be the foreground."""
        stream, device = self._loop.stream.handle, self._loop.device

        def part(array: Any, name: str) -> Any:
            return view_on_gpu(array, name, 3, stream, device) if is_on_gpu(array) else check_frame(array, name)

        foreground = part(foreground_bgr, FOREGROUND)
        size_hw = foreground.shape[:2]
        background = foreground if background_bgr is foreground_bgr else part(background_bgr, BACKGROUND)
        if is_on_gpu(alpha):
            cover: Any = view_on_gpu(alpha, ALPHA, None, stream, device)
        else:
            cover = check_alpha(alpha, size_hw, ALPHA)
        for name, array in ((BACKGROUND, background), (ALPHA, cover)):
            if array.shape[:2] != size_hw:
                raise SourceError(
                    f"{name} is {array.shape[1]} x {array.shape[0]} but the foreground is {size_hw[1]} x {size_hw[0]}",
                    f"scale the {name} to the foreground's size, for example with edge_harmony.backgrounds.fit.fit",
                )
        fits = (low <= n <= high for low, n, high in zip(self.smallest, size_hw, self.largest, strict=True))
        if not all(fits):
            taken = " to ".join(dict.fromkeys(f"{w}x{h}" for h, w in (self.smallest, self.largest)))
            raise EngineMismatchError(
                f"the engine takes frames of {taken}, this one is {size_hw[1]}x{size_hw[0]}",
                f"build one for it, with another --size, or --min and --max: {self._rebuild}",
            )
        return foreground, cover, background

    def _inputs(self, parts: tuple[Any, Any, Any], strength: float, smoothing: float) -> dict[str, Input]:
        foreground, alpha, background = parts
        return {
            FOREGROUND: foreground,
            ALPHA: alpha,
            BACKGROUND: FOREGROUND if background is foreground else background,
            PREVIOUS_TRANSFORM: self._previous,
            STRENGTH: np.array([strength], np.float32),
            SMOOTHING: np.array([smoothing], np.float32),
        }

    def _start(
        self, slot: Slot, parts: tuple[Any, Any, Any], strength: float, smoothing: float, overlapped: bool, keep: bool
    ) -> Callable[[Frame | None], Picture]:
        """Put a frame on the streams; returns what takes its picture once it is done."""
        shape = parts[0].shape
        inputs = self._inputs(parts, strength, 0.0 if self._is_first or not keep else smoothing)
        outputs: dict[str, Output] = {HARMONIZED: shape, TRANSFORM: self._fresh}
        take: Callable[[], Picture] | None = None
        if isinstance(parts[0], GpuView):
            outputs[HARMONIZED], take = self._pool.take(shape, math.prod(shape), self._loop.stream.handle)

        def collect(out: Frame | None) -> Picture:
            if take is not None:
                return take()
            result = np.empty(shape, np.uint8) if out is None else out
            np.copyto(result, self._loop.output(slot, HARMONIZED, shape))
            return result

        slot.borrowed = parts
        self._loop.start(slot, inputs, outputs, overlapped, (self._previous, self._fresh) if keep else None)
        if keep:
            self._is_first = False
        return collect


def _check_numbers(strength: float, smoothing: float) -> None:
    if not 0.0 <= strength <= 1.0:
        raise ConfigError(f"strength is {strength}", "use a number from 0 (untouched) to 1 (fully harmonized)")
    if not 0.0 <= smoothing < 1.0:
        raise ConfigError(f"smoothing is {smoothing}", "use 0 (none) or more, but less than 1; 0.8 is usual")


def _check_out(out: Frame | None, shape: tuple[int, ...] | None) -> None:
    if out is None:
        return
    if shape is None:
        raise SourceError("out is in host memory, but the frame lies on the GPU", "leave out away")
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.writeable:
        raise SourceError(f"out is {out.dtype} {out.shape}", f"it must be uint8 {shape}, and not read-only")
