"""Generator and what judges it, in one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from training import losses
from training.config import TrainConfig
from training.contrastive import RegionContrast, shared
from training.data import over
from training.generator import FusionGenerator
from training.semantics import Semantics


class Objective(nn.Module):
    """Generator and contrastive heads with the loss, in one forward pass: what DDP wraps."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config.loss
        self.generator = FusionGenerator(config.generator)
        self.stages: list[Tensor] = []  # what each stage of the last pass put out
        for stage in (*self.generator.encoder.stages, *self.generator.decoder):
            stage.register_forward_hook(self.keep_features)
        c = config.loss
        self.contrast = (
            RegionContrast(
                self.generator.encoder,
                c.contrast_scales,
                samples=c.contrast_samples,
                bank=c.contrast_bank,
                temperature=c.contrast_temperature,
                looks=c.contrast_looks,
            )
            if c.contrast > 0
            else None
        )
        if self.contrast is not None:  # how full its bank is would have it compiled anew at each step
            self.judge = cast("Callable[..., dict[str, Tensor]]", torch.compiler.disable(self.contrast.forward))
        self.semantics = Semantics(config.generator.widths) if c.semantics > 0 else None

    def keep_features(self, _stage: nn.Module, _inputs: tuple, features: Tensor) -> None:
        self.stages.append(features)

    def forward(self, batch: dict[str, Tensor], contrast: float) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, its terms and the output; ``contrast`` is that term's share of the gradient."""
        self.stages.clear()
        transform = self.generator(batch["composite"], batch["given"])  # (N, 12, S/4, S/4)
        mask, real, background = batch["mask"], batch["real"], batch["background"]
        output = self.generator.head.render(batch["foreground"], transform.float())  # (N, 3, S, S), the whole layer
        judged = output
        if self.contrast is not None:
            output, judged = shared(output, contrast)
        terms = losses.reconstruction(output, real, mask)
        terms["smooth"] = losses.smoothness(transform.float())
        terms["excess"] = losses.excess(self.stages)
        if self.semantics is not None:
            terms["semantics"] = self.semantics(self.stages, over(real, background, mask))
        self.stages.clear()
        total = torch.stack([getattr(self.config, name) * term for name, term in terms.items()]).sum()
        if self.contrast is not None:
            some = slice(self.config.contrast_pictures)  # samples come in random order
            harmonized = over(judged[some].clamp(0, 1), background[some], mask[some])
            truth = over(real[some], background[some], mask[some])
            said = self.judge(harmonized, truth, batch["composite"][some], mask[some])
            total = total + said["contrast"] + said["critic"]  # each trains its own: see RegionContrast
            terms |= said
        return total, terms, output
