"""The region-wise contrastive objective: what it pulls together, what each of its losses trains, what it weighs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from training.contrastive import RegionContrast, info_nce, other_look, shared
from training.generator import Encoder, FusionGenerator, GeneratorConfig

CONFIG = GeneratorConfig(
    stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), decoder_depths=(1, 1, 1), code_size=16, context=()
)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(5)
    return Encoder(CONFIG)


@pytest.fixture
def contrast(encoder: Encoder) -> RegionContrast:
    torch.manual_seed(6)
    return RegionContrast(encoder, samples=3, bank=32)


def pictures(n: int = 4, size: int = 80, seed: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ground truth with a tint of its own for each picture, composite with a foreground in another tint, mask."""
    drawn = torch.Generator().manual_seed(seed)
    tint = torch.rand(n, 3, 1, 1, generator=drawn)
    real = (0.25 * torch.rand(n, 3, size, size, generator=drawn) + 0.7 * tint).clamp(0, 1)
    mask = torch.zeros(n, 1, size, size)
    mask[:, :, 20:70, 24:72] = 1.0
    composite = real + mask * ((1.0 - real) - real)
    return real, composite, mask


def unit(n: int, k: int = 3, d: int = 8, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, k, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


def train_critic(contrast: RegionContrast, steps: int = 80) -> float:
    """On pictures of many tints; the share of own backgrounds that it finds in the end, among those it never saw."""
    optimiser = torch.optim.Adam(contrast.heads.parameters(), 1e-2)
    for step in range(steps):
        real, composite, mask = pictures(8, seed=step)
        loss = contrast(real, real, composite, mask)["critic"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    real, composite, mask = pictures(8, seed=10_000)
    return float(contrast.eval()(real, real, composite, mask)["found"])


def test_everything_exists_from_the_start(contrast: RegionContrast) -> None:
    before = {name: p.shape for name, p in contrast.state_dict().items()}
    real, composite, mask = pictures()
    contrast(composite, real, composite, mask)
    assert before == {name: p.shape for name, p in contrast.state_dict().items()}
    assert before["heads.foreground.weight"][1] == before["heads.background.weight"][1] == 2 * (8 + 8)


def test_nothing_of_it_is_in_the_generator(contrast: RegionContrast) -> None:
    held = FusionGenerator(CONFIG).state_dict()
    assert not [name for name in held if "contrast" in name or name.startswith("heads")]
    assert not set(contrast.state_dict()) & set(held)


def test_it_sees_through_the_encoder_it_was_given(contrast: RegionContrast, encoder: Encoder) -> None:
    real, _, mask = pictures()
    torch.manual_seed(1)
    before = contrast.styles(real, mask)[0]
    with torch.no_grad():
        encoder.stem[0].weight.mul_(2.0)
    torch.manual_seed(1)
    torch.testing.assert_close(contrast.styles(real, mask)[0], before)  # a copy: the run's own encoder may change
    contrast.watch(encoder)
    torch.manual_seed(1)
    assert not torch.allclose(contrast.styles(real, mask)[0], before)


def test_the_critic_learns_to_find_the_own_background(contrast: RegionContrast) -> None:
    assert train_critic(contrast) > 0.6  # one in eight by chance


def test_descending_moves_the_output_from_composite_towards_truth(contrast: RegionContrast) -> None:
    train_critic(contrast)
    real, composite, mask = pictures(8, seed=20_000)
    mix = torch.full((8, 1, 1, 1), 0.5, requires_grad=True)  # 0 is the composite's foreground, 1 the truth's
    contrast(composite + mix * (real - composite), real, composite, mask)["contrast"].backward()
    assert mix.grad is not None
    assert mix.grad.mean() < 0  # descending raises mix


def test_each_loss_trains_its_own(contrast: RegionContrast) -> None:
    real, composite, mask = pictures()
    contrast(real, real, composite, mask)  # something for the bank
    output = composite.clone().requires_grad_()
    said = contrast(output, real, composite, mask)
    said["contrast"].backward(retain_graph=True)
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert all(p.grad is None for p in contrast.parameters())
    output.grad = None
    said["critic"].backward()
    assert output.grad is None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in contrast.heads.parameters())
    assert all(p.grad is None for p in contrast.layers.parameters())


def test_gradient_reaches_the_foreground_alone(contrast: RegionContrast) -> None:
    real, composite, mask = pictures()
    contrast(real, real, composite, mask)
    output = composite.clone().requires_grad_()
    contrast(output, real, composite, mask)["contrast"].backward()
    assert output.grad is not None
    inside, far = output.grad[..., 30:60, 34:62].abs().mean(), output.grad[..., :4, :4].abs().mean()
    assert inside > 0
    assert far < 0.05 * inside


def test_info_nce_by_hand() -> None:
    """One picture, one sample, one negative: -log(e^s / (e^s + e^n))."""
    query, own = unit(1, 1, seed=1), unit(1, 1, seed=2)
    loss = info_nce(query, own, torch.tensor([[[0.3]]]), 0.1)
    torch.testing.assert_close(loss, F.softplus((0.3 - (query * own).sum()) / 0.1)[None])


def test_info_nce_without_negatives_has_nothing_to_learn() -> None:
    assert info_nce(unit(2), unit(2, seed=1), torch.full((2, 3, 4), -1e4), 0.1).abs().max() < 1e-6


def test_a_foreground_as_it_should_be_is_no_negative(encoder: Encoder) -> None:
    torch.manual_seed(6)
    contrast = RegionContrast(encoder, samples=3, bank=32, looks=0).eval()  # an empty bank says nothing either
    real, _, mask = pictures()
    for composite in (real, real + 0.02 * mask):
        assert contrast(real, real, composite, mask)["critic"] < 1e-6
    assert contrast(real, real, real + 0.2 * mask, mask)["critic"] > 1e-3


@pytest.mark.parametrize("cover", [0.0, 1.0, 1e-3])
@pytest.mark.parametrize("disturb", [True, False])
def test_degenerate_masks_and_pictures_stay_finite(contrast: RegionContrast, cover: float, disturb: bool) -> None:
    real = torch.full((3, 3, 64, 64), 0.5)
    composite = real * 0.5 if disturb else real.clone()
    mask = torch.zeros(3, 1, 64, 64)
    mask.view(3, -1)[:, : int(cover * 64 * 64)] = 1.0
    output = composite.clone().requires_grad_()
    said = contrast(output, real, composite, mask)
    (said["contrast"] + said["critic"]).backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in contrast.parameters() if p.grad is not None)
    assert said["contrast"] == said["critic"] == said["found"] == 0  # no picture has both regions
    assert contrast.filled == 0


