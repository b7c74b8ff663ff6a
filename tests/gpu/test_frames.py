"""Pictures of the frame engine, in both modes, from host and GPU memory, against the CPU path's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from edge_harmony import contract
from edge_harmony.errors import ConfigError, EngineMismatchError, MatteError, SourceError
from edge_harmony.gpu.array import GpuArray
from tests.gpu.conftest import write_engine
from tests.gpu.gpu_arrays import DlpackArray, InterfaceArray
from tests.gpu.standin_reference import frame_transform, picture

pytestmark = pytest.mark.gpu


def _close(ours: np.ndarray, expected: np.ndarray) -> bool:
    return int(np.abs(ours.astype(int) - expected.astype(int)).max()) <= 1


@pytest.mark.parametrize("size_hw", [(64, 64), (90, 160), (135, 241)])
@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0])
def test_a_frame_is_the_cpu_paths(open_engine, parts, size_hw, strength):
    frame = parts(1, size_hw)
    harmonizer = open_engine()
    ours = harmonizer.harmonize_frame(*frame, strength=strength)
    expected, _ = picture(*frame, strength=strength)
    assert _close(ours, expected)
    untouched = frame[1] == 0
    assert np.array_equal(ours[untouched], frame[2][untouched])


def test_a_composite_is_harmonized_like_on_any_backend(open_engine, parts):
    composite, alpha, _ = parts(2)
    harmonizer = open_engine()
    before = composite.copy()
    ours = harmonizer(composite, alpha, 0.8)
    assert _close(ours, picture(composite, alpha, composite, 0.8)[0])
    assert np.array_equal(composite, before)
    out = np.empty_like(composite)
    assert harmonizer(composite, alpha / 255.0, 0.8, out=out) is out
    assert np.array_equal(out, ours)
    assert np.array_equal(harmonizer(composite, np.zeros_like(alpha)), composite)
    assert harmonizer.timings.summary()["total"].count == 3


def test_many_sizes_through_one_engine(open_engine, parts):
    harmonizer = open_engine()
    for seed, size_hw in enumerate([(90, 160), (64, 80), (120, 161), (90, 160), (65, 65)]):
        frame = parts(seed, size_hw)
        assert _close(harmonizer.harmonize_frame(*frame), picture(*frame)[0])


def test_smoothing_follows_one_video(open_engine, parts):
    """The first frame is not smoothed; nor is the first after reset; pictures in between do not disturb it."""
    harmonizer = open_engine()
    previous = contract.IDENTITY
    for seed in range(5):
        if seed == 3:
            harmonizer.reset()
        frame = parts(seed)
        expected, previous = picture(*frame, smoothing=0.0 if seed in (0, 3) else 0.8, previous=previous)
        assert _close(harmonizer.harmonize_frame(*frame, smoothing=0.8), expected)
        harmonizer(frame[2], frame[1])
        harmonizer.transform(*_view(seed + 50))


def test_frames_in_flight_keep_their_order(open_engine, parts):
    harmonizer = open_engine()
    frames = [parts(seed) for seed in range(7)]
    previous, expected = contract.IDENTITY, []
    for i, frame in enumerate(frames):
        result, previous = picture(*frame, 0.9, 0.7 if i else 0.0, previous)
        expected.append(result)
    results = list(harmonizer.stream(iter(frames), 0.9, 0.7))
    assert len(results) == len(frames)
    assert all(map(_close, results, expected))
    assert len({id(result) for result in results}) == len(results)


def test_host_arrays_may_change_after_submit(open_engine, parts):
    harmonizer = open_engine()
    frames = [parts(seed) for seed in range(4)]
    expected = [picture(*frame)[0] for frame in frames]
    pending = []
    for frame in frames:
        pending.append(harmonizer.submit(*frame))
        for array in frame:
            array[:] = 0
    assert all(_close(p.result(), e) for p, e in zip(pending, expected, strict=True))


def test_results_in_any_order_and_again(open_engine, parts):
    harmonizer = open_engine()
    frames = [parts(seed) for seed in range(4)]
    pending = [harmonizer.submit(*frame) for frame in frames]
    for i in (3, 0, 2, 1, 3):
        assert _close(pending[i].result(), picture(*frames[i])[0])
        assert pending[i].done
    out = np.empty_like(frames[1][0])
    assert pending[1].result(out) is out
    assert np.array_equal(out, pending[1].result())


def test_latency_and_throughput_mixed(open_engine, parts):
    harmonizer = open_engine()
    frames = [parts(seed) for seed in range(6)]
    first = [harmonizer.submit(*frames[0]), harmonizer.submit(*frames[1])]
    now = harmonizer.harmonize_frame(*frames[2])
    later = harmonizer.submit(*frames[3])
    single = harmonizer(frames[4][2], frames[4][1])
    assert _close(now, picture(*frames[2])[0])
    assert _close(single, picture(frames[4][2], frames[4][1], frames[4][2])[0])
    for pending, frame in zip([*first, later], [frames[0], frames[1], frames[3]], strict=True):
        assert _close(pending.result(), picture(*frame)[0])


def test_one_thread_submits_and_another_collects(open_engine, parts):
    harmonizer = open_engine()
    frames = [parts(seed, (64, 96)) for seed in range(12)]
    results: dict[int, np.ndarray] = {}
    pending = {}
    ready = [threading.Event() for _ in frames]

    def collect():
        for i in range(len(frames)):
            ready[i].wait(30)
            results[i] = pending[i].result()

    thread = threading.Thread(target=collect)
    thread.start()
    for i, frame in enumerate(frames):
        pending[i] = harmonizer.submit(*frame)
        ready[i].set()
    thread.join(60)
    assert len(results) == len(frames)
    assert all(_close(results[i], picture(*frame)[0]) for i, frame in enumerate(frames))


def test_several_harmonizers_in_several_threads(open_engine, parts):
    harmonizers = [open_engine(), open_engine(), open_engine()]

    def work(number):
        frames = [parts(10 * number + seed, (64 + number, 70)) for seed in range(4)]
        return [_close(harmonizers[number % 3].harmonize_frame(*frame), picture(*frame)[0]) for frame in frames]

    with ThreadPoolExecutor(6) as threads:
        assert all(all(right) for right in threads.map(work, range(6)))


def test_a_graph_is_replayed_and_dropped(open_engine, parts):
    harmonizer = open_engine()
    for seed in range(4):
        frame = parts(seed)
        assert _close(harmonizer.harmonize_frame(*frame, 0.5 + seed / 10), picture(*frame, 0.5 + seed / 10)[0])
    if harmonizer.graph_refusal:
        pytest.skip(f"no graphs here: {harmonizer.graph_refusal}")
    assert harmonizer.graph_launches >= 2
    before = harmonizer.graph_launches
    frame = parts(9, (70, 90))
    assert _close(harmonizer.harmonize_frame(*frame), picture(*frame)[0])
    assert harmonizer.graph_launches == before, "another size needs another graph"


def test_graphs_refused_are_done_without(open_engine, parts, monkeypatch):
    monkeypatch.setenv("EMULATED_NO_CAPTURE", "1")
    harmonizer = open_engine()
    for seed in range(3):
        frame = parts(seed)
        assert _close(harmonizer.harmonize_frame(*frame), picture(*frame)[0])
    if not harmonizer.graph_launches:
        assert "cuStreamBeginCapture" in harmonizer.graph_refusal


def _view(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (512, 512, 3), np.uint8), random.integers(1, 256, (512, 512), np.uint8)


@pytest.mark.parametrize("size_hw", [None, (1080, 1920), (100, 150)])
def test_the_transform_of_a_frame_engine(open_engine, size_hw):
    """What the Compositor asks for: the view as it is, or its pixels repeated up to what the engine takes."""
    harmonizer = open_engine() if size_hw is None else open_engine(smallest=size_hw, largest=size_hw)
    view, alpha = _view(3)
    ours = harmonizer.transform(view, alpha)
    assert ours.shape == contract.TRANSFORM_SHAPE
    if size_hw != (100, 150):
        height, width = size_hw or (512, 512)
        seen = cv2.resize(view, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        assert np.abs(ours - frame_transform(seen, contract.IDENTITY, 0.0)).max() < 1e-6


def test_the_compositor_runs_on_both_engines(open_engine, parts):
    from edge_harmony.compose.compositor import Compositor

    frame = parts(4, (120, 160))
    pictures = []
    for graph in ("frame", "transform"):
        compositor = Compositor(open_engine(graph), smoothing=0.0)
        pictures.append(compositor.process(*frame))
        untouched = frame[1] == 0
        assert np.array_equal(pictures[-1][untouched], frame[2][untouched])
    assert not np.array_equal(pictures[0], Compositor(None).process(*frame))


# ---- arrays on the GPU


@pytest.mark.parametrize("kind", [InterfaceArray, DlpackArray])
def test_arrays_on_the_gpu(open_engine, parts, device, kind):
    harmonizer = open_engine()
    for seed in range(3):
        frame = parts(seed)
        arrays = [kind(device, part) for part in frame]
        result = harmonizer.harmonize_frame(*arrays, 0.9)
        assert isinstance(result, GpuArray)
        assert result.__cuda_array_interface__["shape"] == frame[0].shape
        assert _close(result.to_host(), picture(*frame, 0.9)[0])
        if kind is DlpackArray:
            assert all(array.taken for array in arrays), "the streams were put in order"
        for array in arrays:
            array.free()


def test_nothing_is_copied_to_the_host(open_engine, parts, device, emulator):
    harmonizer = open_engine()
    frame = parts(1)
    arrays = [InterfaceArray(device, part) for part in frame]
    harmonizer.harmonize_frame(*arrays)
    before = emulator.count("bytes to host"), emulator.count("bytes to device")
    results = [harmonizer.harmonize_frame(*arrays) for _ in range(3)]
    assert emulator.count("bytes to host") == before[0]
    assert emulator.count("bytes to device") == before[1], "not even the numbers, which are the same"
    assert len({r.__cuda_array_interface__["data"][0] for r in results}) == 3, "each is its holder's own"
    for array in arrays:
        array.free()


def test_kept_buffers(open_engine, parts, emulator):
    """No frame allocates once every mode has run."""
    harmonizer = open_engine()
    frames = [parts(seed) for seed in range(3)]
    list(harmonizer.stream(frames))
    harmonizer.harmonize_frame(*frames[0])
    before = emulator.count("allocations")
    list(harmonizer.stream(frames))
    harmonizer.harmonize_frame(*frames[0])
    assert emulator.count("allocations") == before


def test_memory_of_pictures_is_used_again(open_engine, parts, device):
    harmonizer = open_engine()
    arrays = [InterfaceArray(device, part) for part in parts(1)]
    address = harmonizer.harmonize_frame(*arrays).__cuda_array_interface__["data"][0]
    result = harmonizer.harmonize_frame(*arrays)
    assert result.__cuda_array_interface__["data"][0] == address
    capsule = result.__dlpack__(stream=1)
    del result
    other = harmonizer.harmonize_frame(*arrays)
    assert other.__cuda_array_interface__["data"][0] != address, "the capsule still holds it"
    del capsule, other
    for array in arrays:
        array.free()


def test_a_reader_on_the_default_stream_is_waited_for(open_engine, parts, device):
    """A picture's memory is used again only when those who took it have read it."""
    import pycuda.driver as cuda

    harmonizer = open_engine()
    frames = [parts(1), parts(2)]
    arrays = [[InterfaceArray(device, part) for part in frame] for frame in frames]
    result = harmonizer.harmonize_frame(*arrays[0])
    address = result.__cuda_array_interface__["data"][0]
    capsule = result.__dlpack__(stream=1)
    with device.current():
        seen = device.pinned(frames[0][0].nbytes)
        cuda.memcpy_dtoh_async(seen.array, address)  # on the legacy default stream, not waited for
    del capsule, result
    other = harmonizer.harmonize_frame(*arrays[1])
    assert other.__cuda_array_interface__["data"][0] == address, "it was used again"
    device_copy = seen.array.copy().reshape(frames[0][0].shape)
    assert _close(device_copy, picture(*frames[0])[0])
    with device.current():
        seen.free()
    for array in (array for group in arrays for array in group):
        array.free()


