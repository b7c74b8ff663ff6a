"""Reconstruction losses, normalised by the foreground's area so that small subjects count as much as large ones."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_AREA = 0.01  # share of the frame below which a foreground's weight stops growing
LEAST_SQUARE = 1e-4  # mean squared error below which its logarithm stops falling: two and a half code values


def foreground_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the foreground of each image, (N, C, H, W) and (N, 1, H, W) to (N,).

    The divisor is at least ``MIN_AREA`` of the frame (as Sofiiuk et al. 2021 bound theirs), so that a foreground of
    a few pixels cannot dominate a batch.
    """
    area = mask.mean((1, 2, 3)).clamp_min(MIN_AREA)
    return (values * mask).mean((1, 2, 3)) / area


def reconstruction(output: Tensor, real: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The reconstruction terms, each the mean over the batch.

    Args:
        output, real: float (N, 3, H, W) RGB 0..1; the output is not clamped.
        mask: float (N, 1, H, W), the true foreground.

    Returns:
        ``l1``: mean absolute error; ``l2``: mean squared error; ``log``: mean over pictures of the logarithm of each
        one's squared error; all in the foreground. The first two are ruled by the pictures that are far off; a
        logarithm counts them by the factor that is gained, so that a slight mismatch matters as much as a gross one.
    """
    difference = output - real
    squared = foreground_mean(difference.square(), mask)  # (N,)
    return {
        "l1": foreground_mean(difference.abs(), mask).mean(),
        "l2": squared.mean(),
        "log": (squared + LEAST_SQUARE).log().mean(),
    }


def smoothness(transform: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring cells: keeps cells from reacting to texture (halos, flicker)."""
    return (transform[..., 1:] - transform[..., :-1]).abs().mean() + (
        transform[..., 1:, :] - transform[..., :-1, :]
    ).abs().mean()


def excess(features: list[Tensor], limit: float = 8.0) -> Tensor:
    """By how much activations exceed ``limit``, on average: keeps them within the range of FP16 and INT8.

    Fusion normalises the foreground, so that the size of what comes before it is free to drift, by orders of magnitude
    over a long run; this term holds it.
    """
    return torch.stack([(f.float().abs() - limit).clamp_min(0).mean() for f in features]).mean()


@torch.no_grad()
def foreground_psnr(output: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Mean PSNR over the foreground alone, in dB, of a batch: a figure to watch in training."""
    error = foreground_mean((output.clamp(0, 1) - real).square(), mask).clamp_min(1e-8)
    return (-10.0 * error.log10()).mean()
