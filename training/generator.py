"""The fusion generator: a small encoder and decoder that predicts a colour transform.

::

    composite, composite x mask, mask (N, 7, 256, 256)
      stem   16 x 128²
      enc 1  48 x  64²  ── style ─┐
      enc 2  64 x  32²  ── style ─┼─> dec 2  64 x 32² ──> head: 12 x 32² affine maps
      enc 3  96 x  16²  ── style ─┼─> dec 3  96 x 16²
      enc 4 112 x   8²  ── style ─┴─> rendered in place

Every decoder stage is rendered by ``StyleFusion`` with one code for the styles at all four scales. Widths are multiples
of 16, as the blocked CPU and Tensor-Core kernels like them. Where a region of a photograph was disturbed, what tells is
fine and shallow, the seam; a subject that comes from elsewhere has none, and how its background looks must be judged
from all of the picture: plain residual blocks at 1/8, 1/16 and 1/32 of the view are for that. The decoder ends at 32 x
32: what the light and the grading did to a subject varies slowly over it, so that finer cells cost time and follow
texture. There is no batch normalisation: residual blocks start as the identity instead, which trains as well here, a
quarter faster, with any batch size, and leaves the exported weights those that were trained. The activations between
stages leak, so that no stage can die and cut off what lies deeper.

Where a disturbed photograph betrays itself is the seam: colours that were one in the photograph jump there. A
convolution of composite and mask side by side cannot compare what lies inside with what lies outside, because it cannot
multiply; so it is given their product, and the style code has the statistics of the seam beside those of the two
regions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.contract import WORKING_SIZE
from edge_harmony.errors import ConfigError
from training.fusion import StyleAttention, StyleCode, StyleFusion
from training.heads import HEADS
from training.settings import setting


@dataclass(frozen=True)
class GeneratorConfig:
    """What it takes to build a generator; stored in every checkpoint."""

    stem: int = setting(16, 1, 1024)
    widths: tuple[int, ...] = setting((48, 64, 96, 112), 1, 4096)
    depths: tuple[int, ...] = setting((1, 0, 0, 0), 0, 64)  # inverted residual blocks in each encoder stage
    context: tuple[int, ...] = setting((0, 1, 2, 2), 0, 64)  # plain residual blocks after them; none beyond
    decoder_depths: tuple[int, ...] = setting((1, 1), 0, 64)  # in each decoder stage, from the grid's 32² to 16²
    decoder_context: tuple[int, ...] = setting((), 0, 64)  # plain residual blocks after those, likewise
    expansion: int = setting(3, 1, 16)
    code_size: int = setting(192, 1, 4096)
    code_per_scale: int = setting(64, 1, 4096)  # of the style code's first layer
    tones: int = setting(10, 0, 64)  # steps of brightness whose share and colours the style code knows; 0 for none
    # external, or with the background's statistics alone; internal; none: see StyleCode and StyleFusion
    fusion: str = setting("external", choices=("external", "background", "internal", "none"))
    attention: bool = False
    seam: bool = True  # the product of composite and mask as an input, the seam's statistics in the style code
    head: str = setting("affine", choices=tuple(HEADS))  # see training.heads

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or not 0 < len(self.decoder_depths) < len(self.widths):
            raise ConfigError(
                f"generator: {len(self.widths)} widths, {len(self.depths)} depths, {len(self.decoder_depths)} "
                "decoder_depths",
                "give as many depths as widths, and fewer decoder_depths",
            )

    @classmethod
    def from_dict(cls, values: dict) -> GeneratorConfig:
        made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**made)

    def to_dict(self) -> dict:
        return asdict(self)


LEAK = 0.1  # slope below zero of the activations between stages


class Conv(nn.Sequential):
    """Convolution, perhaps an activation, initialised after He et al. 2015.

    ``still`` makes it return zeros at the start. ``leak`` is the slope below zero; ``bounded`` caps it at 6.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
        still: bool = False,
        leak: float = 0.0,
        bounded: bool = False,
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu" if act else "linear")
        nn.init.zeros_(conv.bias)  # pyright: ignore[reportArgumentType]
        if still:
            nn.init.zeros_(conv.weight)
        activation = nn.LeakyReLU(leak, inplace=True) if leak else (nn.ReLU6 if bounded else nn.ReLU)(inplace=True)
        super().__init__(conv, *((activation,) if act else ()))


