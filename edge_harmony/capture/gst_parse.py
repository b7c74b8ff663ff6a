"""Whether GStreamer understands a pipeline, in its own words, before anything is started."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys


class _Error(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p)]


_FATAL_ERRORS = 1  # GST_PARSE_FLAG_FATAL_ERRORS: a pipeline with an element missing is no pipeline


def parse_error(pipeline: str) -> str:
    """What GStreamer says is wrong with a pipeline's text; "" when nothing is, or when there is no GStreamer to ask.

    Elements are made, which fails for those that are not installed, and let go of again; no device is opened. (OpenCV
    up to 4.8 waits for ever for a pipeline of which an element is missing.)
    """
    library = _load("gstreamer-1.0", "libgstreamer-1.0.so.0")
    glib = _load("glib-2.0", "libglib-2.0.so.0")
    if library is None or glib is None or not library.gst_init_check(None, None, None):
        return ""
    library.gst_parse_launch_full.restype = ctypes.c_void_p
    library.gst_parse_launch_full.argtypes = (
        ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(_Error)),
    )  # fmt: skip
    library.gst_object_unref.argtypes = (ctypes.c_void_p,)
    glib.g_error_free.argtypes = (ctypes.POINTER(_Error),)
    error = ctypes.POINTER(_Error)()
    made = library.gst_parse_launch_full(pipeline.encode(), None, _FATAL_ERRORS, ctypes.byref(error))
    message = ""
    if error:
        message = (error.contents.message or b"").decode(errors="replace")
        glib.g_error_free(error)
    if made:
        library.gst_object_unref(made)
    return message


def _load(name: str, file: str) -> ctypes.CDLL | None:
    for candidate in (file if sys.platform == "linux" else None, ctypes.util.find_library(name)):
        if candidate:
            try:
                return ctypes.CDLL(candidate)
            except OSError:
                continue
    return None