def test_pictures_without_both_regions_neither_count_nor_serve(contrast: RegionContrast) -> None:
    real, composite, mask = pictures()
    mask[0], mask[1] = 0.0, 1.0
    said = contrast(composite, real, composite, mask)
    assert torch.isfinite(said["critic"])
    assert said["critic"] > 0
    assert contrast.filled == 2


def test_the_bank_keeps_the_latest(contrast: RegionContrast) -> None:
    contrast.keep_in_bank(torch.arange(20.0)[:, None].expand(20, 32))
    contrast.keep_in_bank(torch.arange(20.0, 40.0)[:, None].expand(20, 32))
    assert sorted(contrast.bank[:, 0].tolist()) == [float(i) for i in range(8, 40)]


def test_seed_decides_the_samples(contrast: RegionContrast) -> None:
    real, composite, mask = pictures()
    contrast.eval()
    said = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        said.append(contrast(composite, real, composite, mask)["critic"].item())
    assert said[0] == said[1] != said[2]


def test_any_scales_can_be_seen(encoder: Encoder) -> None:
    real, composite, mask = pictures()
    for scales, channels in (((0,), 8), ((4,), 16), ((0, 2), 24)):
        contrast = RegionContrast(encoder, scales, bank=8)
        assert contrast.bank.shape[1] == 2 * channels
        assert torch.isfinite(contrast(composite, real, composite, mask)["critic"])


def test_other_looks_differ_from_picture_to_picture() -> None:
    real, _, _ = pictures()
    torch.manual_seed(2)
    looks = other_look(real[:1].expand(4, -1, -1, -1))
    assert 0 <= looks.min() <= looks.max() <= 1
    assert min(float((a - b).abs().mean()) for i, a in enumerate(looks) for b in looks[:i]) > 0.005


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_the_second_loss_gets_its_share_of_the_gradient(share: float) -> None:
    output = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    one, other = (torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(s)) for s in (2, 3))
    main, second = shared(output, share)
    ((main * one).sum() + 1000 * (second * other).sum()).backward()
    assert output.grad is not None
    torch.testing.assert_close(output.grad, one + share * one.norm() / other.norm() * other)
