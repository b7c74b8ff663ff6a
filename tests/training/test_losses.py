"""Reconstruction losses and the transform's application, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edge_harmony.contract import IDENTITY
from training import losses
from training.apply import apply_transform


def square(n: int = 2, size: int = 40, side: int = 10) -> torch.Tensor:
    mask = torch.zeros(n, 1, size, size)
    mask[:, :, :side, :side] = 1.0
    return mask


def test_foreground_mean_does_not_depend_on_the_foregrounds_size() -> None:
    values = torch.full((2, 3, 40, 40), 0.4)
    for side in (10, 20, 40):
        torch.testing.assert_close(losses.foreground_mean(values, square(side=side)), torch.full((2,), 0.4))


def test_tiny_and_empty_foregrounds_weigh_little() -> None:
    values = torch.full((2, 3, 40, 40), 0.4)
    tiny = losses.foreground_mean(values, square(side=1))
    torch.testing.assert_close(tiny, torch.full((2,), 0.4 / 1600 / losses.MIN_AREA))
    assert (losses.foreground_mean(values, square(side=0)) == 0).all()


def test_terms_see_the_foreground_alone() -> None:
    mask, real = square(), torch.zeros(2, 3, 40, 40)
    output = torch.where(mask > 0, torch.tensor(0.5), torch.tensor(9.0)).expand(2, 3, 40, 40)
    terms = losses.reconstruction(output, real, mask)
    assert terms["l1"].item() == pytest.approx(0.5)
    assert terms["l2"].item() == pytest.approx(0.25)


def test_logarithm_counts_a_slight_and_a_gross_error_alike() -> None:
    mask, real = square().expand(2, 1, 40, 40), torch.zeros(2, 3, 40, 40)
    scale = torch.tensor([0.05, 0.5]).reshape(2, 1, 1, 1)
    output = (scale * torch.ones(2, 3, 40, 40)).requires_grad_()
    losses.reconstruction(output, real, mask)["log"].backward()
    assert output.grad is not None
    gain = (output * output.grad).detach().sum((1, 2, 3))  # of shrinking each picture's error by a factor
    assert gain[0].item() == pytest.approx(gain[1].item(), rel=0.05)
    same = losses.reconstruction(real, real, mask)["log"]
    assert same.item() == pytest.approx(math.log(losses.LEAST_SQUARE))


def test_smoothness() -> None:
    flat = torch.full((1, 12, 8, 8), 0.7)
    assert losses.smoothness(flat) == 0
    ramp = torch.arange(8.0).expand(1, 12, 8, 8)
    assert losses.smoothness(ramp).item() == pytest.approx(1.0)
    assert losses.smoothness(ramp.transpose(2, 3)).item() == pytest.approx(1.0)


def test_foreground_psnr() -> None:
    mask, real = square(), torch.zeros(2, 3, 40, 40)
    assert losses.foreground_psnr(real + 0.1, real, mask).item() == pytest.approx(20.0, abs=1e-4)
    assert torch.isfinite(losses.foreground_psnr(real, real, mask))


# --- the transform's application


def test_identity_returns_the_picture() -> None:
    image = torch.rand(2, 3, 50, 70)
    torch.testing.assert_close(apply_transform(image, torch.from_numpy(IDENTITY.copy()).expand(2, -1, -1, -1)), image)


def test_constant_maps_are_a_matrix_product() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 4)).astype(np.float32)
    image = rng.random((1, 3, 33, 41), dtype=np.float32)
    grid = torch.from_numpy(np.broadcast_to(maps.reshape(1, 12, 1, 1), (1, 12, 32, 32)).copy())
    expected = np.einsum("ij,njhw->nihw", maps[:, :3], image) + maps[:, 3].reshape(1, 3, 1, 1)
    np.testing.assert_allclose(apply_transform(torch.from_numpy(image), grid).numpy(), expected, atol=1e-5)


def test_grid_is_interpolated_with_half_pixel_centres() -> None:
    grid = torch.zeros(1, 12, 2, 2)
    grid[:, 3] = torch.tensor([[0.0, 1.0], [0.0, 1.0]])  # red's offset rises from the left cell to the right one
    out = apply_transform(torch.zeros(1, 3, 8, 8), grid)
    expected = ((torch.arange(8.0) + 0.5) / 8 * 2 - 0.5).clamp(0, 1)
    torch.testing.assert_close(out[0, 0, 0], expected)
    assert (out[0, 1:] == 0).all()
