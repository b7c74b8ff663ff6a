"""The transform's application once more: float64, whole frames, as the contract words it."""

from __future__ import annotations

import numpy as np

from edge_harmony.contract import GRID_SIZE, IDENTITY, TRANSFORM_SHAPE


def interpolate(grid: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Bilinear with half-pixel centres and clamped edges along one axis."""
    position = np.clip((np.arange(size) + 0.5) * GRID_SIZE / size - 0.5, 0, GRID_SIZE - 1)
    low = np.minimum(position.astype(int), GRID_SIZE - 2)
    share = (position - low).reshape([-1 if i == axis else 1 for i in range(grid.ndim)])
    return np.take(grid, low, axis) * (1 - share) + np.take(grid, low + 1, axis) * share


def apply_reference(
    foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray, transform: np.ndarray, strength: float = 1.0
) -> np.ndarray:
    """What ``apply_transform`` must return, give or take the rounding of ties."""
    height, width = alpha.shape
    grid = IDENTITY[0].astype(np.float64) + strength * (transform[0].astype(np.float64) - IDENTITY[0])
    maps = interpolate(interpolate(grid, height, 1), width, 2).reshape(3, 4, height, width)
    rgb = foreground[..., ::-1] / 255.0
    moved = np.einsum("ckhw,hwk->hwc", maps[:, :3], rgb) + maps[:, 3].transpose(1, 2, 0)
    harmonized = np.clip(moved, 0, 1)[..., ::-1] * 255.0
    cover = alpha[..., None] / 255.0
    return np.floor(cover * harmonized + (1 - cover) * background + 0.5).astype(np.uint8)


def random_transform(seed: int, spread: float = 0.3) -> np.ndarray:
    """A transform that differs from cell to cell and sends some colours out of range."""
    noise = np.random.default_rng(seed).normal(0, spread, TRANSFORM_SHAPE)
    return (IDENTITY + noise).astype(np.float32)


def random_scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Foreground, alpha and background of noise; the alpha has clear, soft and opaque parts."""
    rng = np.random.default_rng(seed)
    foreground, background = rng.integers(0, 256, (2, height, width, 3), np.uint8)
    alpha = rng.integers(0, 256, (height, width), np.uint8)
    top, bottom = sorted(rng.integers(0, height, 2))
    left, right = sorted(rng.integers(0, width, 2))
    if seed % 3:
        alpha[top:bottom, left:right] = 255
    if seed % 2:
        alpha[: top // 2] = 0
        alpha[:, : left // 2] = 0
        alpha[bottom:, left:] = 0
    return foreground, alpha, background
