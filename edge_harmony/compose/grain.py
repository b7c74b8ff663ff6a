"""Grain: how noisy a picture is, and noise that looks like it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.colour import luma
from edge_harmony.pixels.frame import Frame

_TILE: Final = 768  # pixels, side of the noise tile that fields are cut from
_BLOCK: Final = 16  # pixels, side of the blocks that noise is measured in
_BLURS: Final = (0.0, 0.4, 0.55, 0.7, 0.9, 1.2)  # pixels: the grain sizes we make
_STRIP: Final = 2 * _BLOCK  # rows looked at together
_ENOUGH: Final = 250_000  # pixels that say enough about a picture's grain
_LEAST_STRIPS: Final = 4
_SECOND: Final = np.array([1, -2, 1], np.float32)  # second difference
_ROUND: Final = np.ones((5, 5), np.uint8)
_LEAST: Final = 0.15  # code values: less noise than this is none


@dataclass(frozen=True)
class Grain:
    """Noise of a picture.

    Attributes:
        sigma: standard deviation of its luma's noise, in code values, where it is mid-grey.
        size: standard deviation, in pixels, of the blur that white noise would need to look like it.
    """

    sigma: float
    size: float


def measure_grain(image_bgr: Frame, alpha: NDArray[np.uint8] | None = None) -> Grain:
    """Measure a picture's noise on its flat areas.

    The Laplacian difference of J. Immerkaer ("Fast Noise Variance Estimation", 1996), which ignores gradients; its
    spread is taken as the median over the flattest third of small blocks, so that texture and edges do not count.
    The grain's size follows from the same measure at half the size. Of a large picture a few strips are looked at,
    spread evenly from top to bottom.

    Args:
        image_bgr: uint8 (H, W, 3).
        alpha: uint8 (H, W); only where it is 255, and not at its edge, is measured. None measures everywhere.

    Returns:
        The grain; sigma 0 where there is too little flat area to say.
    """
    strips = [
        (luma(image_bgr[rows]), None if alpha is None else _solid(alpha[rows])) for rows in _strips(image_bgr.shape)
    ]
    fine = _block_noise(strips)
    if fine < _LEAST:
        return Grain(0.0, 0.0)
    coarse = _block_noise([(_halve(grey), None if solid is None else _halve(solid)) for grey, solid in strips])
    # White noise halves when it is averaged 2 x 2; coarser grain survives.
    size = float(np.interp(coarse / fine, _size_ratios(), _BLURS))
    response = float(np.interp(size, _BLURS, [_tile(blur, 0)[1] for blur in _BLURS]))
    return Grain(fine / response, size)


def _strips(shape: tuple[int, ...]) -> list[slice]:
    """Rows to measure grain in: all, or of a large picture strips of two blocks."""
    height, width = shape[:2]
    count = max(_LEAST_STRIPS, _ENOUGH // (_STRIP * width))
    if count * _STRIP >= height:
        return [slice(0, height)]
    starts = np.linspace(0, height - _STRIP, count).astype(int)
    return [slice(start, start + _STRIP) for start in starts.tolist()]


def _solid(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 where the subject hides the background, two pixels round it too."""
    return cv2.erode(cv2.threshold(alpha, 254, 255, cv2.THRESH_BINARY)[1], _ROUND)


