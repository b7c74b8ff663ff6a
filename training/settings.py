"""Settings of training runs: frozen dataclasses from TOML and from the command line, checked for type and range."""

from __future__ import annotations

import difflib
from dataclasses import field, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from edge_harmony.config import parse_value
from edge_harmony.errors import ConfigError

T = TypeVar("T")
WORDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


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


def overridden(values: dict, changes: dict[str, Any], kind: type[T]) -> T:
    """The settings of nested dictionaries with dotted overrides on top, of one ``kind`` of run."""
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{dotted}: {parent} is a value, not a group of settings", f"set {parent} itself")
        place[key] = value
    return from_dict(kind, values)


def from_dict(kind: type[T], values: dict, where: str = "") -> T:
    """A frozen dataclass of settings from nested dictionaries; lists become tuples.

    Raises:
        ConfigError: a setting is unknown (the hint names the nearest), of another type or out of range.
    """
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    made = {}
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {where}{near[0]}?" if near else f"known here: {', '.join(known)}"
            raise ConfigError(f"unknown setting {name}", hint)
        if is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{name} is {value!r}", f"it is a group of settings: set one of them, such as {name}."
                    f"{fields(hints[key])[0].name}"
                )
            made[key] = from_dict(hints[key], value, f"{name}.")
            continue
        made[key] = _typed(value, hints[key], name)
        _check_range(made[key], known[key].metadata, name)
    return kind(**made)


def _typed(value: Any, kind: Any, name: str) -> Any:
    """The value as its type has it: whole numbers serve as numbers, lists as tuples."""
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} is {value!r}", "it must be a list, such as [1, 2]")
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        if len(kinds) != len(value):
            raise ConfigError(f"{name} has {len(value)} values", f"it must have {len(kinds)}")
        return tuple(_typed(v, k, name) for v, k in zip(value, kinds, strict=True))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{name} is {value!r}", f"it must be {WORDS[kind]}")
    return value


def _check_range(value: Any, limits: Any, name: str) -> None:
    if isinstance(value, tuple):
        for one in value:
            _check_range(one, limits, name)
        return
    choices, low, high = limits.get("choices"), limits.get("low"), limits.get("high")
    if choices and value not in choices:
        raise ConfigError(f"{name} is {value!r}", f"use one of: {', '.join(map(str, choices))}")
    if low is not None and not value >= low:
        raise ConfigError(f"{name} is {value}", f"it must be {low:g} or more" + (f", up to {high:g}" if high else ""))
    if high is not None and not value <= high:
        raise ConfigError(f"{name} is {value}", f"it must lie in {low:g} .. {high:g}")
