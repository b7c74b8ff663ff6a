"""The compiled full-resolution passes: what is done to every pixel of a frame, in C (the folder ``native``).

Each function works on some rows of a frame, lets go of the interpreter lock and keeps no state: see
``edge_harmony.pixels.row_threads`` for how rows are shared out. The library is built when the package is installed, for
each kind of processor that gains from it (x86-64 as such, with AVX2, with AVX-512; others have one build), and the best
that runs here is loaded on the first call.

Functions take addresses and sizes where rows may lie anywhere in memory, arrays where they are contiguous. They trust
their callers: a wrong address is not an error but a crash.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import BackendUnavailableError
from edge_harmony.pixels.passes_digest import sources_digest

PIXEL_BYTES: Final = 3
_FOLDER: Final = Path(__file__).resolve().parent
_SOURCES: Final = _FOLDER.parents[1] / "native"  # there in a checkout only
_SUFFIX: Final = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")

# Kinds of arguments: i an integer or an address, f a float.
_ARGUMENTS: Final = {
    "harmonize_rows": "i" * 17,
    "copy_rows": "i" * 12,
    "read_rows": "i" * 18,
    "write_rows": "i" * 20,
    "snap_rows": "iiiiiiiiifi",
    "unmix_rows": "i" * 12,
    "key_rows": "i" * 10 + "ffi",
    "despill_rows": "i" * 8,
    "add_light": "i" * 17 + "f",
    "add_grain": "i" * 19,
}
_KINDS: Final = {"i": ctypes.c_ssize_t, "f": ctypes.c_float}


def library_path(level: int) -> Path | None:
    """The library for a processor's level (see ``processor.c``), or None where it was not built."""
    found = sorted(_FOLDER.glob(f"_passes_v{level}_*{_SUFFIX}"))
    if (_SOURCES / "passes.h").is_file():
        found = [path for path in found if path.stem.endswith(sources_digest(_SOURCES))]
    return found[-1] if found else None


@functools.cache
def load() -> Any:
    """The library, its functions declared; the best that this processor can run.

    Raises:
        BackendUnavailableError: it was not built, was built from other sources, or is for another system.
    """
    remedy = "install again, so that it is built: pip install -e . in a checkout, else pip install --force-reinstall"
    path = library_path(1)
    if path is None:
        raise BackendUnavailableError("the compiled full-resolution passes are missing, or older than their source",
                                      remedy)  # fmt: skip
    try:
        library = ctypes.CDLL(str(path))
        level = library.processor_level()
        for better in (4, 3):
            if better <= level and (path := library_path(better)) is not None:
                library = ctypes.CDLL(str(path))
                break
    except OSError as error:
        raise BackendUnavailableError(f"the compiled full-resolution passes cannot be loaded: {error}",
                                      remedy) from error  # fmt: skip
    for name, kinds in _ARGUMENTS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = [_KINDS[kind] for kind in kinds], None
    return library


def address(array: NDArray[Any]) -> int:
    """Where an array's first element lies."""
    return array.__array_interface__["data"][0]


def _held(array: NDArray[Any], kind: Any) -> int:
    """The address of a contiguous array of one kind."""
    if array.dtype != kind or not array.flags.c_contiguous:
        raise TypeError(f"a contiguous array of {np.dtype(kind)} is needed, not {array.dtype} {array.strides}")
    return address(array)


def harmonize_rows(
    first_row: int, last_row: int, height: int, width: int, foreground: int, foreground_step: int, alpha: int,
    alpha_step: int, background: int, background_step: int, out: int, out_step: int, scratch: NDArray[np.uint8],
    grid: NDArray[np.float32], nodes: NDArray[np.float32], slopes: NDArray[np.float32],
) -> None:  # fmt: skip
    """Harmonize and composite the rows ``first_row <= row < last_row`` of a frame.

    Args:
        first_row, last_row: the band of rows to work on.
        height, width: the whole frame's.
        foreground, background: addresses of uint8 BGR frames whose pixels of a row lie side by side; each followed by
            the number of bytes from one row to the next.
        alpha: address of a uint8 plane whose pixels of a row lie side by side.
        out: address of the uint8 BGR frame to write; may be the foreground's or the background's address.
        scratch: uint8, at least ``3 * width``, for this call alone.
        grid: float32 (N, N * 12), a square of N cells a side: rows of 3 x 4 maps, BGR 0..255 to BGR 0..255.
        nodes, slopes: float32 ((N + 2) * 12,) for this call alone.
    """
    load().harmonize_rows(
        first_row, last_row, height, width, foreground, foreground_step, alpha, alpha_step, background,
        background_step, out, out_step, _held(scratch, np.uint8), _held(grid, np.float32), len(grid),
        _held(nodes, np.float32), _held(slopes, np.float32),
    )  # fmt: skip


