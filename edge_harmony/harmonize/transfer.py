"""The colour transform at full resolution: from a coarse grid of affine maps to the frame's own pixels."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import GRID_SIZE, TRANSFORM_CHANNELS, TRANSFORM_SHAPE
from edge_harmony.errors import ConfigError, ModelError, SourceError
from edge_harmony.pixels.frame import Alpha, Frame, check_alpha, check_frame
from edge_harmony.pixels.passes import PIXEL_BYTES, address, copy_rows, harmonize_rows
from edge_harmony.pixels.row_threads import available_threads, share_rows

Transform = NDArray[np.float32]  # of contract.TRANSFORM_SHAPE: (1, 12, N, N)


def apply_transform(
    foreground_bgr: Frame,
    alpha: Alpha,
    background_bgr: Frame,
    transform: Transform,
    strength: float = 1.0,
    out: Frame | None = None,
    threads: int | None = None,
) -> Frame:
    """Harmonize a foreground and put it over its background, in one pass over the bytes.

    The grid is interpolated bilinearly (half-pixel centres, clamped edges), blended with the identity by
    ``strength``, applied to the foreground's colour, clamped to 0..255 and composited straight, rounded half up.
    The result differs from the same computed in float64 by at most one code value, and in practice hardly ever.
    Columns and rows without foreground cost a copy, or nothing when ``out`` is the background.

    Args:
        foreground_bgr: uint8 (H, W, 3) straight colour; the same array as ``background_bgr`` for a composite that
            exists already. Rows may lie anywhere in memory; where the pixels of a row do not lie side by side (a
            mirrored or planar view, BGR of BGRA) they are gathered first, which takes about as long again.
        alpha: uint8 (H, W), 255 is foreground; or what ``edge_harmony.pixels.frame.check_alpha`` takes.
        background_bgr: uint8 (H, W, 3).
        transform: float32 (1, 12, N, N), RGB 0..1 to RGB 0..1, as the transform graph gives it.
        strength: 0 (composited, but colours untouched) to 1 (fully harmonized).
        out: uint8 (H, W, 3) to write into. It may be ``foreground_bgr`` or ``background_bgr`` itself, or overlap
            them in any way (an overlap that is not the same array costs a copy).
        threads: how many may work on this frame; by default the processors available, at most 8.

    Returns:
        ``out``, or a new array. ``background_bgr`` to the bit where alpha is 0.

    Raises:
        SourceError: a frame is not uint8 BGR, or sizes differ. MatteError: the alpha is not this frame's.
        ModelError: the transform has another shape, or holds NaN or infinity.
        ConfigError: strength is outside 0..1, or threads is below 1.
        BackendUnavailableError: the compiled passes were not built.
    """
    foreground, background = check_frame(foreground_bgr, "foreground"), check_frame(background_bgr, "background")
    _check_same_size(background, foreground, "background")
    cover = check_alpha(alpha, foreground.shape[:2], "alpha")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}", "use 1 or more, or leave it out to use all processors")
    same = foreground is background
    cover, foreground = packed(cover, threads), packed(foreground, threads)
    background = foreground if same else packed(background, threads)
    return apply_to_checked(foreground, cover, background, transform, strength, out, threads)


def apply_to_checked(
    foreground_bgr: Frame,
    alpha: Alpha,
    background_bgr: Frame,
    transform: Transform,
    strength: float = 1.0,
    out: Frame | None = None,
    threads: int | None = None,
) -> Frame:
    """As ``apply_transform``, for frames and an alpha of one size that have been checked, and ``packed``."""
    grid = blended_grid(transform, strength)
    threads = threads or available_threads()
    if out is None:
        out = np.empty(background_bgr.shape, np.uint8)
    else:
        _check_same_size(check_frame(out, "out"), foreground_bgr, "out")
        if not out.flags.writeable:
            raise SourceError("out is read-only", "pass an array that may be written to, or none")
    target = out if _is_packed(out) and not _overlaps(out, foreground_bgr, background_bgr, alpha) else None
    if target is None:
        target = np.empty(out.shape, np.uint8)
    _run(foreground_bgr, alpha, background_bgr, grid, target, threads)
    if target is not out:
        _copy(target, out, threads)
    return out


def packed(image: NDArray[np.uint8], threads: int | None = None) -> NDArray[np.uint8]:
    """An image whose pixels of a row lie side by side, as OpenCV and the compiled passes want it.

    Args:
        image: uint8 (H, W, 3) or (H, W) in any layout.
        threads: how many may work on it; by default the processors available, at most 8.

    Returns:
        The same array where that is so already, wherever its rows lie; else a new contiguous one.

    Raises:
        BackendUnavailableError: the compiled passes were not built.
    """
    if _is_packed(image):
        return image
    gathered = np.empty(image.shape, np.uint8)
    _copy(image, gathered, threads or available_threads())
    return gathered


def blended_grid(transform: Transform, strength: float) -> NDArray[np.float32]:
    """Prepare a transform for the pixels of a frame.

    Args:
        transform: float32 (1, 12, N, N), RGB 0..1 to RGB 0..1.
        strength: 0 gives the identity exactly, 1 the transform.

    Returns:
        float32 (N, N * 12): for each cell of a row a 3 x 4 map, row-major, from BGR 0..255 to BGR 0..255.

    Raises:
        ModelError: another shape, NaN or infinity. ConfigError: strength outside 0..1.
    """
    if not 0.0 <= strength <= 1.0:
        raise ConfigError(f"strength is {strength}", "use a number from 0 (untouched) to 1 (fully harmonized)")
    if transform.shape != TRANSFORM_SHAPE:
        raise ModelError(
            f"the transform has shape {transform.shape}, not {TRANSFORM_SHAPE}",
            "pass it on as the transform graph gave it",
        )
    if not np.isfinite(transform).all():
        raise ModelError(
            "the transform holds NaN or infinity",
            "the model is damaged or was exported with too little precision: export it again",
        )
    maps = transform.reshape(3, 4, GRID_SIZE, GRID_SIZE)
    grid = np.empty((GRID_SIZE, GRID_SIZE, 3, 4), np.float32)
    grid[..., :3] = maps[::-1, 2::-1].transpose(2, 3, 0, 1)  # RGB to BGR on both sides
    grid[..., 3] = maps[::-1, 3].transpose(1, 2, 0)
    if strength != 1.0:
        grid *= np.float32(strength)
        grid += np.float32(1.0 - strength) * np.eye(3, 4, dtype=np.float32)
    grid[..., 3] *= np.float32(255.0)
    return grid.reshape(GRID_SIZE, GRID_SIZE * TRANSFORM_CHANNELS)


class _Scratch(threading.local):
    """Each thread's own working memory, kept between frames."""

    def __init__(self) -> None:
        self.row = np.empty(0, np.uint8)
        self.nodes: NDArray[np.float32] | None = None
        self.slopes: NDArray[np.float32] | None = None


