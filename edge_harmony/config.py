"""Settings read: a TOML file under the command line, and errors that name the nearest key. The table: ``settings``."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from edge_harmony.errors import ConfigError
from edge_harmony.run.redact import remember
from edge_harmony.settings import SETTINGS, Config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES: Final = 1_000_000
_MOST_POINTS: Final = 100  # in a line: the parser's time for a key a.b.c.d grows with their square


def load_config(path: str | Path, base: Config | None = None) -> Config:
    """Read a TOML file over the defaults, or over other settings.

    Raises:
        ConfigError: no such file, not TOML, an unknown section or key (the hint names the nearest), a value of
            another type or out of range.
    """
    sections = read_toml(path, 'write [section] lines and key = value, text in "..."')
    return override(base or Config(), sections, str(path))


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


def _texts(value: Any) -> Iterator[str]:
    """Every text among what a TOML file holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def override(config: Config, sections: Mapping[str, Any], origin: str) -> Config:
    """Return the settings with some replaced.

    Args:
        config: what to start from.
        sections: section name to a mapping of keys to values.
        origin: where they come from (a file's name, "command line"), for messages.

    Raises:
        ConfigError: unknown section or key, wrong type, out of range.
    """
    changed: dict[str, Any] = {}
    known = [f.name for f in dataclasses.fields(config)]
    for name, values in sections.items():
        if name not in known:
            raise unknown(f"{origin}: unknown section: {name!r}", name, known)
        if not isinstance(values, Mapping):
            raise ConfigError(f"{origin}: {name} is a section, not a value", f"write [{name}] and its keys below")
        changed[name] = _override_section(getattr(config, name), name, values, origin)
    return dataclasses.replace(config, **changed)


def parse_value(text: str) -> Any:
    """A value as TOML reads it: a number, true, false; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _override_section(section: Any, name: str, values: Mapping[str, Any], origin: str) -> Any:
    known = [one.name for one in SETTINGS.values() if one.section == name and one.in_file]
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise unknown(f"{origin}: unknown key in [{name}]: {key!r}", key, known)
        checked[key] = SETTINGS[f"{name}.{key}"].check(value, f"{origin}: {name}.{key}")
    return dataclasses.replace(section, **checked)


def unknown(message: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that is none of those known; its hint names the nearest, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return ConfigError(message, f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}")
