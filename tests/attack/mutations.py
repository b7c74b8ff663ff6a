"""Damaged versions of a file: bits flipped, bytes replaced, pieces cut out, doubled, moved, or the end missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"9" * 40, b"null", b"[]", b"{}", b'""', b"true", b"[" * 3000, b"\xff")


def mutations(data: bytes, count: int, seed: int = 0, first: int | None = None) -> Iterator[bytes]:
    """``count`` of them, the same ones for a seed; ``first`` bytes are where most of the damage is done."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        made = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            _damage(made, rng, min(len(made), first or len(made)))
        yield bytes(made)


def _damage(data: bytearray, rng: np.random.Generator, first: int) -> None:
    if not data:
        return
    span = first if rng.random() < 0.9 else len(data)
    at = int(rng.integers(span))
    length = int(min(len(data) - at, 2 ** rng.integers(0, 8)))
    kind = rng.integers(7)
    if kind == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[at : at + length] = rng.bytes(length)
    elif kind == 2:
        del data[at : at + length]
    elif kind == 3:
        data[at:at] = data[at : at + length]
    elif kind == 4:
        del data[at:]
    elif kind == 5:
        data[at : at + length] = _NUMBERS[rng.integers(len(_NUMBERS))]
    else:
        to = int(rng.integers(span))
        data[to : to + length] = data[at : at + length]