_scratch = _Scratch()


def _run(
    foreground: Frame, cover: Alpha, background: Frame, grid: NDArray[np.float32], target: Frame, threads: int
) -> None:
    height, width = cover.shape
    places = foreground, cover, background, target
    source, alpha, under, out = (address(array) for array in places)
    steps = [array.strides[0] for array in places]
    needed = PIXEL_BYTES * width

    def work(first_row: int, last_row: int) -> None:
        memory = _scratch
        if memory.nodes is None or memory.slopes is None:
            memory.nodes, memory.slopes = np.empty((2, (GRID_SIZE + 2) * TRANSFORM_CHANNELS), np.float32)
        if memory.row.size < needed:
            memory.row = np.empty(needed, np.uint8)
        harmonize_rows(
            first_row, last_row, height, width, source, steps[0], alpha, steps[1], under, steps[2], out, steps[3],
            memory.row, grid, memory.nodes, memory.slopes,
        )  # fmt: skip

    share_rows(work, height, threads)


def _is_packed(array: NDArray[np.uint8]) -> bool:
    """Whether the bytes of each row lie side by side, wherever the rows themselves are."""
    return array.strides[1:] == ((3, 1) if array.ndim == 3 else (1,))


def _copy(source: NDArray[np.uint8], target: NDArray[np.uint8], threads: int) -> None:
    """Copy pixels between two arrays that share no memory, each in any layout."""
    height, width = source.shape[:2]
    channels = source.shape[2] if source.ndim == 3 else 1
    places = [
        number
        for array in (source, target)
        for number in (address(array), *array.strides, *([0] if array.ndim == 2 else []))
    ]
    share_rows(lambda first, last: copy_rows(first, last, width, channels, *places), height, threads)


def _overlaps(out: Frame, foreground: Frame, background: Frame, cover: Alpha) -> bool:
    """Whether writing ``out`` would spoil what another row still has to read."""
    for frame in (foreground, background):
        same = address(frame) == address(out) and frame.strides == out.strides
        if not same and np.may_share_memory(frame, out):
            return True
    return np.may_share_memory(cover, out)


def _check_same_size(frame: Frame, other: Frame, name: str) -> None:
    if frame.shape != other.shape:
        raise SourceError(
            f"{name} is {frame.shape[1]} x {frame.shape[0]} but the foreground is {other.shape[1]} x {other.shape[0]}",
            f"scale the {name} to the foreground's size, for example with edge_harmony.backgrounds.fit.fit",
        )
