"""The frame graph's meaning in PyTorch, straight from the contract: what the exported files are held against."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edge_harmony.contract import IDENTITY, READ_SIZE
from training.apply import apply_transform
from training.generator import FusionGenerator


@torch.no_grad()
def working_view(
    foreground_bgr: NDArray[np.uint8], alpha: NDArray[np.uint8], background_bgr: NDArray[np.uint8]
) -> tuple[Tensor, Tensor]:
    """The transform graph's inputs, float32 (1, 3, 256, 256) and (1, 1, 256, 256), of uint8 frames."""
    foreground, background = _rgb(foreground_bgr), _rgb(background_bgr)
    cover = _planes(alpha[..., None])
    foreground, background, cover = (
        F.interpolate(x, size=(READ_SIZE, READ_SIZE), mode="bilinear", align_corners=False)
        for x in (foreground, background, cover)
    )
    return F.avg_pool2d(cover * foreground + (1 - cover) * background, 2), F.avg_pool2d(cover, 2)


@torch.no_grad()
def harmonize_frame(
    generator: FusionGenerator,
    foreground_bgr: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    background_bgr: NDArray[np.uint8],
    previous_transform: NDArray[np.float32],
    strength: float,
    smoothing: float,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What the frame graph computes: uint8 (H, W, 3) BGR and float32 ``contract.TRANSFORM_SHAPE``."""
    new = generator(*working_view(foreground_bgr, alpha, background_bgr))
    previous = torch.from_numpy(previous_transform) if previous_transform.any() else new  # zeros: a first frame
    transform = previous + (1 - smoothing) * (new - previous)
    identity = torch.from_numpy(IDENTITY.copy())
    foreground, background, cover = _rgb(foreground_bgr), _rgb(background_bgr), _planes(alpha[..., None])
    harmonized = apply_transform(foreground, identity + strength * (transform - identity)).clamp(0, 1)
    composite = cover * harmonized + (1 - cover) * background
    bgr = (composite * 255 + 0.5).floor().clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()[..., ::-1]
    return np.ascontiguousarray(bgr), transform.numpy()


def _planes(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None])).float() / 255


def _rgb(image_bgr: NDArray[np.uint8]) -> Tensor:
    return _planes(image_bgr[..., ::-1])
