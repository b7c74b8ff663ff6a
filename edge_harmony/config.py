"""Settings read: a TOML file under the command line, and errors that name the nearest key. The table: ``settings``."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

from edge_harmony.errors import ConfigError
from edge_harmony.run.redact import remember
from edge_harmony.setting_value import check_value, unknown
from edge_harmony.settings import Config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES: Final = 1_000_000
_MOST_POINTS: Final = 100  # in a line: the parser's time for a key a.b.c.d grows with their square

Settings = TypeVar("Settings")


def load_config(path: str | Path, base: Config | None = None) -> Config:
    """Read a TOML file over the defaults, or over other settings.

    Raises:
        ConfigError: no such file, not TOML, an unknown section or key (the hint names the nearest), a value of
            another type or out of range.
    """
    values = read_toml(path, 'write [section] lines and key = value, text in "..."')
    return override(base or Config(), values, str(path))


def override(config: Settings, values: Mapping[str, Any], origin: str = "") -> Settings:
    """Return settings with some replaced.

    Args:
        config: what to start from: a dataclass whose fields are settings, or groups of them that are such dataclasses
            themselves. A field's type, and the limits that its metadata names (see ``check_value``), are
            checked; one whose metadata says ``in_file`` is False cannot be set.
        values: by name, those of a group in a mapping of their own.
        origin: where they come from (a file's name, "command line"), for messages.

    Raises:
        ConfigError: a name is unknown (the hint has the nearest), or a value is of another type or out of range.
    """
    return _replaced(config, values, f"{origin}: " if origin else "", "")


def read_toml(path: str | Path, example: str) -> dict[str, Any]:
    """What a TOML file holds; ``example`` is the hint that says how one is written.

    Raises:
        ConfigError: missing, unreadable, larger than 1 MB, not UTF-8, or not TOML.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", "check its path") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8", "write the settings as TOML") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{path} is no file of settings: it is larger than 1 MB", "check its path")
    if any(line.count(".") > _MOST_POINTS for line in text.splitlines()):
        raise ConfigError(f"{path} is nested too deep", example)
    remember(text)  # for the parser's own words
    try:
        values = tomllib.loads(text)
        for text in _texts(values):
            remember(text)
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deep", example) from error
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}", example) from error
    return values


def parse_value(text: str) -> Any:
    """A value as TOML reads it: a number, true, false, a list; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _replaced(config: Any, values: Mapping[str, Any], origin: str, within: str) -> Any:
    known = {one.name: one for one in dataclasses.fields(config) if one.metadata.get("in_file", True)}
    changed: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{within}{key}"
        if key not in known:
            raise unknown(f"{origin}unknown setting {name if name.isprintable() else repr(name)}", key, known, within)
        now = getattr(config, key)
        if dataclasses.is_dataclass(now):
            if not isinstance(value, Mapping):
                inner = dataclasses.fields(now)[0].name
                hint = f"it is a group of settings: write [{name}], or set one of them, such as {name}.{inner}"
                raise ConfigError(f"{origin}{name} is {value!r}", hint)
            changed[key] = _replaced(now, value, origin, f"{name}.")
        else:
            said = known[key].metadata
            limits = {limit: said[limit] for limit in ("low", "high", "choices", "parse") if limit in said}
            changed[key] = check_value(value, _types_of(type(config))[key], f"{origin}{name}", **limits)
    return dataclasses.replace(config, **changed)


@functools.cache
def _types_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _texts(value: Any) -> Iterator[str]:
    """Every text among what a TOML file holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)
