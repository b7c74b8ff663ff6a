"""The generator: its budgets, shapes, and what style fusion promises."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge_harmony import contract
from training.fusion import LEAST_TONE, StyleAttention, StyleFusion, Tones, as_map, region_statistics
from training.generator import FusionGenerator, GeneratorConfig, count_macs

SMALL = GeneratorConfig(stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), decoder_depths=(1, 1, 1), code_size=16)


@pytest.fixture(scope="module")
def generator() -> FusionGenerator:
    """The shipped architecture, with weights that let every branch count."""
    torch.manual_seed(0)
    model = FusionGenerator().eval()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return model


def views(n: int = 1, size: int = 256, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    composite = torch.rand(n, 3, size, size, generator=random)
    mask = torch.zeros(n, 1, size, size)
    mask[:, :, size // 4 : size // 2, size // 4 : 3 * size // 4] = 1.0
    return composite, mask


def test_budgets(generator: FusionGenerator) -> None:
    assert sum(p.numel() for p in generator.parameters()) <= 1.5e6
    assert 2 * count_macs(generator) <= 0.9e9


def test_count_of_operations_covers_every_convolution(generator: FusionGenerator) -> None:
    counted = 0

    def count(module: nn.Conv2d, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal counted
        counted += output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in generator.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        generator(*views())
    for hook in hooks:
        hook.remove()
    matrix_products = 0
    for i, width in enumerate(generator.config.widths):  # statistics: means and squares, of three regions for the code
        regions = 3 + (i >= generator.first)  # and of the foreground for fusion
        matrix_products += 2 * regions * width * (64 >> i) ** 2
    matrix_products += 2 * generator.config.tones * 3 * 64**2  # which way colours lean, in two regions
    assert count_macs(generator) == counted + matrix_products


@pytest.mark.parametrize("size", [64, 128, 192, 256])
def test_shape(generator: FusionGenerator, size: int) -> None:
    with torch.no_grad():
        transform = generator(*views(2, size))
    assert transform.shape == (2, 12, size // 8, size // 8)
    if size == contract.WORKING_SIZE:
        assert transform[:1].shape == contract.TRANSFORM_SHAPE


def test_untrained_network_is_near_the_identity() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        transform = FusionGenerator().eval()(*views())
    assert (transform - torch.from_numpy(contract.IDENTITY.copy())).abs().max() < 0.3


@pytest.mark.parametrize("cover", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("colour", [0.0, 1.0])
def test_flat_views_and_empty_or_full_masks_give_finite_transforms(
    generator: FusionGenerator, cover: float, colour: float
) -> None:
    with torch.no_grad():
        transform = generator(torch.full((1, 3, 256, 256), colour), torch.full((1, 1, 256, 256), cover))
    assert torch.isfinite(transform).all()
    assert transform.abs().max() < 50


def test_pictures_of_a_batch_do_not_touch(generator: FusionGenerator) -> None:
    composite, mask = views(2, 128)
    with torch.no_grad():
        together = generator(composite, mask)
        alone = torch.cat([generator(composite[i : i + 1], mask[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_transform_depends_on_the_background(generator: FusionGenerator) -> None:
    composite, mask = views()
    changed = composite.clone()
    changed[..., 200:, :] *= 0.3  # far from the foreground
    with torch.no_grad():
        difference = generator(composite, mask) - generator(changed, mask)
    assert difference[..., 20:28, 20:40].abs().max() > 1e-4  # the foreground's cells


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = FusionGenerator(SMALL)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    model(*views(2, 64)).square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_config_survives_its_dictionary() -> None:
    assert GeneratorConfig.from_dict({**SMALL.to_dict(), "widths": list(SMALL.widths)}) == SMALL


def test_unknown_fusion_is_refused() -> None:
    with pytest.raises(ValueError, match="external"):
        StyleFusion(8, 16, "sideways")


# --- style fusion


def masked_features() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    features = torch.randn(2, 8, 16, 16)
    mask = torch.zeros(2, 1, 16, 16)
    mask[:, :, 4:12, 3:9] = 1.0
    return features, mask


@pytest.mark.parametrize("mode", ["external", "internal"])
def test_fusion_leaves_the_background_alone(mode: str) -> None:
    features, mask = masked_features()
    out = StyleFusion(8, 16, mode)(features, mask, torch.rand(2, 16, 1, 1))
    outside = (mask == 0).expand_as(features)
    assert torch.equal(out[outside], features[outside])
    assert not torch.allclose(out, features)


@pytest.mark.parametrize("mode", ["external", "internal"])
def test_fusion_takes_the_foregrounds_own_style_away(mode: str) -> None:
    features, mask = masked_features()
    fusion, code = StyleFusion(8, 16, mode), torch.rand(2, 16, 1, 1)
    restyled = torch.where(mask > 0, features * 5 + 3, features)
    torch.testing.assert_close(fusion(restyled, mask, code), fusion(features, mask, code), atol=1e-2, rtol=1e-2)


def test_external_fusion_gives_the_style_that_the_code_says() -> None:
    features, mask = masked_features()
    fusion = StyleFusion(8, 16)
    code = torch.rand(2, 16, 1, 1)
    scale, shift = fusion.style(code).chunk(2, 1)
    mean, deviation = map(as_map, region_statistics(fusion(features, mask, code), mask))
    torch.testing.assert_close(mean, shift, atol=2e-3, rtol=0)
    torch.testing.assert_close(deviation, (1 + scale).abs(), atol=5e-3, rtol=1e-2)


def test_attention_reads_the_background_alone() -> None:
    features, mask = masked_features()
    attention = StyleAttention(8)
    nn.init.normal_(attention.out.weight)
    inside = torch.where(mask > 0, torch.full_like(features, 2.0), features)
    outside = torch.where(mask > 0, features, torch.full_like(features, 2.0))
    with torch.no_grad():
        plain = attention(features, features, mask)
        torch.testing.assert_close(attention(features, inside, mask), plain, atol=1e-3, rtol=1e-3)
        assert (attention(features, outside, mask) - plain).abs().max() > 0.1


# --- statistics


def test_tones_are_shares_of_brightness_and_their_lean() -> None:
    picture = torch.full((1, 3, 8, 8), 0.5)
    picture[:, :, :4] = torch.tensor([0.3, 0.2, 0.1]).view(1, 3, 1, 1)  # the upper half, a dark warm one
    region = torch.ones(1, 1, 8, 8)
    shares, lean = Tones(5)(picture, region).view(5, 4).split((1, 3), 1)
    brightness = 0.299 * 0.3 + 0.587 * 0.2 + 0.114 * 0.1  # 0.2185, between steps 0 and 1 at 0.25
    first = 0.5 * (1 - 4 * brightness)
    torch.testing.assert_close(shares[:, 0], torch.tensor([first, 0.5 - first, 0.5, 0.0, 0.0]), atol=1e-3, rtol=0)
    warm = torch.tensor([0.3, 0.2, 0.1]) - brightness
    torch.testing.assert_close(lean[1], 4 * warm * (0.5 - first) / (0.5 - first + LEAST_TONE), atol=1e-3, rtol=0)
    assert lean[2].abs().max() < 1e-6  # grey leans nowhere


def test_tones_of_a_region_see_it_alone() -> None:
    torch.manual_seed(0)
    picture, region = torch.rand(2, 3, 16, 16), torch.zeros(2, 2, 16, 16)
    region[:, 0, :8] = 1.0  # the second one is empty
    other = picture.clone()
    other[:, :, 8:] = 1.0
    tones = Tones(8)
    assert torch.equal(tones(picture, region), tones(other, region))
    assert not tones(picture, region).view(2, 2, -1)[:, 1].any()


def test_tones_tell_lifted_blacks_of_a_dark_picture() -> None:
    dark = torch.full((1, 3, 8, 8), 0.02)
    shares = Tones(10)(torch.cat((dark, dark + 0.04)), torch.ones(2, 1, 8, 8)).view(2, 10, 4)[:, :, 0]
    assert shares[0, 0] - shares[1, 0] > 0.3


def test_region_statistics_are_those_of_the_region() -> None:
    features, mask = masked_features()
    mean, deviation = region_statistics(features, mask)
    inside = features[:, :, 4:12, 3:9].flatten(2)
    torch.testing.assert_close(mean.flatten(1), inside.mean(2), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(deviation.flatten(1), inside.std(2, correction=0), atol=2e-3, rtol=2e-3)


def test_statistics_of_several_regions_are_those_of_each() -> None:
    features, mask = masked_features()
    features = features + 5.0
    together = region_statistics(features, torch.cat((mask, 1 - mask), 1))
    for i, region in enumerate((mask, 1 - mask)):
        for all_of_them, alone in zip(together, region_statistics(features, region), strict=True):
            torch.testing.assert_close(all_of_them[:, i : i + 1], alone)


def test_region_statistics_are_as_exact_under_mixed_precision() -> None:
    features, mask = masked_features()
    exact = region_statistics(features, mask)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = region_statistics(features, mask)
    for a, b in zip(mixed, exact, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b)


def test_region_statistics_of_nothing_are_finite() -> None:
    features, mask = masked_features()
    mean, deviation = region_statistics(features, torch.zeros_like(mask))
    assert (mean == 0).all()
    assert (deviation < 0.05).all()


def test_region_statistics_do_not_overflow_in_half_precision() -> None:
    features = torch.full((1, 4, 128, 128), 90.0) + torch.randn(1, 4, 128, 128)  # a sum would reach 1.4 million
    mask = torch.ones(1, 1, 128, 128)
    mean, deviation = region_statistics(features.half(), mask.half())
    exact_mean, exact_deviation = region_statistics(features, mask)
    torch.testing.assert_close(mean.float(), exact_mean, atol=0.1, rtol=0)
    torch.testing.assert_close(deviation.float(), exact_deviation, atol=0.05, rtol=0)
