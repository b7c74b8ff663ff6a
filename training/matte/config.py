"""What decides a matte's training run: stored in its checkpoints."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_harmony.errors import ConfigError
from training.config import from_dict, tomllib
from training.matte.data import MatteAugment
from training.matte.network import MatteConfig


@dataclass(frozen=True)
class MatteLoss:
    """Weights of the loss terms."""

    cross_entropy: float = 1.0
    overlap: float = 0.5  # 1 - soft Dice of each picture: small subjects count as much as large ones
    edges: float = 1.0  # differences between neighbouring pixels


@dataclass(frozen=True)
class MatteRun:
    """Everything that decides what a run computes."""

    network: MatteConfig = field(default_factory=MatteConfig)
    augment: MatteAugment = field(default_factory=MatteAugment)
    loss: MatteLoss = field(default_factory=MatteLoss)
    steps: int = 12000
    batch: int = 16
    stages: tuple[tuple[float, int], ...] = ((0.0, 128), (0.4, 192))  # from this share of the run on, side in pixels
    lr: float = 3e-3
    weight_decay: float = 0.02
    warmup: int = 300  # steps
    cooldown: float = 0.4  # last share of the run, over which the learning rate falls to zero
    clip: float = 1.0  # norm of the gradient
    ema: float = 0.998
    seed: int = 0

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, constant, then down to zero along a half cosine."""
        start = self.steps * (1.0 - self.cooldown)
        rise = min(1.0, (step + 1) / self.warmup)
        fall = 1.0 if step < start else 0.5 + 0.5 * math.cos(math.pi * (step - start) / max(1.0, self.steps - start))
        return self.lr * rise * fall

    def size(self, step: int) -> int:
        """Side in pixels of the samples at a step."""
        return [side for share, side in self.stages if step >= share * self.steps][-1]

    def to_dict(self) -> dict:
        return asdict(self)


def read_run(path: Path | None, overrides: dict, stored: dict | None = None) -> MatteRun:
    """The settings of a TOML file, or those ``stored`` in a run, with dotted overrides on top.

    Raises:
        ConfigError: the file is missing or no TOML, or a setting is unknown.
    """
    values: dict[str, Any] = dict(stored or {})
    if path is not None:
        try:
            values = tomllib.loads(path.read_text())
        except FileNotFoundError:
            raise ConfigError(f"{path} does not exist", "see training/matte/person.toml") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path} is not valid TOML: {error}", "mend the line that it names") from None
    for dotted, value in overrides.items():
        *parents, key = dotted.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return from_dict(MatteRun, values)
