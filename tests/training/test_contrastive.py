"""The region-wise contrastive objective: what it pulls together, and that nothing breaks it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from edge_harmony.errors import ConfigError
from training.contrastive import RegionContrast
from training.generator import Encoder, FusionGenerator, GeneratorConfig

CONFIG = GeneratorConfig(stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), decoder_depths=(1, 1, 1), code_size=16)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(5)
    return Encoder(CONFIG).requires_grad_(False)


@pytest.fixture
def contrast() -> RegionContrast:
    torch.manual_seed(6)
    return RegionContrast(dict(enumerate(CONFIG.widths[:2])), samples=3, share=1.0)


def pictures(n: int = 4, size: int = 80) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ground truth with a tint of its own for each picture, composite with a foreground in another tint, mask."""
    torch.manual_seed(7)
    tint = torch.rand(n, 3, 1, 1)
    real = (0.25 * torch.rand(n, 3, size, size) + 0.7 * tint).clamp(0, 1)
    mask = torch.zeros(n, 1, size, size)
    mask[:, :, 20:70, 24:72] = 1.0
    composite = real + mask * ((1.0 - real) - real)
    return real, composite, mask


def unit(n: int, k: int = 3, d: int = 8, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, k, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_heads_exist_from_the_start(contrast: RegionContrast, encoder: Encoder) -> None:
    before = {name: p.shape for name, p in contrast.named_parameters()}
    real, composite, mask = pictures()
    contrast(encoder, composite, real, composite, mask)
    assert before == {name: p.shape for name, p in contrast.named_parameters()}
    assert len(contrast.heads) == 2
    assert before["heads.0.0.weight"][1] == 2 * CONFIG.widths[0]


def test_nothing_of_it_is_in_the_generator(contrast: RegionContrast) -> None:
    held = FusionGenerator(CONFIG).state_dict()
    assert not [name for name in held if "contrast" in name or name.startswith("heads")]
    assert not set(contrast.state_dict()) & set(held)


def test_info_nce_prefers_the_backgrounds_style(contrast: RegionContrast) -> None:
    positive, wrong = unit(4, seed=1), unit(4, seed=2)
    every, usable = torch.ones(4, dtype=torch.bool), torch.ones(4)
    good = contrast.info_nce(positive, positive, wrong, every, usable)
    bad = contrast.info_nce(wrong, positive, wrong, every, usable)
    assert good < bad


def test_info_nce_by_hand(contrast: RegionContrast) -> None:
    """One picture, one sample each: -log(e^s / (e^s + e^h)), the picture being its own only positive."""
    query, positive, wrong = unit(1, 1, seed=1), unit(1, 1, seed=2), unit(1, 1, seed=3)
    same = (query * positive).sum() / contrast.temperature
    hard = (query * wrong).sum() / contrast.temperature
    loss = contrast.info_nce(query, positive, wrong, torch.tensor([True]), torch.ones(1))
    torch.testing.assert_close(loss, F.softplus(hard - same))


def test_undisturbed_foreground_is_no_negative(contrast: RegionContrast) -> None:
    query, positive, usable = unit(3, seed=1), unit(3, seed=2), torch.ones(3)
    none = torch.zeros(3, dtype=torch.bool)
    losses = [contrast.info_nce(query, positive, unit(3, seed=s), none, usable) for s in (8, 9)]
    assert losses[0] == losses[1]


def test_single_picture_without_negatives_has_nothing_to_learn(contrast: RegionContrast) -> None:
    loss = contrast.info_nce(unit(1), unit(1, seed=1), unit(1, seed=2), torch.tensor([False]), torch.ones(1))
    assert loss.abs() < 1e-6


def test_unusable_pictures_neither_count_nor_serve(contrast: RegionContrast) -> None:
    query, positive, wrong = unit(3, seed=1), unit(3, seed=2), unit(3, seed=3)
    every, usable = torch.ones(3, dtype=torch.bool), torch.tensor([1.0, 1.0, 0.0])
    loss = contrast.info_nce(query, positive, wrong, every, usable)
    alone = contrast.info_nce(query[:2], positive[:2], wrong[:2], every[:2], usable[:2])
    torch.testing.assert_close(loss, alone)


def test_gradient_moves_the_output_from_composite_towards_truth(contrast: RegionContrast, encoder: Encoder) -> None:
    """Heads learn to tell the styles apart; descending on the foreground's tint then approaches the truth."""
    real, composite, mask = pictures()
    optimiser = torch.optim.Adam(contrast.parameters(), 1e-2)
    for step in range(25):  # learn on truth against composite
        torch.manual_seed(step)
        loss = contrast(encoder, real, real, composite, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    mix = torch.full((4, 1, 1, 1), 0.5, requires_grad=True)  # 0 is the composite's foreground, 1 the truth's
    contrast(encoder, composite + mix * (real - composite), real, composite, mask).backward()
    assert mix.grad is not None
    assert mix.grad.mean() < 0  # descending raises mix


def test_gradient_reaches_the_foreground_alone(contrast: RegionContrast, encoder: Encoder) -> None:
    real, composite, mask = pictures()
    output = composite.clone().requires_grad_()
    contrast(encoder, output, real, composite, mask).backward()
    assert output.grad is not None
    inside, far = output.grad[..., 30:60, 34:62].abs().mean(), output.grad[..., :4, :4].abs().mean()
    assert inside > 0
    assert far < 0.05 * inside


@pytest.mark.parametrize("cover", [0.0, 1.0, 1e-3])
@pytest.mark.parametrize("disturb", [True, False])
def test_degenerate_masks_and_pictures_stay_finite(
    contrast: RegionContrast, encoder: Encoder, cover: float, disturb: bool
) -> None:
    real = torch.full((3, 3, 64, 64), 0.5)
    composite = real * 0.5 if disturb else real.clone()
    mask = torch.zeros(3, 1, 64, 64)
    mask.view(3, -1)[:, : int(cover * 64 * 64)] = 1.0
    output = composite.clone().requires_grad_()
    loss = contrast(encoder, output, real, composite, mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in contrast.parameters() if p.grad is not None)
    assert loss == 0  # no picture has both regions


def test_one_unusable_picture_does_not_spoil_a_batch(contrast: RegionContrast, encoder: Encoder) -> None:
    real, composite, mask = pictures()
    mask[0] = 0.0
    mask[1] = 1.0
    loss = contrast(encoder, composite, real, composite, mask)
    assert torch.isfinite(loss)
    assert loss > 0


def test_seed_decides_the_samples(contrast: RegionContrast, encoder: Encoder) -> None:
    real, composite, mask = pictures()
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(contrast(encoder, composite, real, composite, mask).item())
    assert losses[0] == losses[1] != losses[2]


def test_a_share_of_the_batch_is_looked_at(encoder: Encoder) -> None:
    torch.manual_seed(6)
    contrast = RegionContrast(dict(enumerate(CONFIG.widths[:2])), samples=3, share=0.5)
    real, composite, mask = pictures(6)
    output = composite.clone().requires_grad_()
    contrast(encoder, output, real, composite, mask).backward()
    assert output.grad is not None
    assert output.grad[:3].abs().sum() > 0
    assert output.grad[3:].abs().sum() == 0


def test_any_scales_can_be_compared(encoder: Encoder) -> None:
    contrast = RegionContrast({2: CONFIG.widths[2]}, samples=3, share=1.0)  # scale 0 has other channels
    real, composite, mask = pictures()
    assert torch.isfinite(contrast(encoder, composite, real, composite, mask))


def test_styles_are_as_exact_under_mixed_precision(contrast: RegionContrast) -> None:
    features, region = torch.randn(2, CONFIG.widths[0], 16, 16) + 3.0, torch.ones(2, 1, 16, 16)
    torch.manual_seed(3)
    exact = contrast.project(contrast.heads[0], features, region)
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(3)
        mixed = contrast.project(contrast.heads[0], features, region)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact)


@pytest.mark.parametrize("trains", ["both", "output", "encoder"])
def test_what_the_term_trains(trains: str) -> None:
    torch.manual_seed(6)
    encoder = Encoder(CONFIG)
    contrast = RegionContrast(dict(enumerate(CONFIG.widths[:2])), samples=3, share=1.0, trains=trains)
    real, composite, mask = pictures()
    output = composite.clone().requires_grad_()
    contrast(encoder, output, real, composite, mask).backward()
    assert (output.grad is not None and output.grad.abs().sum() > 0) == (trains != "encoder")
    assert any(p.grad is not None for p in encoder.parameters()) == (trains != "output")
    assert all(p.grad is not None for p in contrast.parameters())


def test_what_it_cannot_train_is_refused() -> None:
    with pytest.raises(ConfigError, match="everything"):
        RegionContrast({0: 8}, trains="everything")