def copy_rows(
    first_row: int, last_row: int, width: int, channels: int, source: int, row_step: int, pixel_step: int,
    channel_step: int, target: int, target_row_step: int, target_pixel_step: int, target_channel_step: int,
) -> None:  # fmt: skip
    """Copy rows of pixels from any layout to any other (NumPy takes ten times as long).

    Args:
        first_row, last_row: the rows ``first_row <= row < last_row``.
        width: in pixels. channels: 3 or 1.
        source, target: addresses of the first pixel, each followed by the bytes from row to row, pixel to pixel and
            channel to channel.
    """
    load().copy_rows(
        first_row, last_row, width, channels, source, row_step, pixel_step, channel_step, target, target_row_step,
        target_pixel_step, target_channel_step,
    )  # fmt: skip


def read_scratch(width: int) -> int:
    """Bytes of working memory that ``read_rows`` needs."""
    return 5 * width + 16


def read_rows(*arguments: int) -> None:
    """Write a frame's BGR from its planes of YUV 4:2:0, chroma interpolated linearly.

    Args: all of them integers, ``*_step`` the number of bytes from one row to the next:
        height, width: even.
        luma, luma_step, u, v, chroma_step: addresses of the planes.
        out, out_step: address of the uint8 BGR frame to write.
        scratch: address of ``read_scratch(width)`` bytes for this call alone, aligned to 2.
        gain: what luma counts, times 8192. offset: what is added to it, times 32, the half that rounds included.
        u_blue, u_green, v_green, v_red: what the chroma counts, times 8192.
        even_share, odd_share: what, in quarters, the sample to the left counts for a pixel of an even column, and the
            one to the right for one of an odd column: 0 and 2 where samples lie on even columns, 1 and 1 where in
            between.
    """
    load().read_rows(*arguments)


def write_scratch(width: int) -> int:
    """Bytes of working memory that ``write_rows`` needs."""
    return 4 * width + 16


def write_rows(*arguments: int) -> None:
    """Write a frame's planes from its BGR; chroma lies on even columns, between rows, where H.264 has it by default.

    Args: all of them integers, ``*_step`` the number of bytes from one row to the next:
        height, width: even.
        image, image_step: address of the uint8 BGR frame, the pixels of a row side by side.
        luma, luma_step, u, v, chroma_step: addresses of the planes.
        scratch: address of ``write_scratch(width)`` bytes for this call alone, aligned to 2.
        black: what is added to luma, times 128, the half that rounds included.
        y_blue, y_green, y_red, u_blue, u_green, u_red, v_blue, v_green, v_red: what blue, green and red count in luma,
            u and v, times 32768.
    """
    load().write_rows(*arguments)


