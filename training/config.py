"""The training configuration: a TOML file under the command line; an unknown key is an error."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from edge_harmony.config import read_toml
from edge_harmony.errors import ConfigError
from training.data import AugmentConfig
from training.generator import GeneratorConfig
from training.settings import overridden, setting, share


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms."""

    l1: float = setting(1.0, 0.0)
    l2: float = setting(5.0, 0.0)
    log: float = setting(0.0, 0.0)  # logarithm of each picture's squared error: slight mismatches count too
    contrast: float = setting(0.0, 0.0)  # region-wise contrastive term: its share of the reconstruction's gradient
    semantics: float = setting(0.0, 0.0)  # what things are, learned from a recognition network (see training.semantics)
    smooth: float = setting(1.0, 0.0)  # differences between neighbouring cells of the transform
    excess: float = setting(0.001, 0.0)  # activations beyond a limit
    contrast_warmup: int = setting(1000, 0)  # steps in which the critic learns and judges nothing
    contrast_scales: tuple[int, ...] = setting((0, 1), 0, 4)  # that it sees: 0 the stem, then the encoder's four
    contrast_temperature: float = setting(0.1, 0.001)
    contrast_pictures: int = setting(8, 1)  # of each batch (of each process's) that it judges; each costs as much again
    contrast_samples: int = setting(4, 1, 64)  # of each region
    contrast_bank: int = setting(1024, 8)  # backgrounds of other pictures
    contrast_looks: int = setting(2, 0, 16)  # of the same subject, beside the composite's


class Schedule(Protocol):
    """What runs of training have in common: rate and size of samples over their steps.

    A configuration that inherits it has ``steps``, ``warmup``, ``cooldown``, ``lr`` and ``stages``.
    """

    steps: int
    warmup: int
    cooldown: float
    lr: float
    stages: tuple[tuple[float, int], ...]

    def __post_init__(self) -> None:
        shares, sides = [share for share, _ in self.stages], [side for _, side in self.stages]
        if shares[:1] != [0] or sorted(set(shares)) != shares or any(side % 32 or side < 64 for side in sides):
            raise ConfigError(
                f"stages is {self.stages}",
                "give [share, side] pairs in order, from share 0 on, sides multiples of 32 from 64",
            )

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, constant, then down to zero with the cosine's second half-wave."""
        start = self.steps * (1.0 - self.cooldown)
        rise = min(1.0, (step + 1) / self.warmup)
        fall = 1.0 if step < start else 0.5 + 0.5 * math.cos(math.pi * (step - start) / max(1.0, self.steps - start))
        return self.lr * rise * fall

    def size(self, step: int) -> int:
        """Side in pixels of the samples at a step: small pictures teach most of it at a fraction of the cost."""
        return [side for share, side in self.stages if step >= share * self.steps][-1]


@dataclass(frozen=True)
class TrainConfig(Schedule):
    """Everything that decides what a run computes; stored in its checkpoints."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: int = setting(40000, 1)
    batch: int = setting(8, 1)  # over all processes
    # from this share of the run on, side in pixels
    stages: tuple[tuple[float, int], ...] = setting(((0.0, 128), (0.45, 192), (0.8, 256)), 0)
    lr: float = setting(2e-3, 0.0)
    muon: bool = True  # for weights that mix channels (see training.muon); False leaves all of them to AdamW
    weight_decay: float = setting(0.01, 0.0)
    warmup: int = setting(500, 1)  # steps
    cooldown: float = share(0.35)  # last share of the run, over which the learning rate falls to zero
    clip: float = setting(1.0, 0.0)  # norm of the gradient
    ema: float = share(0.999)
    seed: int = setting(0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        scales, widths = self.loss.contrast_scales, self.generator.widths
        if self.loss.contrast > 0 and not (scales and max(scales) <= len(widths)):
            raise ConfigError(
                f"loss.contrast_scales is {scales}",
                f"name one or more of the encoder's scales, 0 (its stem) to {len(widths)}",
            )

    def to_dict(self) -> dict:
        return asdict(self)


def read_config(path: Path | None, overrides: dict) -> TrainConfig:
    """The configuration of a TOML file with dotted overrides (``{"loss.contrast": 0.0}``) on top."""
    values = {} if path is None else read_toml(path, "see training/configs for examples")
    return overridden(values, overrides, TrainConfig)
