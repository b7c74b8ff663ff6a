"""One case: a clip through one backend, timed; runs in a process of its own, whose memory is then this case's alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edge_harmony.backgrounds.fit import fit
from edge_harmony.backgrounds.open import open_background
from edge_harmony.capture import open_source
from edge_harmony.capture.source import Source
from edge_harmony.compose.compositor import Compositor
from edge_harmony.contract import read_down
from edge_harmony.errors import ConfigError, SourceError
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.load import load_harmonizer
from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer
from edge_harmony.live.masked_source import MaskedSource
from edge_harmony.live.subject import Subject
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.over import over
from edge_harmony.pixels.synthetic import Item, SyntheticClip
from edge_harmony.run.timing import StageTimer

WARM_UP: Final = 10  # frames that are not counted
_GPU_FRAMES: Final = 12  # different ones, held in memory, for a frame engine alone
_STAGES: Final = ("read down", "scene", "network", "smooth", "apply")  # of the compositor; what else it does is "rest"


class RecordedClip:
    """The user's clip: decoded frame by frame, as often as it takes, with the time that takes.

    Args:
        source: a video, picture, folder or pattern of pictures.
        alpha: the mask's file; None where the source has an alpha channel.
        background: a picture, a video or a colour.
        timer: gets the stages ``decode``, ``matte`` and ``background``.
    """

    clip_bytes = 0

    def __init__(self, source: str, alpha: str | None, background: str, timer: StageTimer) -> None:
        self._spec, self._alpha, self._background, self._timer = source, alpha, background, timer
        with self._open() as opened:
            self.size_hw = opened.size_hw
            if not opened.has_alpha:
                raise ConfigError(f"{source} has no alpha channel", "name its mask with --alpha")

    def frames(self, count: int) -> Iterator[Item]:
        """``count`` frames: the subject, its alpha, and the background that is due."""
        left = count
        while left > 0:
            before = left
            for item in self._once():
                yield item
                left -= 1
                if left == 0:
                    return
            if left == before:
                raise SourceError(f"{self._spec} has no frame", "use a clip with at least one")

    def _once(self) -> Iterator[Item]:
        with ExitStack() as stack:
            source = stack.enter_context(self._open())
            background = open_background(self._background, source.size_hw)
            stack.callback(background.close)
            subject = Subject(None, not source.straight, StageTimer())
            frames = iter(source)
            start: Fraction | None = None
            while True:
                begun = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    return
                self._timer.add("decode", (time.perf_counter() - begun) * 1e3)
                image, alpha = frame.image_bgr, frame.alpha
                if self._alpha is not None:
                    with self._timer.stage("matte"):
                        image, alpha = subject.cut(frame, begun)
                start = frame.time_s if start is None else start
                with self._timer.stage("background"):
                    behind = background.at(frame.time_s - start, source.size_hw)
                assert alpha is not None
                yield image, alpha, behind

    def _open(self) -> Source:
        """The clip, with its masks beside its frames as in every command."""
        source = open_source(self._spec)
        if self._alpha is None:
            return source
        try:
            return MaskedSource(source, self._alpha)
        except BaseException:
            source.close()
            raise


def measure(
    model: str,
    backend: str,
    frames: int,
    size_hw: tuple[int, int],
    threads: int | None = None,
    source: str | None = None,
    alpha: str | None = None,
    background: str | None = None,
) -> dict[str, Any]:
    """Put a clip through ``Compositor.process`` on one backend, and alpha blending of OpenCV beside it.

    Args:
        model: file of the model or engine.
        backend: its name; it runs or is an error.
        frames: how many are counted, after ``WARM_UP`` others.
        size_hw: of the clip that is made in memory, where no source is named.
        threads: for network, pixels and OpenCV; by default all processors, at most 8.
        source, alpha, background: the user's clip, see ``RecordedClip``.

    Returns:
        What JSON holds, times in milliseconds: ``stages`` and ``end_to_end`` (count, mean, p50, p95, p99 each),
        ``throughput_fps``, ``peak_mb`` (of this process, Python and libraries included) with ``clip_mb`` (that the
        clip itself takes of it), ``cv2_blend`` and ``ratio_to_blend`` (of the medians), ``held`` (frames, warm-up
        included, for which the network was not asked), ``gpu_frames``: None, or what ``_on_gpu`` measured, and
        ``gpu_memory``: None, or what ``_mapped_and_copied`` did.

    Raises:
        EdgeHarmonyError: the backend cannot run, or the clip cannot be read.
    """
    timer = StageTimer(frames)
    if source is None:
        clip = SyntheticClip((size_hw[0], size_hw[1]))
    else:
        clip = RecordedClip(source, alpha, background or "#808080", timer)
    with load_harmonizer(model, backend, threads) as harmonizer:
        cv2.setNumThreads(harmonizer.threads)
        compositor = Compositor(harmonizer)
        compositor.timings = StageTimer(frames)
        gpu_frames = _on_gpu(harmonizer, clip, frames)
        gpu_memory = _mapped_and_copied(harmonizer, clip, frames)
        out = np.empty((*clip.size_hw, 3), np.uint8)
        blended = np.empty_like(out)
        peak_mb = 0.0
        for index, (image, cover, behind) in enumerate(clip.frames(WARM_UP + frames)):
            compositor.process(image, cover, behind, out)
            if index < WARM_UP:
                peak_mb = _peak_mb()
                if index == WARM_UP - 1:
                    timer.reset()
                    compositor.timings.reset()
                continue
            took = compositor.timings.last_ms("total")
            timer.add("rest", took - sum(compositor.timings.last_ms(stage) for stage in _STAGES))
            timer.add("end to end", took + sum(timer.last_ms(s) for s in ("decode", "matte", "background")))
            timer.add("cv2 blend", _blend_ms(image, cover, fit(behind, clip.size_hw, "cover"), blended))
    summary, inner = timer.summary(), compositor.timings.summary()
    order = ("decode", "matte", "background", *_STAGES, "rest")
    stages = {name: (inner | summary)[name].as_dict() for name in order if name in (inner | summary)}
    end, blend = summary["end to end"], summary["cv2 blend"]
    return {
        "model": Path(model).name,
        "model_name": harmonizer.name,
        "threads": harmonizer.threads,
        "frames": end.count,
        "size": f"{clip.size_hw[1]}x{clip.size_hw[0]}",
        "stages": stages,
        "end_to_end": end.as_dict(),
        "throughput_fps": round(1000.0 / end.mean_ms, 2),
        "held": compositor.reused,
        "gpu_frames": gpu_frames,
        "gpu_memory": gpu_memory,
        "peak_mb": round(peak_mb, 1),
        "clip_mb": round(clip.clip_bytes / 2**20, 1),
        "cv2_blend": blend.as_dict(),
        "ratio_to_blend": round(end.p50_ms / blend.p50_ms, 2),
    }


def _on_gpu(harmonizer: Harmonizer, clip: SyntheticClip | RecordedClip, frames: int) -> dict[str, Any] | None:
    """A frame engine by itself, everything but the matte on the GPU, from host arrays to host array.

    Returns:
        ``latency`` (count, mean, p50, p95, p99 in milliseconds, nothing else in flight), ``throughput_fps`` (two
        frames in flight), and ``graph_refusal`` (why no CUDA graph was replayed, or empty); None for other backends,
        and for a clip of a size that the engine was not built for.
    """
    if not isinstance(harmonizer, TensorRtHarmonizer) or harmonizer.size_range is None:
        return None
    smallest, largest = harmonizer.size_range
    if not all(low <= n <= high for low, n, high in zip(smallest, clip.size_hw, largest, strict=True)):
        return None
    items = [(f.copy(), a.copy(), fit(b, clip.size_hw, "cover")) for f, a, b in clip.frames(_GPU_FRAMES)]
    timer = StageTimer(frames)
    out = np.empty((*clip.size_hw, 3), np.uint8)
    for index in range(WARM_UP + frames):
        if index == WARM_UP:
            timer.reset()
        with timer.stage("frame"):
            harmonizer.harmonize_frame(*items[index % len(items)], out=out)
    for _ in harmonizer.stream(islice(cycle(items), WARM_UP)):
        pass
    begun = time.perf_counter()
    done = sum(1 for _ in harmonizer.stream(islice(cycle(items), frames)))
    return {
        "latency": timer.summary()["frame"].as_dict(),
        "throughput_fps": round(done / (time.perf_counter() - begun), 2),
        "graph_refusal": harmonizer.graph_refusal,
    }


def _mapped_and_copied(
    harmonizer: Harmonizer, clip: SyntheticClip | RecordedClip, frames: int
) -> dict[str, dict[str, Any]] | None:
    """On a GPU that shares the host's memory, an engine's call with memory that is read in place, and with copies.

    Returns:
        ``mapped`` and ``copied``, each with count, mean, p50, p95, p99 in milliseconds, from host arrays to host array;
        None for other backends and other GPUs.
    """
    if not isinstance(harmonizer, TensorRtHarmonizer) or not harmonizer.shares_memory:
        return None
    image, cover, behind = next(iter(clip.frames(1)))
    composite = over(image, cover, fit(behind, clip.size_hw, "cover"))
    view, small = read_down(composite), read_down(cover)
    ways: dict[str, dict[str, Any]] = {}
    for name, mapped in (("mapped", True), ("copied", False)):
        timer = StageTimer(frames)
        with TensorRtHarmonizer(harmonizer.model_path, harmonizer.threads, mapped=mapped) as other:
            for index in range(WARM_UP + frames):
                if index == WARM_UP:
                    timer.reset()
                with timer.stage("call"):
                    other.transform(view, small)
        ways[name] = timer.summary()["call"].as_dict()
    return ways


def _blend_ms(image: Frame, cover: Alpha, behind: Frame, out: Frame) -> float:
    """OpenCV's alpha blending of the same frame; its float weights are made outside the clock."""
    weight = cover.astype(np.float32) / np.float32(255)
    rest = np.float32(1) - weight
    begun = time.perf_counter()
    cv2.blendLinear(image, behind, weight, rest, out)
    return (time.perf_counter() - begun) * 1e3


def _peak_mb() -> float:
    """The most memory that this process has held. On Linux not ``getrusage``, which counts its parent's too."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)