def snap_rows(
    first_row: int, last_row: int, coefficients: NDArray[np.float32], wanted: NDArray[np.bool_],
    frame: NDArray[np.uint8], stretch: float, alpha: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Apply a guided filter's coefficients to rows of a frame, where wanted.

    Args:
        first_row, last_row: the band of rows, of the frame.
        coefficients: float32 (h, w, 4), slopes for blue, green, red (codes to codes) and an offset, interpolated
            bilinearly.
        wanted: bool (h, w), the cells whose pixels are to be written, those up to the next cell's middle with them; all
            others are left as they are.
        frame: uint8 (H, W, 3). stretch: contrast about one half. alpha: uint8 (H, W), written.
    """
    load().snap_rows(
        first_row, last_row, _held(coefficients, np.float32), *coefficients.shape[:2], _held(wanted, np.bool_),
        _held(frame, np.uint8), *alpha.shape, stretch, _held(alpha, np.uint8),
    )  # fmt: skip


def unmix_rows(
    first_row: int, last_row: int, frame: NDArray[np.uint8], alpha: NDArray[np.uint8], fore: NDArray[np.float32],
    back: NDArray[np.float32], known: NDArray[np.uint8] | None, result: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Solve the subject's colour in rows of a frame, at pixels whose alpha is neither 0 nor 255.

    Args:
        first_row, last_row: the band of rows.
        frame: uint8 (H, W, 3). alpha: uint8 (H, W).
        fore, back: float32 (h, w, 3), colours of the subject and of what is behind it, interpolated bilinearly.
        known: uint8 (H, W, 3) what is behind it, or None where ``back`` is to be used.
        result: uint8 (H, W, 3), written at those pixels only.
    """
    load().unmix_rows(
        first_row, last_row, _held(frame, np.uint8), _held(alpha, np.uint8), *alpha.shape, _held(fore, np.float32),
        _held(back, np.float32), *fore.shape[:2], 0 if known is None else _held(known, np.uint8),
        _held(result, np.uint8),
    )  # fmt: skip


def key_rows(
    first_row: int, last_row: int, frame: NDArray[np.uint8], along: NDArray[np.float32], across: NDArray[np.float32],
    screen: NDArray[np.float32], tolerance: float, gain: float, alpha: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Key rows of a frame: alpha from the chroma that each pixel has of the screen's kind.

    Args:
        first_row, last_row: the band of rows.
        frame: uint8 (H, W, 3).
        along, across: float32 (3,), weights of blue, green, red: a pixel's key is its sum by ``along`` less the size of
            its sum by ``across``, and at least 0.
        screen: float32 (h, w), the key of bare screen, above 0, interpolated bilinearly.
        tolerance: share of subject that counts as none. gain: codes of alpha for each share beyond it.
        alpha: uint8 (H, W), written.
    """
    load().key_rows(
        first_row, last_row, _held(frame, np.uint8), *alpha.shape, _held(along, np.float32), _held(across, np.float32),
        _held(screen, np.float32), *screen.shape, tolerance, gain, _held(alpha, np.uint8),
    )  # fmt: skip


def despill_rows(
    first_row: int, last_row: int, image: NDArray[np.uint8], alpha: NDArray[np.uint8], along: NDArray[np.float32],
    across: NDArray[np.float32], light: NDArray[np.float32],
) -> None:  # fmt: skip
    """Take the screen's reflected light off rows of a picture, in place.

    Args:
        first_row, last_row: the band of rows.
        image: uint8 (H, W, 3), changed where alpha is above 0. alpha: uint8 (H, W).
        along, across: as for ``key_rows``. light: float32 (3,), the light's blue, green, red for each code of its key.
    """
    load().despill_rows(
        first_row, last_row, _held(image, np.uint8), _held(alpha, np.uint8), alpha.shape[1], _held(along, np.float32),
        _held(across, np.float32), _held(light, np.float32),
    )  # fmt: skip


def add_light(
    first_row: int, last_row: int, picture: NDArray[np.uint8], alpha: NDArray[np.uint8], light: NDArray[np.uint8],
    seen: NDArray[np.uint8], top: int, left: int, factor: int, amount: float,
) -> None:  # fmt: skip
    """Screen the rows ``first_row <= row < last_row`` with light: ``C + amount * alpha * light * (255 - C)``.

    Args:
        picture: uint8 (H, W, 3), changed in place. alpha: uint8 (H, W). Both in any layout.
        light: uint8 (h, w, 3), interpolated bilinearly between the middles of its cells.
        seen: uint8 (h, w), 255 where a cell holds no subject at all.
        top, left: the frame's row and column where the light's first cell begins. factor: pixels in a cell's side.
        amount: 0..1.
    """
    load().add_light(
        first_row, last_row, address(picture), *picture.strides, address(alpha), *alpha.strides, alpha.shape[1],
        _held(light, np.uint8), _held(seen, np.uint8), *seen.shape, top, left, factor, amount,
    )  # fmt: skip


def add_grain(
    first_row: int, last_row: int, picture: NDArray[np.uint8], alpha: NDArray[np.uint8], left: int, right: int,
    tile: NDArray[np.float32], down: int, across: int, gains: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add noise to the rows ``first_row <= row < last_row``, the same to blue, green and red.

    Args:
        picture: uint8 (H, W, 3), changed in place. alpha: uint8 (H, W). Both in any layout.
        left, right: the columns to work on.
        tile: float32 noise, mirrored or not, that is repeated over the frame, beginning at its row
            ``down`` and column ``across``.
        gains: float32 (256,), what the noise is multiplied with at each luma, and at alpha 1 of 255.
    """
    load().add_grain(
        first_row, last_row, address(picture), *picture.strides, address(alpha), *alpha.strides, left, right,
        address(tile), *tile.shape, *tile.strides, down, across, _held(gains, np.float32),
    )  # fmt: skip
