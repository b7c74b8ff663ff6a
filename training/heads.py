"""What the decoder's features become, and how that renders a picture.

``affine``, a grid of affine maps, is the head of the contract: the one that is exported. The others are what the field
uses in its place, here to be compared with it under equal conditions. Each is a convolution whose ``forward`` predicts
from features and foreground mask, and whose ``render`` applies the prediction to a picture of any size.
"""

from __future__ import annotations

from typing import ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.contract import TRANSFORM_CHANNELS
from training.apply import apply_transform
from training.fusion import LUMA, as_map, region_statistics

BINS: Final = 8  # of luminance in the bilateral grid
KNOTS: Final = 8  # of each curve


class Head(nn.Conv2d):
    """Base of all heads: a 3 x 3 convolution that starts near zero, on a bias that stands for the identity."""

    channels: ClassVar[int]
    start: ClassVar[tuple[float, ...]]  # the bias's first values; zero beyond

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, self.channels, 3, padding=1)
        nn.init.normal_(self.weight, std=1e-3)
        with torch.no_grad():
            assert self.bias is not None
            self.bias.zero_()
            self.bias[: len(self.start)] = torch.tensor(self.start)

    def forward(self, input: Tensor, mask: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Features (N, C, h, w) and foreground mask (N, 1, h, w) to a prediction (N, channels, h, w)."""
        return super().forward(input)

    def render(self, image: Tensor, prediction: Tensor) -> Tensor:
        """Apply a prediction to a picture, float (N, 3, H, W) RGB 0..1; the result is not clamped."""
        raise NotImplementedError


class AffineGrid(Head):
    """A 3 x 4 map for each cell, interpolated bilinearly."""

    channels = TRANSFORM_CHANNELS
    start = tuple(torch.eye(3, 4).flatten().tolist())

    def render(self, image: Tensor, prediction: Tensor) -> Tensor:
        return apply_transform(image, prediction)


class GlobalAffine(AffineGrid):
    """One map for the whole subject: the mean of the grid over the foreground, in every cell."""

    def forward(self, input: Tensor, mask: Tensor) -> Tensor:
        grid = super().forward(input, mask)
        return as_map(region_statistics(grid, mask.clamp_min(1e-3))[0]).expand_as(grid)


class DenseColour(Head):
    """Colour itself, at the decoder's resolution, as a difference from the composite's: what pixel networks predict."""

    channels = 3
    start = (0.0, 0.0, 0.0)

    def render(self, image: Tensor, prediction: Tensor) -> Tensor:
        return image + F.interpolate(prediction, image.shape[-2:], mode="bilinear", align_corners=False)


class BilateralGrid(Head):
    """Affine maps over place and luminance, interpolated in all three (Gharbi et al. 2017)."""

    channels = TRANSFORM_CHANNELS * BINS
    start = tuple(torch.eye(3, 4).flatten().repeat_interleave(BINS).tolist())

    def render(self, image: Tensor, prediction: Tensor) -> Tensor:
        n, _, height, width = image.shape
        grid = prediction.reshape(n, TRANSFORM_CHANNELS, BINS, *prediction.shape[-2:])
        luma = (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1)  # (N, H, W)
        y = (torch.arange(height, device=image.device) + 0.5) * 2 / height - 1
        x = (torch.arange(width, device=image.device) + 0.5) * 2 / width - 1
        place = torch.stack((x.expand(n, height, width), y[:, None].expand(n, height, width), luma * 2 - 1), -1)
        maps = F.grid_sample(grid, place[:, None], "bilinear", "border", align_corners=False)
        maps = maps.view(n, 3, 4, height, width)
        return (maps[:, :, :3] * image[:, None]).sum(2) + maps[:, :, 3]


class CurvesAndGrid(Head):
    """One tone curve for each channel of the whole subject, then a grid of affine maps."""

    channels = TRANSFORM_CHANNELS + 3 * KNOTS
    start = AffineGrid.start

    def forward(self, input: Tensor, mask: Tensor) -> Tensor:
        prediction = super().forward(input, mask)
        grid, curves = prediction.split((TRANSFORM_CHANNELS, 3 * KNOTS), 1)
        common = as_map(region_statistics(curves, mask.clamp_min(1e-3))[0])
        return torch.cat((grid, common.expand_as(curves)), 1)

    def render(self, image: Tensor, prediction: Tensor) -> Tensor:
        grid, curves = prediction.split((TRANSFORM_CHANNELS, 3 * KNOTS), 1)
        offsets = curves.mean((2, 3)).view(-1, 3, KNOTS, 1, 1)
        at = torch.arange(KNOTS, device=image.device, dtype=image.dtype).view(1, 1, KNOTS, 1, 1)
        share = (1 - (image.clamp(0, 1)[:, :, None] * (KNOTS - 1) - at).abs()).clamp_min(0)  # (N, 3, KNOTS, H, W)
        return apply_transform(image + (offsets * share).sum(2), grid)


HEADS: Final[dict[str, type[Head]]] = {
    "affine": AffineGrid,
    "global": GlobalAffine,
    "dense": DenseColour,
    "bilateral": BilateralGrid,
    "curves": CurvesAndGrid,
}
CONTRACT_HEADS: Final = ("affine", "global")  # those whose prediction is the contract's transform
