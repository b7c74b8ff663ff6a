"""Grain: how noisy a picture is, and noise that looks like it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.colour import luma
from edge_harmony.frame import Frame

_TILE: Final = 768  # pixels, side of the noise tile that fields are cut from
_BLOCK: Final = 16  # pixels, side of the blocks that noise is measured in
_BLURS: Final = (0.0, 0.4, 0.55, 0.7, 0.9, 1.2)  # pixels: the grain sizes we make
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


def measure_grain(image_bgr: Frame, region: NDArray[np.uint8] | None = None) -> Grain:
    """Measure a picture's noise on its flat areas.

    The Laplacian difference of J. Immerkaer ("Fast Noise Variance Estimation", 1996), which ignores gradients; its
    spread is taken as the median over the flattest third of small blocks, so that texture and edges do not count.
    The grain's size follows from the same measure at half the size.

    Args:
        image_bgr: uint8 (H, W, 3).
        region: uint8 (H, W), 255 where to measure; None measures everywhere.

    Returns:
        The grain; sigma 0 where there is too little flat area to say.
    """
    grey = luma(image_bgr)
    fine = _block_noise(grey, region)
    if fine < _LEAST:
        return Grain(0.0, 0.0)
    half = (grey.shape[1] // 2, grey.shape[0] // 2)
    region_half = None if region is None else cv2.resize(region, half, interpolation=cv2.INTER_AREA)
    coarse = _block_noise(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), region_half)
    # White noise halves when it is averaged 2 x 2; coarser grain survives.
    size = float(np.interp(coarse / fine, _size_ratios(), _BLURS))
    response = float(np.interp(size, _BLURS, [_tile(blur, 0)[1] for blur in _BLURS]))
    return Grain(fine / response, size)


def _block_noise(grey: NDArray[np.uint8], region: NDArray[np.uint8] | None) -> float:
    """Standard deviation of the noise of a grey picture, in code values; 0 where it cannot be said."""
    height, width = (side // _BLOCK * _BLOCK for side in grey.shape)
    if height == 0 or width == 0:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    size = (width // _BLOCK, height // _BLOCK)
    difference = np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel)[:height, :width])
    # The mean absolute value of a normal variable is sqrt(2 / pi) of its deviation; the kernel's norm is 6.
    levels = cv2.resize(difference, size, interpolation=cv2.INTER_AREA) * np.float32(np.sqrt(np.pi / 2) / 6)
    brightness = cv2.resize(grey[:height, :width], size, interpolation=cv2.INTER_AREA)
    usable = (brightness > 24) & (brightness < 232)  # near black and white noise is clipped
    if region is not None:
        usable &= cv2.resize(region[:height, :width], size, interpolation=cv2.INTER_AREA) > 250
    values = levels[usable] / luma_shape()[brightness[usable]]
    if values.size < 6:
        return 0.0
    values.sort()
    return float(np.median(values[: max(6, values.size // 3)]))


@lru_cache(maxsize=1)
def luma_shape() -> NDArray[np.float32]:
    """How much noise each luma has beside mid-grey: float32 (256,), 1 at the middle, 0 at both ends."""
    light = np.arange(256, dtype=np.float32) * np.float32(1 / 255)
    return np.sqrt(4.0 * light * (1.0 - light), dtype=np.float32)


def noise_field(size_hw: tuple[int, int], grain_size: float, frame_index: int, seed: int) -> NDArray[np.float32]:
    """Noise of a grain size and of standard deviation 1.

    Args:
        size_hw: height and width.
        grain_size: see ``Grain.size``.
        frame_index: chooses the part of the tile, its direction and its sign: each frame's noise is another.
        seed: chooses the tile.

    Returns:
        float32 (H, W), the caller's own; the same for the same arguments, on any machine.
    """
    tile = _tile(_nearest_blur(grain_size), seed)[0]
    generator = np.random.Generator(np.random.PCG64([seed, frame_index]))
    down, right, flips = (int(v) for v in generator.integers(0, (_TILE, _TILE, 8)))
    if flips & 1:
        tile = tile[::-1]
    if flips & 2:
        tile = tile[:, ::-1]
    if flips & 4:
        tile = -tile
    height, width = size_hw
    rows = np.arange(down, down + height) % _TILE
    columns = np.arange(right, right + width) % _TILE
    return np.take(tile[rows], columns, axis=1)


def _nearest_blur(size: float) -> float:
    return min(_BLURS, key=lambda blur: abs(blur - size))


@lru_cache(maxsize=1)
def _size_ratios() -> list[float]:
    """For each of ``_BLURS``, how much of the measured noise is left at half the size; rising."""
    ratios = []
    for blur in _BLURS:
        grey = _grey_with(_tile(blur, 0)[0])
        coarse = _block_noise(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), None)
        ratios.append(coarse / _block_noise(grey, None))
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
    return tile, _block_noise(_grey_with(tile), None) / 8.0


def _grey_with(tile: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Mid-grey with eight code values of a tile's noise."""
    return np.clip(128.0 + 8.0 * tile + 0.5, 0, 255).astype(np.uint8)
