"""The training configuration: a TOML file under the command line; an unknown key is an error."""

from __future__ import annotations

import difflib
import math
import sys
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from edge_harmony.errors import ConfigError
from training.data import AugmentConfig
from training.generator import GeneratorConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms."""

    l1: float = 1.0
    l2: float = 5.0
    log: float = 0.0  # logarithm of each picture's squared error: slight mismatches count too
    contrast: float = 0.0  # region-wise contrastive term; off: see docs/model.md
    smooth: float = 1.0  # differences between neighbouring cells of the transform
    excess: float = 0.001  # activations beyond a limit
    contrast_warmup: int = 1000  # steps over which the contrastive weight rises from 0
    contrast_scales: tuple[int, ...] = (0, 1, 2)  # of the encoder's four
    contrast_trains: str = "both"  # or output, encoder alone: see RegionContrast


class Schedule:
    """What runs of training have in common: rate and size of samples over their steps.

    A configuration that inherits it has ``steps``, ``warmup``, ``cooldown``, ``lr`` and ``stages``.
    """

    steps: int
    warmup: int
    cooldown: float
    lr: float
    stages: tuple[tuple[float, int], ...]

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
    steps: int = 40000
    batch: int = 8  # over all processes
    stages: tuple[tuple[float, int], ...] = ((0.0, 128), (0.45, 192), (0.8, 256))  # from this share of the run on, side
    lr: float = 2e-3
    muon: bool = True  # for weights that mix channels (see training.muon); False leaves all of them to AdamW
    weight_decay: float = 0.01
    warmup: int = 500  # steps
    cooldown: float = 0.35  # last share of the run, over which the learning rate falls to zero
    clip: float = 1.0  # norm of the gradient
    ema: float = 0.999
    seed: int = 0

    def to_dict(self) -> dict:
        return asdict(self)


def tuples(value: Any) -> Any:
    return tuple(tuples(v) for v in value) if isinstance(value, list | tuple) else value


def from_dict(cls: Any, values: dict, where: str = "") -> Any:
    """A frozen configuration dataclass from nested dictionaries; lists become tuples."""
    known = {f.name: f for f in fields(cls)}
    made = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"unknown setting {where}{key}", f"did you mean {where}{near[0]}?" if near else
                              f"known here: {', '.join(known)}")
        nested = known[key].default_factory
        if isinstance(nested, type) and is_dataclass(nested):
            value = from_dict(nested, value, f"{where}{key}.")
        made[key] = tuples(value)
    return cls(**made)


def read_config(path: Path | None, overrides: dict) -> TrainConfig:
    """The configuration of a TOML file with dotted overrides (``{"loss.contrast": 0.0}``) on top."""
    return overridden({} if path is None else read_toml(path, "see training/configs for examples"), overrides)


def read_toml(path: Path, hint: str) -> dict:
    """The values of a TOML file; ``hint`` says what to do where there is none.

    Raises:
        ConfigError: missing, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", hint) from None
    except tomllib.TOMLDecodeError as e:
        raise ConfigError(f"{path} is not valid TOML: {e}", "mend the line that it names") from None


def overridden(values: dict, overrides: dict, kind: Any = TrainConfig) -> Any:
    """The configuration of nested dictionaries with dotted overrides on top, of one ``kind`` of run."""
    for dotted, value in overrides.items():
        *parents, key = dotted.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return from_dict(kind, values)
