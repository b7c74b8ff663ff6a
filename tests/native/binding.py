"""The C library as its header declares it, by ctypes."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BGR, RGB, BGRA, RGBA, NV12, I420, GREY = range(1, 8)
STRENGTH, SMOOTHING, DEAD_BAND, LIGHT_WRAP, GRAIN, FIT, PREMULTIPLIED, ESTIMATE, STILL = range(1, 10)
OK, ARGUMENT, IMAGE, MODEL, RUNTIME, MEMORY = range(6)
NO_TIME = -1.0


class Image(ctypes.Structure):
    """``eh_image``."""

    _fields_ = (
        ("format", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("colour", ctypes.c_int32),
        ("plane", ctypes.c_void_p * 3),
        ("stride", ctypes.c_int64 * 3),
    )


class Options(ctypes.Structure):
    """``eh_options``."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("model_path", ctypes.c_char_p),
        ("model_bytes", ctypes.c_void_p),
        ("model_size", ctypes.c_size_t),
        ("matte_path", ctypes.c_char_p),
        ("matte_bytes", ctypes.c_void_p),
        ("matte_size", ctypes.c_size_t),
        ("onnxruntime_api_base", ctypes.c_void_p),
        ("onnxruntime_path", ctypes.c_char_p),
        ("threads", ctypes.c_int32),
    )


class StreamError(Exception):
    """A call that failed: its status, and what the library said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def load(path: Path) -> Any:
    """The library, its functions declared."""
    library = ctypes.CDLL(str(path))
    pointer, image = ctypes.c_void_p, ctypes.POINTER(Image)
    library.eh_version.restype = library.eh_error.restype = ctypes.c_char_p
    library.eh_error.argtypes = library.eh_reset.argtypes = library.eh_close.argtypes = [pointer]
    library.eh_options_init.argtypes = [ctypes.POINTER(Options), ctypes.c_size_t]
    library.eh_open.argtypes = [ctypes.POINTER(Options), ctypes.POINTER(pointer), ctypes.c_char_p, ctypes.c_size_t]
    library.eh_set.argtypes = [pointer, ctypes.c_int32, ctypes.c_double]
    library.eh_get.argtypes = [pointer, ctypes.c_int32, ctypes.POINTER(ctypes.c_double)]
    for name in ("eh_process", "eh_cut_out"):
        getattr(library, name).argtypes = [pointer, image, image, image, image, ctypes.c_double]
    library.eh_matte.argtypes = [pointer, image, image]
    library.eh_transform.argtypes = [pointer, pointer]
    library.eh_reused.argtypes, library.eh_reused.restype = [pointer], ctypes.c_int64
    library.eh_close.restype = library.eh_options_init.restype = None
    return library


def image_of(array: NDArray[np.uint8], pixel_format: int | None = None) -> Image:
    """An array (H, W[, C]) as the library takes it; the image keeps it. Three channels are BGR, four BGRA."""
    if pixel_format is None:
        pixel_format = {2: GREY, 3: BGRA if array.ndim == 3 and array.shape[2] == 4 else BGR}[array.ndim]
    image = Image(pixel_format, array.shape[1], array.shape[0])
    image.plane[0], image.stride[0] = array.ctypes.data, array.strides[0]
    image.array = array
    return image


def yuv_of(array: NDArray[np.uint8], height: int, pixel_format: int, colour: int = 0) -> Image:
    """Rows of luma, and below them those of chroma, as NV12 or I420: uint8 (3 / 2 H, row bytes)."""
    width = array.shape[1]
    image = Image(pixel_format, width, height, colour)
    step, start = array.strides[0], array.ctypes.data
    image.plane[0], image.stride[0] = start, step
    image.plane[1], image.stride[1] = start + height * step, step if pixel_format == NV12 else width // 2
    if pixel_format == I420:
        image.plane[2], image.stride[2] = image.plane[1] + height * width // 4, width // 2
    image.array = array
    return image


class Stream:
    """``eh_stream``, with errors as exceptions."""

    def __init__(self, library: Any, **options: Any) -> None:
        self.library = library
        given = Options()
        library.eh_options_init(ctypes.byref(given), ctypes.sizeof(given))
        for name, value in options.items():
            setattr(given, name, str(value).encode() if name.endswith("_path") else value)
        self._handle = ctypes.c_void_p()
        text = ctypes.create_string_buffer(1024)
        status = library.eh_open(ctypes.byref(given), ctypes.byref(self._handle), text, len(text))
        if status != OK:
            raise StreamError(status, text.value.decode())

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(self._handle, *arguments)
        if status != OK:
            raise StreamError(status, self.library.eh_error(self._handle).decode())

    def set(self, setting: int, value: float) -> None:
        self._call("eh_set", setting, value)

    def get(self, setting: int) -> float:
        value = ctypes.c_double()
        self._call("eh_get", setting, ctypes.byref(value))
        return value.value

    def process(
        self, frame: Image, alpha: Image | None, background: Image, out: Image, seconds: float = NO_TIME
    ) -> None:
        given = None if alpha is None else ctypes.byref(alpha)
        self._call("eh_process", ctypes.byref(frame), given, ctypes.byref(background), ctypes.byref(out), seconds)

    def cut_out(
        self, frame: Image, alpha: Image | None, background: Image, out: Image, seconds: float = NO_TIME
    ) -> None:
        given = None if alpha is None else ctypes.byref(alpha)
        self._call("eh_cut_out", ctypes.byref(frame), given, ctypes.byref(background), ctypes.byref(out), seconds)

    def matte(self, frame: Image, alpha: Image) -> None:
        self._call("eh_matte", ctypes.byref(frame), ctypes.byref(alpha))

    def transform(self) -> NDArray[np.float32]:
        made = np.empty((1, 12, 32, 32), np.float32)
        self._call("eh_transform", made.ctypes.data)
        return made

    def reset(self) -> None:
        self._call("eh_reset")

    @property
    def reused(self) -> int:
        return self.library.eh_reused(self._handle)

    def close(self) -> None:
        self.library.eh_close(self._handle)
        self._handle = ctypes.c_void_p()
