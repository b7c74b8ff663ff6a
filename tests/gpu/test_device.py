"""pycuda through ``edge_harmony.gpu.device``: contexts, threads, memory, streams."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from edge_harmony.errors import BackendUnavailableError
from edge_harmony.gpu.device import GpuLostError, open_device
from edge_harmony.gpu.driver import LEGACY_STREAM, DriverCallError, capture, order_after
from tests.export.trt_bindings import describe, stub_names

pytestmark = pytest.mark.gpu


def _round_trip(device, seed: int) -> bool:
    data = np.random.default_rng(seed).integers(0, 256, 100_000, np.uint8)
    with device.current():
        stream, memory, source, target = device.stream(), device.alloc(data.nbytes), None, None
        source, target = device.pinned(data.nbytes), device.pinned(data.nbytes)
        source.array[:] = data
        target.array[:] = 0
        device.upload(memory.address, source.array, stream)
        device.download(target.array, memory.address, stream)
        stream.synchronize()
        same = bool(np.array_equal(target.array, data))
        for buffer in (memory, source, target):
            buffer.free()
            buffer.free()
        del stream
    return same


def test_the_type_stub_is_true(device, repository):
    """What pyright holds our code to is there in the real pycuda."""
    import pycuda.driver

    names = stub_names(repository / "typings" / "pycuda" / "driver.pyi")
    assert len(names) > 40
    found = describe(pycuda.driver, list(names))
    assert not [name for name, forms in found.items() if forms is None]


def test_one_device_for_all(device):
    with ThreadPoolExecutor(4) as threads:
        assert {id(d) for d in threads.map(lambda _: open_device(), range(8))} == {id(device)}


def test_contexts_from_several_threads(device):
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(lambda seed: _round_trip(device, seed), range(24)))


def test_nothing_is_left_behind(device, emulator):
    before = emulator.live()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda seed: _round_trip(device, seed), range(6)))
    assert emulator.live() == before
    assert before["contexts"] == 0


def test_the_callers_context_comes_back(device):
    import pycuda.driver as cuda

    with device.current():
        outer = cuda.Context.get_current()
        with device.current():
            pass
        assert cuda.Context.get_current() == outer
    assert cuda.Context.get_current() is None


def test_copies_wait_for_a_synchronization(device, emulator):
    """So that the tests here would see a frame that is read too early."""
    with device.current():
        stream, memory, pinned = device.stream(), device.alloc(16), device.pinned(16)
        pinned.array[:] = 7
        device.upload(memory.address, pinned.array, stream)
        pinned.array[:] = 0
        device.download(pinned.array, memory.address, stream)
        assert not pinned.array.any()
        pinned.array[:] = 9
        stream.synchronize()
        assert (pinned.array == 9).all(), "the upload read what was there when it ran"
        memory.free()
        pinned.free()
        del stream


def test_events_order_streams(device):
    data = np.arange(1000, dtype=np.uint8)
    with device.current():
        first, second, event = device.stream(), device.stream(), device.event()
        memory, copy, host = device.alloc(1000), device.alloc(1000), device.pinned(1000)
        host.array[:] = data
        device.upload(memory.address, host.array, first)
        event.record(first)
        second.wait_for_event(event)
        device.copy(copy.address, memory.address, 1000, second)
        event.synchronize()
        host.array[:] = 0
        device.download(host.array, copy.address, second)
        second.synchronize()
        assert np.array_equal(host.array, data)
        for buffer in (memory, copy, host):
            buffer.free()
        del first, second, event


def test_order_after_streams_of_others(device):
    data = np.arange(100, dtype=np.uint8)
    with device.current():
        theirs, ours = device.stream(), device.stream()
        memory, host, result = device.alloc(100), device.pinned(100), device.pinned(100)
        host.array[:] = data
        device.upload(memory.address, host.array, theirs)
        order_after(ours.handle, theirs.handle, LEGACY_STREAM)
        device.download(result.array, memory.address, ours)
        ours.synchronize()
        assert np.array_equal(result.array, data)
        for buffer in (memory, host, result):
            buffer.free()
        del theirs, ours


def test_streams_that_do_not_block_go_their_own_way(device, emulator):
    """What is on the legacy default stream does not hold up ours, nor the other way round: a wait must be said."""
    import pycuda.driver as cuda

    with device.current():
        ours, blocking = device.stream(), cuda.Stream()
        source, memory, result = device.pinned(64), device.alloc(64), device.pinned(64)
        source.array[:], result.array[:] = 7, 0
        cuda.memcpy_htod_async(memory.address, source.array)  # on the legacy stream, not waited for
        device.download(result.array, memory.address, ours)
        ours.synchronize()
        assert not (result.array == 7).any(), "the emulated driver tells a missing wait"
        device.download(result.array, memory.address, blocking)
        blocking.synchronize()
        assert (result.array == 7).all(), "a blocking stream waits by itself"
        source.array[:] = 9
        cuda.memcpy_htod_async(memory.address, source.array)
        order_after(ours.handle, LEGACY_STREAM)
        device.download(result.array, memory.address, ours)
        ours.synchronize()
        assert (result.array == 9).all()
        for buffer in (source, memory, result):
            buffer.free()
        del ours, blocking


def test_an_event_is_asked(device):
    with device.current():
        stream, event, memory, host = device.stream(), device.event(), device.alloc(64), device.pinned(64)
        for _ in range(3):
            device.upload(memory.address, host.array, stream)
        event.record(stream)
        for _ in range(1000):
            if event.query():
                break
        assert event.query()
        memory.free()
        host.free()
        del stream, event


def test_rows_with_gaps(device):
    wide = np.random.default_rng(1).integers(0, 256, (20, 64), np.uint8)
    with device.current():
        stream, source, packed, result = device.stream(), device.alloc(20 * 64), device.alloc(20 * 30), None
        device.upload(source.address, wide, stream)
        device.copy_rows(packed.address, source.address + 5, 30, 64, 20, stream)
        result = np.empty((20, 30), np.uint8)
        device.download(result, packed.address, stream)
        stream.synchronize()
        assert np.array_equal(result, wide[:, 5:35])
        source.free()
        packed.free()
        del stream


def test_mapped_memory_is_seen_by_both(device):
    if not device.integrated:
        pytest.skip("not an integrated GPU: run with EMULATED_INTEGRATED=1, or on a Jetson")
    with device.current():
        stream, mapped, memory = device.stream(), device.pinned(256, mapped=True), device.alloc(256)
        assert mapped.address
        mapped.array[:] = np.arange(256)
        device.copy(memory.address, mapped.address, 256, stream)
        stream.synchronize()
        mapped.array[:] = 0
        device.copy(mapped.address, memory.address, 256, stream)
        stream.synchronize()
        assert np.array_equal(mapped.array, np.arange(256, dtype=np.uint8))
        mapped.free()
        memory.free()
        del stream


def test_a_graph_repeats_what_was_captured(device):
    with device.current():
        stream, memory, host = device.stream(), device.alloc(64), device.pinned(64)
        host.array[:] = 1
        device.upload(memory.address, host.array, stream)
        graph = capture(stream.handle, partial(device.upload, memory.address, host.array, stream))
        result = np.empty(64, np.uint8)
        for value in (5, 6):
            host.array[:] = value
            graph.launch(stream.handle)
            device.download(result, memory.address, stream)
            stream.synchronize()
            assert (result == value).all()
        graph.close()
        graph.close()
        memory.free()
        host.free()
        del stream


def test_work_that_cannot_be_captured(device):
    with device.current():
        stream = device.stream()
        with pytest.raises(Exception, match=r"captur|Capture"):
            capture(stream.handle, stream.synchronize)
        with pytest.raises(ZeroDivisionError):
            capture(stream.handle, lambda: 1 / 0)
        stream.synchronize()  # the stream works on
        del stream


def test_the_default_stream_cannot_be_captured(device):
    with device.current(), pytest.raises(DriverCallError, match="cuStreamBeginCapture"):
        capture(LEGACY_STREAM, lambda: None)


def test_out_of_memory_is_explained(device):
    with pytest.raises(BackendUnavailableError, match="out of memory") as caught, device.current():
        device.alloc(1 << 50)
    assert "--size" in caught.value.hint
    assert not isinstance(caught.value, GpuLostError)
    assert _round_trip(device, 1), "and the GPU works on"


def test_wrong_calls_are_explained(device):
    with pytest.raises(GpuLostError, match="invalid"), device.current():
        device.copy(1, 2, 3, device.stream())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_is_refused(device):
    import multiprocessing

    def ask(pipe):
        try:
            with device.current():
                pipe.send("worked")
        except BackendUnavailableError as error:
            pipe.send(error.message)

    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=ask, args=(theirs,))
    child.start()
    assert ours.poll(20)
    assert "fork" in ours.recv()
    child.kill()
    child.join()


def test_threads_may_come_and_go(device):
    """Memory made in a thread that has ended is freed in another."""
    made = []

    def make():
        with device.current():
            made.append(device.alloc(1000))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    with device.current():
        made[0].free()
