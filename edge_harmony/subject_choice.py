"""Who is the subject, of several people: what ``--subject``, the configuration and the page say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_harmony.errors import ConfigError

WORDS: Final = ("all", "largest", "centre")


@dataclass(frozen=True)
class SubjectChoice:
    """Who is the subject.

    Attributes:
        rule: ``all``, ``largest``, ``centre`` (nearest to the picture's centre) or ``point``.
        point: x and y as shares of the picture's width and height, for ``point``.
    """

    rule: str = "all"
    point: tuple[float, float] = (0.5, 0.5)

    @classmethod
    def parse(cls, text: str) -> SubjectChoice:
        """``all``, ``largest``, ``centre`` or ``X,Y``, shares of width and height such as ``0.3,0.5``.

        Raises:
            ConfigError: none of these.
        """
        word = text.strip().lower().replace("center", "centre")
        if word in WORDS:
            return cls(word)
        try:
            x, y = (float(part) for part in word.split(","))
        except ValueError:
            x = y = -1.0
        if 0.0 <= x <= 1.0 and 0.0 <= y <= 1.0:
            return cls("point", (x, y))
        raise ConfigError(
            f"the subject is {text[:60]!r}", f"use {', '.join(WORDS)}, or X,Y as shares of the picture: 0.3,0.5"
        )