@pytest.mark.parametrize("layout", [{"pad": 17}, {"offset": 3}, {"pad": 64, "offset": 1}, {"version": 2}])
def test_crops_and_odd_addresses(open_engine, parts, device, layout):
    frame = parts(5)
    arrays = [InterfaceArray(device, part, **layout) for part in frame]
    result = open_engine().harmonize_frame(*arrays)
    assert _close(result.to_host(), picture(*frame)[0])
    for array in arrays:
        array.free()


def test_gpu_and_host_arrays_mixed(open_engine, parts, device):
    frame = parts(6)
    harmonizer = open_engine()
    background = InterfaceArray(device, frame[2])
    assert _close(harmonizer.harmonize_frame(frame[0], frame[1], background), picture(*frame)[0])
    foreground = InterfaceArray(device, frame[0])
    result = harmonizer.harmonize_frame(foreground, frame[1], frame[2])
    assert _close(result.to_host(), picture(*frame)[0])
    background.free()
    foreground.free()


def test_a_result_goes_into_the_next_call(open_engine, parts, device):
    """A GpuArray is itself an array on the GPU."""
    frame, harmonizer = parts(7), open_engine()
    mask = InterfaceArray(device, frame[1])
    foreground = InterfaceArray(device, frame[0])
    first = harmonizer.harmonize_frame(foreground, mask, frame[2])
    second = harmonizer(first, mask)
    composite = picture(*frame)[0]
    assert int(np.abs(second.to_host().astype(int) - picture(composite, frame[1], composite)[0]).max()) <= 2
    mask.free()
    foreground.free()