def _halve(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = plane.shape
    return cv2.resize(plane, (max(width // 2, 1), max(height // 2, 1)), interpolation=cv2.INTER_AREA)


def _block_noise(strips: list[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]) -> float:
    """Standard deviation of the noise of grey strips, in code values; 0 where it cannot be said.

    Args:
        strips: grey uint8 (h, w), each with None or uint8 (h, w): 255 where to look.
    """
    found = [_blocks(grey, solid) for grey, solid in strips]
    values = np.concatenate(found) if found else np.empty(0, np.float32)
    if values.size < 6:
        return 0.0
    values.sort()
    return float(np.median(values[: max(6, values.size // 3)]))


def _blocks(grey: NDArray[np.uint8], solid: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """The noise of each block of a strip that can be judged, as it would be at mid-grey."""
    height, width = (side // _BLOCK * _BLOCK for side in grey.shape)
    if height == 0 or width == 0:
        return np.empty(0, np.float32)
    size = (width // _BLOCK, height // _BLOCK)
    brightness = cv2.resize(grey[:height, :width], size, interpolation=cv2.INTER_AREA)
    usable = (brightness > 24) & (brightness < 232)  # near black and white noise is clipped
    if solid is not None:
        usable &= cv2.resize(solid[:height, :width], size, interpolation=cv2.INTER_AREA) > 250
    if not usable.any():
        return np.empty(0, np.float32)
    curvature = np.abs(cv2.sepFilter2D(grey, cv2.CV_16S, _SECOND, _SECOND)[:height, :width])
    # The mean absolute value of a normal variable is sqrt(2 / pi) of its deviation; the kernel's norm is 6.
    means = cv2.resize(curvature.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return means[usable] * np.float32(np.sqrt(np.pi / 2) / 6) / luma_shape()[brightness[usable]]


@lru_cache(maxsize=1)
def luma_shape() -> NDArray[np.float32]:
    """How much noise each luma has beside mid-grey: float32 (256,), 1 at the middle, 0 at both ends."""
    light = np.arange(256, dtype=np.float32) * np.float32(1 / 255)
    return np.sqrt(4.0 * light * (1.0 - light), dtype=np.float32)


def noise_tile(grain_size: float, frame_index: int, seed: int) -> tuple[NDArray[np.float32], int, int, float]:
    """Noise of a grain size and of standard deviation 1, to be laid over a frame again and again.

    Args:
        grain_size: see ``Grain.size``.
        frame_index: chooses where the tile begins, its direction and its sign: each frame's noise is another.
        seed: chooses the tile.

    Returns:
        float32 (N, N), read-only, that wraps round; the row and the column of it to begin with; and 1 or -1, to
        multiply it with. The same for the same arguments, on any machine.
    """
    tile = _tile(_nearest_blur(grain_size), seed)[0]
    generator = np.random.Generator(np.random.PCG64([seed, frame_index]))
    down, across, flips = (int(v) for v in generator.integers(0, (_TILE, _TILE, 8)))
    if flips & 1:
        tile = tile[::-1]
    if flips & 2:
        tile = tile[:, ::-1]
    return tile, down, across, -1.0 if flips & 4 else 1.0


def _nearest_blur(size: float) -> float:
    return min(_BLURS, key=lambda blur: abs(blur - size))


@lru_cache(maxsize=1)
def _size_ratios() -> list[float]:
    """For each of ``_BLURS``, how much of the measured noise is left at half the size; rising."""
    ratios = []
    for blur in _BLURS:
        grey = _grey_with(_tile(blur, 0)[0])
        ratios.append(_block_noise([(_halve(grey), None)]) / _block_noise([(grey, None)]))
    return ratios


@lru_cache(maxsize=16)
def _tile(blur: float, seed: int) -> tuple[NDArray[np.float32], float]:
    """A tile of noise that wraps round, of standard deviation 1, and what ``_block_noise`` makes of that 1."""
    generator = np.random.Generator(np.random.PCG64(seed))
    tile = generator.standard_normal((_TILE, _TILE), np.float32)
    if blur:
        margin = 8
        wrapped = cv2.copyMakeBorder(tile, margin, margin, margin, margin, cv2.BORDER_WRAP)
        tile = cv2.GaussianBlur(wrapped, (0, 0), blur)[margin:-margin, margin:-margin]
    tile = np.asarray(tile / tile.std(), np.float32)
    tile.setflags(write=False)
    return tile, _block_noise([(_grey_with(tile), None)]) / 8.0


def _grey_with(tile: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Mid-grey with eight code values of a tile's noise."""
    return np.clip(128.0 + 8.0 * tile + 0.5, 0, 255).astype(np.uint8)
