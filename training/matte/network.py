"""The matte's network: a small encoder and decoder from a picture and its previous alpha to alpha.

::

    RGB + previous alpha (N, 4, H, W)
      stem   12 x 1/2  ─────────────────────────┐
      enc 1  24 x 1/4  ──────────────────┐      │
      enc 2  48 x 1/8  ─────────────┐    │      │
      enc 3  96 x 1/16 ────────┐    │    │      │
      enc 4 128 x 1/32 ─ whole ┴─ dec 3, 2, 1 ──┴─> 4 logits x 1/2, shuffled to 1 x 1/1

Inverted residual blocks that start as the identity. Batch normalisation helps training (a subject is found in half the
steps) and is folded into the convolutions by ``folded``: what runs takes no statistic of a frame that a passing object
could shift, save for one mean over the deepest features, which says what scene it is.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.settings import setting

STRIDE = 32  # sides of the input are multiples of it


@dataclass(frozen=True)
class MatteConfig:
    """What it takes to build a matte network; stored in every checkpoint."""

    stem: int = setting(12, 1, 1024)
    widths: tuple[int, ...] = setting((24, 48, 96, 128), 1, 4096)
    depths: tuple[int, ...] = setting((1, 3, 5, 3), 0, 64)  # residual blocks in each encoder stage
    expansion: int = setting(3, 1, 16)

    @classmethod
    def from_dict(cls, values: dict) -> MatteConfig:
        made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**made)

    def to_dict(self) -> dict:
        return asdict(self)


class Conv(nn.Sequential):
    """Convolution, batch normalisation, perhaps ReLU; ``still`` makes it return zeros at the start."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
        still: bool = False,
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu" if act else "linear")
        norm = nn.BatchNorm2d(outputs, momentum=0.02)
        if still:
            nn.init.zeros_(norm.weight)
        super().__init__(conv, norm, *((nn.ReLU(inplace=True),) if act else ()))


class InvertedResidual(nn.Module):
    """Expand, depthwise 3 x 3, project, add (after MobileNetV2, Sandler et al. 2018)."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.body = nn.Sequential(
            Conv(channels, hidden, 1),
            Conv(hidden, hidden, 3, groups=hidden),
            Conv(hidden, channels, 1, act=False, still=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Whole(nn.Module):
    """Adds to every place what the whole picture's mean feature says."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 1), nn.ReLU(inplace=True), nn.Conv2d(channels // 2, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x.mean((2, 3), keepdim=True))


class DecoderStage(nn.Module):
    """Upsample, add the encoder's features of this scale, refine."""

    def __init__(self, inputs: int, skip: int, expansion: int) -> None:
        super().__init__()
        self.lift = Conv(inputs, skip, 1, act=False)
        self.join = Conv(2 * skip, skip, 1)
        self.refine = InvertedResidual(skip, expansion)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(self.lift(x), scale_factor=2.0, mode="nearest")
        return self.refine(self.join(torch.cat((x, skip), 1)))


class MatteNet(nn.Module):
    """Picture and previous alpha to alpha's logits."""

    def __init__(self, config: MatteConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MatteConfig()
        widths = config.widths
        self.stem = Conv(4, config.stem, 3, stride=2)
        stages, inputs = [], config.stem
        for width, depth in zip(widths, config.depths, strict=True):
            rest = [InvertedResidual(width, config.expansion) for _ in range(depth)]
            stages.append(nn.Sequential(Conv(inputs, width, 3, stride=2), *rest))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.whole = Whole(widths[-1])
        self.decoder = nn.ModuleList(
            DecoderStage(widths[i + 1], widths[i], config.expansion) for i in range(len(widths) - 1)
        )
        self.lift = Conv(widths[0], config.stem, 1, act=False)
        self.fine = nn.Sequential(Conv(2 * config.stem, config.stem, 1), Conv(config.stem, config.stem, 3))
        self.head = nn.Conv2d(config.stem, 4, 3, padding=1)

    def logits(self, picture: Tensor) -> Tensor:
        """(N, 4, H, W) RGB and previous alpha, all 0..1, sides multiples of 32, to logits (N, 1, H, W)."""
        half = self.stem(picture - 0.5)
        x, features = half, []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        x = self.whole(x)
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](x, features[i])
        x = F.interpolate(self.lift(x), scale_factor=2.0, mode="nearest")
        return F.pixel_shuffle(self.head(self.fine(torch.cat((x, half), 1))), 2)

    def forward(self, picture: Tensor) -> Tensor:
        """(N, 4, H, W) RGB and previous alpha (zeros when there is none), 0..1, to alpha (N, 1, H, W), 0..1."""
        return torch.sigmoid(self.logits(picture))

    def folded(self) -> MatteNet:
        """A copy in evaluation mode with every batch normalisation folded into its convolution."""
        net = copy.deepcopy(self).eval()
        for module in list(net.modules()):
            if isinstance(module, Conv):
                module[0] = fuse_conv_bn_eval(module[0], module[1])  # type: ignore[arg-type]
                module[1] = nn.Identity()
        return net
