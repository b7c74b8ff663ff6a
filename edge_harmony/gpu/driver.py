"""The few calls of the CUDA driver that pycuda lacks: graphs, and waiting for streams of other libraries.

Everything here wants a current context (``edge_harmony.gpu.device.Device.current``). Uses ctypes alone.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable

LEGACY_STREAM = 1  # CU_STREAM_LEGACY: the default stream, which waits for every blocking stream
DEFAULT_STREAMS = (LEGACY_STREAM, 2)  # 2 is the calling thread's own; the legacy one waits for it
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on as they like
_DISABLE_TIMING = 2  # CU_EVENT_DISABLE_TIMING

_ARGUMENTS = {
    "cuStreamBeginCapture_v2": (ctypes.c_void_p, ctypes.c_int),
    "cuStreamEndCapture": (ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_ulonglong),
    "cuGraphLaunch": (ctypes.c_void_p, ctypes.c_void_p),
    "cuGraphExecDestroy": (ctypes.c_void_p,),
    "cuGraphDestroy": (ctypes.c_void_p,),
    "cuEventCreate": (ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint),
    "cuEventRecord": (ctypes.c_void_p, ctypes.c_void_p),
    "cuEventDestroy_v2": (ctypes.c_void_p,),
    "cuStreamWaitEvent": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}


class DriverCallError(Exception):
    """A call of the driver failed; the message holds its name and the driver's words."""


class CapturedGraph:
    """Work that was captured from a stream once and is launched as one.

    It repeats the captured work to the letter: the same addresses, shapes and parameters. Destroy it with ``close``
    while a context is current.
    """

    def __init__(self, executable: int) -> None:
        self._executable: int | None = executable

    def launch(self, stream: int) -> None:
        """Put the work on a stream. Raises DriverCallError."""
        _call("cuGraphLaunch", self._executable, stream)

    def close(self) -> None:
        """Destroy it; a launch that is under way is finished first. Safe to call twice."""
        executable, self._executable = self._executable, None
        if executable is not None:
            _call("cuGraphExecDestroy", executable)


def capture(stream: int, work: Callable[[], None]) -> CapturedGraph:
    """Capture what ``work`` puts on a stream, without running it.

    Args:
        stream: handle of a stream that is not the default one.
        work: puts work on that stream and does nothing that waits or allocates; what it raises is passed on.

    Raises:
        DriverCallError: the driver refuses: something in ``work`` cannot be captured.
    """
    _call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
    graph = ctypes.c_void_p()
    try:
        work()
    except BaseException:
        _driver().cuStreamEndCapture(stream, ctypes.byref(graph))  # may fail too: the capture is spoilt
        if graph.value:
            _driver().cuGraphDestroy(graph)
        raise
    _call("cuStreamEndCapture", stream, ctypes.byref(graph))
    if not graph.value:
        raise DriverCallError("cuStreamEndCapture: the capture was spoilt")
    executable = ctypes.c_void_p()
    try:
        _call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
    finally:
        _driver().cuGraphDestroy(graph)
    assert executable.value is not None
    return CapturedGraph(executable.value)


def order_after(stream: int, *others: int) -> None:
    """Let a stream go on only when other streams have done what is on them now. The host does not wait.

    Args:
        stream: handle of the stream that waits.
        others: handles of any library's streams; 1 is the legacy default stream, 2 the per-thread one.

    Raises:
        DriverCallError: a handle is no stream.
    """
    for other in others:
        event = ctypes.c_void_p()
        _call("cuEventCreate", ctypes.byref(event), _DISABLE_TIMING)
        try:
            _call("cuEventRecord", event, other)
            _call("cuStreamWaitEvent", stream, event, 0)
        finally:
            _driver().cuEventDestroy_v2(event)  # the driver keeps it until it has happened


def _call(name: str, *arguments: object) -> None:
    status = getattr(_driver(), name)(*arguments)
    if status != 0:
        words = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(words))
        text = words.value.decode(errors="replace") if words.value else f"error {status}"
        raise DriverCallError(f"{name}: {text}")


@functools.cache
def _driver() -> ctypes.CDLL:
    """The driver library. Raises DriverCallError when a call that we need is missing from it."""
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    for name, types in _ARGUMENTS.items():
        try:
            function = getattr(driver, name)
        except AttributeError:
            raise DriverCallError(f"the driver lacks {name}: it is older than CUDA 11.4") from None
        function.argtypes = types
        function.restype = ctypes.c_int
    return driver
