"""What decides a matte's training run: stored in its checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from edge_harmony.config import read_toml
from training.config import Schedule
from training.matte.network import MatteConfig
from training.matte.samples import MatteAugment
from training.settings import overridden, setting, share


@dataclass(frozen=True)
class MatteLoss:
    """Weights of the loss terms."""

    cross_entropy: float = setting(1.0, 0.0)
    overlap: float = setting(0.5, 0.0)  # 1 - soft Dice of each picture: small subjects count as much as large ones
    edges: float = setting(1.0, 0.0)  # differences between neighbouring pixels


@dataclass(frozen=True)
class MatteRun(Schedule):
    """Everything that decides what a run computes."""

    network: MatteConfig = field(default_factory=MatteConfig)
    augment: MatteAugment = field(default_factory=MatteAugment)
    loss: MatteLoss = field(default_factory=MatteLoss)
    steps: int = setting(12000, 1)
    batch: int = setting(16, 1)
    # from this share of the run on, side in pixels
    stages: tuple[tuple[float, int], ...] = setting(((0.0, 128), (0.4, 192)), 0)
    views: tuple[float, ...] = setting((1.0,), 0.1, 10.0)  # of a stage's side: each step takes one of them
    lr: float = setting(3e-3, 0.0)
    weight_decay: float = setting(0.02, 0.0)
    warmup: int = setting(300, 1)  # steps
    cooldown: float = share(0.4)  # last share of the run, over which the learning rate falls to zero
    clip: float = setting(1.0, 0.0)  # norm of the gradient
    ema: float = share(0.998)
    seed: int = setting(0, 0)

    def size(self, step: int) -> int:
        """Side of the samples of a step: its stage's, times one of the views."""
        view = self.views[np.random.default_rng((self.seed, step)).integers(len(self.views))]
        return max(64, round(super().size(step) * view / 32) * 32)

    def to_dict(self) -> dict:
        return asdict(self)


def read_run(path: Path | None, overrides: dict, stored: dict | None = None) -> MatteRun:
    """The settings of a TOML file, or those ``stored`` in a run, with dotted overrides on top.

    Raises:
        ConfigError: the file is missing or no TOML, or a setting is unknown, of another type or out of range.
    """
    values = read_toml(path, "see training/matte/person.toml") if path is not None else dict(stored or {})
    return overridden(values, overrides, MatteRun)
