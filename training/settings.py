"""Settings of training runs: how a field states its limits, and changes on the command line. Read and checked by
``edge_harmony.config``, as the runtime's are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeVar

from edge_harmony.config import override, parse_value
from edge_harmony.errors import ConfigError

T = TypeVar("T")


def setting(default: Any, low: float | None = None, high: float | None = None, choices: tuple = ()) -> Any:
    """A field with its range (inclusive; of each element, where it is a tuple) or its choices."""
    return field(default=default, metadata={"low": low, "high": high, "choices": choices})


def share(default: float) -> Any:
    """A field that is a probability or a share of something."""
    return setting(default, 0.0, 1.0)


def overrides(pairs: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as dotted keys with values as TOML reads them; what it cannot read is text."""
    out = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {pair} has no value", "write --set KEY=VALUE")
        out[key.strip()] = parse_value(text)
    return out


def overridden(values: Mapping[str, Any], changes: Mapping[str, Any], kind: type[T]) -> T:
    """The settings of one ``kind`` of run: its defaults, nested dictionaries over them, dotted changes over all.

    Raises:
        ConfigError: a setting is unknown (the hint names the nearest), of another type or out of range.
    """
    merged = dict(values)
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        place = merged
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{dotted}: {parent} is a value, not a group of settings", f"set {parent} itself")
            place[parent] = place = dict(inner)
        place[key] = value
    return override(kind(), merged)
