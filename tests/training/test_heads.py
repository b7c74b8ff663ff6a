"""Heads: each starts at the identity, renders what its prediction says, and learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_harmony.errors import ModelError
from export.to_onnx import transform_graph
from training.generator import FusionGenerator, GeneratorConfig
from training.heads import BINS, HEADS, KNOTS, LUMA

SMALL = {"stem": 8, "widths": (8, 16, 16, 16), "depths": (1, 1, 1, 1), "code_size": 16}


def generator(head: str, stages: int = 2) -> FusionGenerator:
    torch.manual_seed(0)
    return FusionGenerator(GeneratorConfig(head=head, decoder_depths=(1,) * stages, **SMALL))


def pictures(n: int = 2, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.zeros(n, 1, size, size)
    mask[..., 16:48, 10:50] = 1
    return torch.rand(n, 3, size, size), mask


@pytest.mark.parametrize("head", HEADS)
def test_starts_near_the_identity(head: str) -> None:
    model = generator(head).eval()
    image, mask = pictures()
    with torch.no_grad():
        rendered = model.head.render(image, model(image, mask))
    assert rendered.shape == image.shape
    assert (rendered - image).abs().max() < 0.1


@pytest.mark.parametrize("head", HEADS)
def test_every_part_of_the_head_learns(head: str) -> None:
    model = generator(head)
    image, mask = pictures()
    (model.head.render(image, model(image, mask)) - 0.5 * image).square().mean().backward()
    assert model.head.weight.grad is not None
    reached = model.head.weight.grad.abs().sum((1, 2, 3)) > 0
    assert reached.float().mean() > 0.9  # a bin or knot of luminance that no pixel has may be left out


def test_one_map_is_the_same_everywhere() -> None:
    model = generator("global").eval()
    image, mask = pictures()
    with torch.no_grad():
        model.head.weight.normal_(std=0.1)
        maps = model(image, mask)
    assert maps.std((2, 3)).max() < 1e-5
    assert (maps[0] - maps[1]).abs().max() > 1e-4  # but another for another picture


def test_bilateral_grid_maps_by_luminance() -> None:
    """Dark pixels get one gain, bright ones another, and the middle of a bin exactly its own."""
    head = HEADS["bilateral"](8)
    prediction = torch.zeros(1, 12, BINS, 4, 4)
    gains = torch.linspace(0.5, 1.5, BINS)
    for channel in range(3):
        prediction[:, channel * 5] = gains.view(BINS, 1, 1)  # the diagonal of the 3 x 4 map
    grey = (torch.arange(BINS) + 0.5) / BINS
    image = grey.view(1, 1, 1, BINS).expand(1, 3, 6, BINS)
    rendered = head.render(image, prediction.flatten(1, 2))
    np.testing.assert_allclose(sum(LUMA), 1.0, atol=1e-6)
    np.testing.assert_allclose(rendered[0, 1, 3].numpy(), (grey * gains).numpy(), atol=1e-5)


def test_curve_moves_colours_at_its_knots() -> None:
    head = HEADS["curves"](8)
    prediction = torch.zeros(1, head.channels, 2, 2)
    prediction[:, :12] = torch.eye(3, 4).flatten().view(1, 12, 1, 1)
    prediction[:, 12 + 2] = 0.25  # red's third knot
    image = torch.full((1, 3, 2, 2), 2 / (KNOTS - 1))
    rendered = head.render(image, prediction)
    np.testing.assert_allclose(rendered[0, :, 0, 0].numpy(), [2 / 7 + 0.25, 2 / 7, 2 / 7], atol=1e-6)


@pytest.mark.parametrize(("head", "stages"), [("dense", 2), ("bilateral", 2), ("curves", 2), ("affine", 1)])
def test_what_is_not_the_contract_is_not_exported(head: str, stages: int) -> None:
    with pytest.raises(ModelError, match="cells") as caught:
        transform_graph(generator(head, stages).eval(), "odd")
    assert "generator.head=affine" in caught.value.hint


def test_an_unknown_head_is_named() -> None:
    with pytest.raises(ValueError, match="affin"):
        generator("affin")
