"""What a setting may be: the one check of types, ranges and choices, for the runtime's settings and for training's."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, get_args, get_origin

from edge_harmony.errors import ConfigError

_WORDS: Final = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
_LONGEST_TEXT: Final = 4096
_LARGEST: Final = 1e300


def check_value(
    value: Any,
    kind: Any,
    name: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """Return a value in the setting's own type; a whole number is welcome as a float, nothing is clipped.

    Args:
        value: what somebody wants it to be.
        kind: ``float``, ``int``, ``bool``, ``str``, or a tuple of them (``tuple[int, ...]``), as which a list serves.
        name: what to call it in the error.
        low, high: inclusive limits of a number, or of each in a tuple; None is no limit.
        choices: all that a text may be.
        parse: raises ConfigError for a text that means nothing.

    Raises:
        ConfigError: of another kind, out of range, not finite, or none of the choices.
    """
    if kind is float or kind is int:
        return _number(value, kind, name, low, high)
    if kind is bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}", "it must be true or false")
        return value
    if kind is str:
        text = _text(value, name, choices)
        if parse is not None:
            parse(text)
        return text
    assert get_origin(kind) is tuple, f"{name}: no setting is a {kind}"
    kinds = get_args(kind)
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name} is {value!r}", "it must be a list, such as [1, 2]")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ConfigError(f"{name} has {len(value)} values", f"it must have {len(kinds)}")
    return tuple(check_value(v, k, name, low, high, choices) for v, k in zip(value, kinds, strict=True))


def unknown(message: str, name: str, known: Iterable[str], within: str = "") -> ConfigError:
    """The error for a name that is none of those known; its hint names the nearest, or all of them.

    Args:
        message: what was found.
        name: the name.
        known: the names that there are.
        within: the group that they are in, with its point, as in ``matte.``.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return ConfigError(message, f"did you mean {within}{near[0]}?" if near else f"known are: {', '.join(known)}")


def _number(value: Any, kind: type, name: str, low: float | None, high: float | None) -> float | int:
    if not _is_number(value):
        raise ConfigError(f"{name} is {value!r}", f"it must be {_WORDS[kind]}")
    if (low is not None and not value >= low) or (high is not None and not value <= high):  # so written for NaN
        shown = "far out of range" if abs(value) >= 1e9 else value
        words = f"lie in {low:g} .. {high:g}" if high is not None else f"be {low:g} or more"
        raise ConfigError(f"{name} is {shown}", f"it must {words}")
    if not abs(value) <= _LARGEST or (kind is int and value != int(value)):
        raise ConfigError(f"{name} is {value}", f"it must be {_WORDS[kind]}")
    return kind(value)


def _text(value: Any, name: str, choices: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}", "it must be text")
    if choices and value not in choices:
        near = difflib.get_close_matches(value, choices, 1)
        raise ConfigError(f"{name} is {value[:100]!r}", f"use one of: {', '.join(near or choices)}")
    if len(value) > _LONGEST_TEXT or "\0" in value:
        raise ConfigError(f"{name} is {len(value)} characters of no use", "name a file or a colour")
    return value


def _is_number(value: Any) -> bool:
    """Whether it is a number, NumPy's too; true and false are none."""
    if type(value) in (float, int):  # the way of nearly all, once for every setting and frame
        return True
    return not isinstance(value, bool) and isinstance(value, numbers.Real)