class InvertedResidual(nn.Module):
    """Expand, depthwise 3 x 3, project, add (after MobileNetV2, Sandler et al. 2018)."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.body = nn.Sequential(
            Conv(channels, hidden, 1),
            Conv(hidden, hidden, 3, groups=hidden),
            Conv(hidden, channels, 1, act=False, still=True),  # every block starts as the identity
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Residual(nn.Module):
    """Two 3 x 3 convolutions, added (He et al. 2016): each mixes all channels over its surroundings.

    What lies between them is bounded: several such blocks in a row, without normalisation, had learned to multiply what
    few pictures set off, up to a thousandfold.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv(channels, channels, 3, bounded=True), Conv(channels, channels, 3, act=False, still=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def blocks(channels: int, depth: int, config: GeneratorConfig) -> nn.Sequential:
    return nn.Sequential(*(InvertedResidual(channels, config.expansion) for _ in range(depth)))


def residuals(channels: int, count: tuple[int, ...]) -> list[Residual]:
    """As many blocks as ``count`` says, which holds one number or none."""
    return [Residual(channels) for _ in range(sum(count))]


class Encoder(nn.Module):
    """Composite and mask to features at 1/4, 1/8, 1/16 and 1/32 of the view."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.seam = config.seam
        self.stem = Conv(7 if config.seam else 4, config.stem, 3, stride=2, leak=LEAK)
        stages, inputs = [], config.stem
        for i, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            first = Conv(inputs, width, 3, stride=2, leak=LEAK)
            context = residuals(width, config.context[i : i + 1])
            stages.append(nn.Sequential(first, blocks(width, depth, config), *context))
            inputs = width
        self.stages = nn.ModuleList(stages)

    def forward(self, composite: Tensor, mask: Tensor) -> list[Tensor]:
        """(N, 3, S, S) and (N, 1, S, S), both 0..1, to a list of (N, C_i, S/2^(i+2), S/2^(i+2))."""
        centred = composite - 0.5
        x = self.stem(torch.cat((centred, centred * mask, mask) if self.seam else (centred, mask), 1))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class DecoderStage(nn.Module):
    """Upsample, join the encoder's features of this scale, render in the style, refine."""

    def __init__(self, inputs: int, skip: int, place: int, config: GeneratorConfig, attention: bool) -> None:
        super().__init__()
        self.lift = Conv(inputs, skip, 1, act=False)  # both linear: a ReLU on this way can die, and then cuts off
        self.join = Conv(2 * skip, skip, 1, act=False)  # all that lies deeper; the blocks have theirs on branches
        self.fusion = StyleFusion(skip, config.code_size, config.fusion)
        self.attention = StyleAttention(skip) if attention else None
        self.refine = blocks(skip, config.decoder_depths[place], config)
        self.refine.extend(residuals(skip, config.decoder_context[place : place + 1]))

    def forward(self, x: Tensor, skip: Tensor, mask: Tensor, code: Tensor | None) -> Tensor:
        x = F.interpolate(self.lift(x), scale_factor=2.0, mode="nearest")
        x = self.join(torch.cat((x, skip), 1))
        if self.attention is not None:
            x = self.attention(x, skip, mask)
        return self.refine(self.fusion(x, mask, code))


class FusionGenerator(nn.Module):
    """Composite and mask to a colour transform: the inference-only network that is exported."""

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GeneratorConfig()
        widths = list(config.widths)
        self.encoder = Encoder(config)
        self.style = None  # what no fusion reads has no weights
        if config.fusion in ("external", "background"):
            regions = "background" if config.fusion == "background" else "all" if config.seam else "both"
            self.style = StyleCode(widths, config.code_size, config.code_per_scale, regions, config.tones)
        self.deepest = StyleFusion(widths[-1], config.code_size, config.fusion)
        self.first = len(widths) - 1 - len(config.decoder_depths)  # the encoder's scale at which the decoder ends
        self.decoder = nn.ModuleList(
            DecoderStage(widths[i + 1], widths[i], place, config, config.attention and i == 2)
            for place, i in enumerate(range(self.first, len(widths) - 1))
        )
        if config.head not in HEADS:
            raise ValueError(f"head {config.head!r} is none of {', '.join(HEADS)}")
        self.head = HEADS[config.head](widths[self.first])

    def grid_size(self, side: int) -> int:
        """Cells along a side of the prediction for a square view of ``side`` pixels."""
        return side >> (self.first + 2)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Predict the transform.

        Args:
            composite: float (N, 3, S, S) RGB 0..1; S is 256 when exported, any multiple of 32 in training.
            mask: float (N, 1, S, S) 0..1, foreground coverage.

        Returns:
            float (N, 12, S/8, S/8), as the decoder's depth has it: absolute 3 x 4 affine maps, row-major (see
            ``edge_harmony.contract``); where the head is another, what its ``render`` applies.
        """
        masks = [F.avg_pool2d(mask, 4)]
        for _ in self.config.widths[1:]:
            masks.append(F.avg_pool2d(masks[-1], 2))
        features = self.encoder(composite, mask)
        code = self.style(composite, features, masks) if self.style is not None else None
        x = self.deepest(features[-1], masks[-1], code)
        for i in reversed(range(len(self.decoder))):
            scale = self.first + i
            x = self.decoder[i](x, features[scale], masks[scale], code)
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):  # half precision would round maps to a code value
                return self.head(x.float(), masks[self.first])
        return self.head(x, masks[self.first])


def count_macs(model: FusionGenerator, size: int = WORKING_SIZE) -> int:
    """Multiply-accumulates of one forward pass, convolutions and matrix products (1 MAC = 2 FLOP)."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    parameter = next(model.parameters())
    with torch.no_grad(), counter:
        model(parameter.new_zeros(1, 3, size, size), parameter.new_zeros(1, 1, size, size))
    return counter.get_total_flops() // 2
