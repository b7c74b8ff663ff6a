"""How much is tried: a short run with the other tests, a long one by hand.

EDGE_HARMONY_ATTACK=long python -m pytest tests/attack
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

LONG: Final = os.environ.get("EDGE_HARMONY_ATTACK") == "long"

T = TypeVar("T")


def many(short: int, long: int) -> int:
    """A number of tries."""
    return long if LONG else short


def some(things: Sequence[T], index: int, short: int = 1) -> Sequence[T]:
    """All of them in a long run; in a short one a few, others for each index."""
    return things if LONG else [things[(index + step) % len(things)] for step in range(min(short, len(things)))]
