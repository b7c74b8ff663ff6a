"""Lists of experiments: TOML files that name training runs to be compared under equal conditions.

::

    seeds = [0, 1]            # every run once with each
    base = "base.toml"        # a configuration beside this file that all start from; may be left out
    [common]                  # settings of all runs, dotted: "loss.contrast" = 0.02
    steps = 2000
    [[run]]
    name = "external fusion"  # a row of the table
    group = "fusion"          # rows of a group stand together
    set = { "generator.fusion" = "external" }
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge_harmony.config import read_toml
from edge_harmony.errors import ConfigError
from training.config import TrainConfig, read_config

KEYS = {"seeds", "base", "common", "run"}
RUN_KEYS = {"name", "group", "set"}


@dataclass(frozen=True)
class Experiment:
    """One training run: a row of the table with one of its seeds."""

    name: str
    group: str
    config: TrainConfig  # with the seed in it
    folder: str = ""  # of its run: its own name, or that of an earlier row with the same settings

    @property
    def own_name(self) -> str:
        """A name for a folder that no other row of the list has."""
        words = f"{self.group} {self.name}".strip().lower().replace("+", " plus ")
        return f"{re.sub(r'[^a-z0-9]+', '-', words).strip('-')}-seed{self.config.seed}"

    @property
    def digest(self) -> str:
        """Of everything that decides its result but the data."""
        return sha256(json.dumps(self.config.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def read_experiments(path: Path, changes: dict[str, Any], seeds: int | None = None) -> list[Experiment]:
    """All runs of a list, seed by seed, so that after a stop every row has been run equally often.

    Args:
        path: the list.
        changes: dotted settings over those of the list, for all runs (``{"steps": 300}``).
        seeds: how many of the list's seeds to use; all by default.

    Raises:
        ConfigError: no such file, not TOML, an unknown key or setting, two runs of one name.
    """
    listed = read_toml(path, "see training/configs/ablation.toml for an example")
    refuse_unknown(set(listed) - KEYS, KEYS, str(path))
    base = path.parent / listed["base"] if "base" in listed else None
    rows = []
    for run in listed.get("run", []):
        refuse_unknown(set(run) - RUN_KEYS, RUN_KEYS, f"{path}, [[run]]")
        if "name" not in run:
            raise ConfigError(f"{path}: a [[run]] has no name", 'give it one: name = "..."')
        config = read_config(base, {**listed.get("common", {}), **run.get("set", {}), **changes})
        rows.append(Experiment(run["name"], run.get("group", ""), config))
    numbers = listed.get("seeds", [0])[:seeds]
    made = [replace(row, config=replace(row.config, seed=seed)) for seed in numbers for row in rows]
    if len({experiment.own_name for experiment in made}) < len(made):
        raise ConfigError(f"{path}: two runs share a name and a group", "name them apart")
    if not made:
        raise ConfigError(f"{path} lists no runs", "add [[run]] sections")
    folders: dict[str, str] = {}
    return [replace(e, folder=folders.setdefault(e.digest, e.own_name)) for e in made]


def refuse_unknown(unknown: set[str], known: set[str], where: str) -> None:
    if unknown:
        raise ConfigError(f"{where}: unknown key {sorted(unknown)[0]}", f"known here: {', '.join(sorted(known))}")


def to_toml(config: TrainConfig) -> str:
    """A configuration as TOML text, whole, for ``python -m training.train --config``."""
    values = config.to_dict()
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for section, content in values.items():
        if isinstance(content, dict):
            lines += ["", f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in content.items())]
    return "\n".join(lines) + "\n"