def test_gpu_frames_in_flight(open_engine, parts, device):
    harmonizer = open_engine()
    frames = [parts(seed) for seed in range(5)]
    uploaded = [[DlpackArray(device, part) for part in frame] for frame in frames]
    for result, frame in zip(harmonizer.stream(uploaded), frames, strict=True):
        assert _close(result.to_host(), picture(*frame)[0])
    for arrays in uploaded:
        for array in arrays:
            array.free()


class _Odd(InterfaceArray):
    def __init__(self, device, host, facts):
        super().__init__(device, host)
        self.facts = facts

    @property
    def __cuda_array_interface__(self):
        return {**super().__cuda_array_interface__, **self.facts}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"typestr": "<f4"}, "not uint8"),
        ({"shape": (3, 90, 160)}, "shape"),
        ({"strides": (160, 1, 14400)}, "side by side"),
        ({"shape": (90, 160, 4), "strides": None}, "shape"),
    ],
)
def test_gpu_arrays_that_are_no_frames(open_engine, parts, device, facts, words):
    frame = parts(1)
    array = _Odd(device, frame[0], facts)
    with pytest.raises(SourceError, match=words):
        open_engine().harmonize_frame(array, *frame[1:])
    array.free()


# ---- what is refused


def test_frames_that_do_not_fit(open_engine, parts):
    harmonizer = open_engine(smallest=(80, 100), largest=(100, 200))
    frame = parts(1)
    with pytest.raises(EngineMismatchError, match="100x80 to 200x100, this one is 90x70") as caught:
        harmonizer.harmonize_frame(*parts(1, (70, 90)))
    assert "python -m export.build_engine" in caught.value.hint
    with pytest.raises(SourceError, match="background is"):
        harmonizer.harmonize_frame(frame[0], frame[1], parts(1, (91, 160))[2])
    with pytest.raises(MatteError):
        harmonizer.harmonize_frame(frame[0], frame[1][:-1], frame[2])
    with pytest.raises(SourceError):
        harmonizer.harmonize_frame(frame[0].astype(np.uint16), *frame[1:])
    with pytest.raises(SourceError, match="out is"):
        harmonizer.harmonize_frame(*frame, out=np.empty((5, 5, 3), np.uint8))
    for numbers in ({"strength": 1.1}, {"smoothing": 1.0}, {"strength": float("nan")}):
        with pytest.raises(ConfigError):
            harmonizer.harmonize_frame(*frame, **numbers)
    assert _close(harmonizer.harmonize_frame(*frame), picture(*frame)[0]), "and it works on"


