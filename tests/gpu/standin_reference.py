"""What the stand-in engine computes, in NumPy and with the runtime's own CPU path."""

from __future__ import annotations

import numpy as np

from edge_harmony import contract
from edge_harmony.harmonize.transfer import apply_transform

_GRID = contract.GRID_SIZE
_STEP = contract.WORKING_SIZE // _GRID  # pixels of the working view a cell


def frame_transform(background_bgr: np.ndarray, previous: np.ndarray, smoothing: float) -> np.ndarray:
    """The frame graph's transform: float32 ``contract.TRANSFORM_SHAPE``."""
    h, w = background_bgr.shape[:2]
    rows, columns = np.arange(_GRID) * h // _GRID, np.arange(_GRID) * w // _GRID
    rgb = background_bgr[rows][:, columns, ::-1].astype(np.float32) / np.float32(255)
    fresh = _maps(rgb.transpose(2, 0, 1))
    if not previous.any():
        return fresh
    return previous + np.float32(1.0 - smoothing) * (fresh - previous)


def view_transform(composite: np.ndarray) -> np.ndarray:
    """The transform graph's: of ``composite`` float32 (1, 3, 256, 256)."""
    return _maps(composite[0, :, ::_STEP, ::_STEP])


def picture(
    foreground_bgr: np.ndarray,
    alpha: np.ndarray,
    background_bgr: np.ndarray,
    strength: float = 1.0,
    smoothing: float = 0.0,
    previous: np.ndarray = contract.IDENTITY,
) -> tuple[np.ndarray, np.ndarray]:
    """The frame graph's two outputs, by the runtime's own full-resolution step on the CPU."""
    transform = frame_transform(background_bgr, previous, smoothing)
    return apply_transform(foreground_bgr, alpha, background_bgr, transform, strength, threads=1), transform


def _maps(behind: np.ndarray) -> np.ndarray:
    """(3, GRID, GRID) RGB 0..1 to maps that keep 70 % of a colour and add 30 % of that."""
    maps = np.zeros((3, 4, _GRID, _GRID), np.float32)
    for row in range(3):
        maps[row, row] = 0.7
        maps[row, 3] = np.float32(0.3) * behind[row]
    return maps.reshape(contract.TRANSFORM_SHAPE)
