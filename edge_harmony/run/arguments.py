"""How every command reads its words: errors that look like all our errors, numbers and sizes with a range."""

from __future__ import annotations

import argparse
import difflib
import logging
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from edge_harmony.errors import ConfigError
from edge_harmony.run.exit_code import print_error

# argparse has no public names for what its methods give and take.
Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"  # pyright: ignore[reportPrivateUsage]
Options: TypeAlias = argparse._ActionsContainer  # pyright: ignore[reportPrivateUsage]  # a parser, or a group of one


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like all our errors, and which never abbreviates."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        hint = f"'{self.prog} --help' shows every option, with examples"
        if unknown:
            near = difflib.get_close_matches(unknown[1], list(self._option_string_actions), 1)
            if near:
                hint = f"did you mean {near[0]}? '{self.prog} --help' shows every option"
        print_error(message, hint)
        raise SystemExit(2)


class _Verbose(argparse.Action):
    def __call__(self, *_: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", force=True)
        logging.addLevelName(logging.INFO, "info")


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """``-v``, for a command that sets up no log of its own."""
    parser.add_argument("-v", "--verbose", action=_Verbose, nargs=0, help="say what is done, on standard error")


def whole(low: int, high: int = 10**9) -> Callable[[str], int]:
    """The ``type`` of an option that is a whole number from ``low`` to ``high``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        return _within(value, low, high)

    return read


def number(low: float, high: float = 1e9) -> Callable[[str], float]:
    """The ``type`` of an option that is a number from ``low`` to ``high``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{text!r} is no number")
        return _within(value, low, high)

    return read


def size(low: int = 1, high: int = 99_999) -> Callable[[str], tuple[int, int]]:
    """The ``type`` of an option that is a size; see ``parse_size``."""

    def read(text: str) -> tuple[int, int]:
        try:
            return parse_size(text, low, high)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(f"{error.message}; {error.hint}") from None

    return read


def parse_size(text: str, low: int = 1, high: int = 99_999) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` in pixels, both sides from ``low`` to ``high``, to height and width.

    Raises:
        ConfigError: anything else.
    """
    match = re.fullmatch(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})", text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no size", "write WIDTHxHEIGHT, as 1280x720")
    width, height = int(match[1]), int(match[2])
    if min(width, height) < low or max(width, height) > high:
        raise ConfigError(f"the size {text} is out of range", f"both sides must be from {low} to {high} pixels")
    return height, width


def _within(value: Any, low: float, high: float) -> Any:
    if not low <= value <= high:
        bounds = f"{low:g} or more" if value < low else f"{high:g} or less"
        raise argparse.ArgumentTypeError(f"{value:g} is out of range: it must be {bounds}")
    return value