def test_a_transform_engine_takes_no_gpu_frames(open_engine, parts, device):
    harmonizer = open_engine("transform")
    frame = parts(1)
    array = InterfaceArray(device, frame[0])
    for call in (lambda: harmonizer(array, frame[1]), lambda: harmonizer.harmonize_frame(*frame)):
        with pytest.raises(ConfigError, match="transform graph") as caught:
            call()
        assert "--graph frame" in caught.value.hint
    array.free()


def test_the_benchmark_measures_a_frame_engine_by_itself(standin, device, tmp_path):
    from edge_harmony.speed.measure import measure

    engine = write_engine(tmp_path / "m.engine", "frame", smallest=(96, 128), largest=(270, 480))
    result = measure(str(engine), "tensorrt", 5, (120, 160), threads=1)
    assert result["end_to_end"]["count"] == 5
    assert result["gpu_frames"]["latency"]["count"] == 5
    assert result["gpu_frames"]["latency"]["p50_ms"] > 0
    assert result["gpu_frames"]["throughput_fps"] > 0
    assert measure(str(engine), "tensorrt", 1, (64, 64), threads=1)["gpu_frames"] is None, "a size it does not take"
    transform = write_engine(tmp_path / "t.engine", "transform")
    assert measure(str(transform), "tensorrt", 1, (120, 160), threads=1)["gpu_frames"] is None


def test_the_benchmark_times_mapped_memory_and_copies(standin, device, tmp_path, monkeypatch):
    from edge_harmony.speed.measure import measure

    engine = write_engine(tmp_path / "m.engine", "transform")
    monkeypatch.setattr(device, "integrated", False)
    assert measure(str(engine), "tensorrt", 1, (120, 160), threads=1)["gpu_memory"] is None
    monkeypatch.setattr(device, "integrated", True)
    memory = measure(str(engine), "tensorrt", 3, (120, 160), threads=1)["gpu_memory"]
    assert {name: figures["count"] for name, figures in memory.items()} == {"mapped": 3, "copied": 3}
