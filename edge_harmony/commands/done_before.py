"""Which results of a folder are done and current, so that a second run does only what is left."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_harmony import __version__
from edge_harmony.settings import Config
from edge_harmony.sinks.picture import read_note


class DoneBefore:
    """Compares results with what they would be made from now: each PNG carries a checksum of its sources and settings.

    Args:
        config: the settings.
        options: whatever else the results depend on.
    """

    def __init__(self, config: Config, options: Sequence[Any]) -> None:
        self._how = repr((__version__, dataclasses.asdict(config), [str(option) for option in options]))

    def is_current(self, target: Path, made_from: Sequence[Path]) -> bool:
        """Whether a result is there and was made from these very files, as they are now, in this very way."""
        return read_note(target) == self.note(made_from)

    def note(self, made_from: Sequence[Path]) -> str:
        """What a result made from these files is to carry; "-" where one of them cannot be looked at."""
        try:
            states = [path.stat() for path in made_from]
        except OSError:
            return "-"
        files = [(p.name, s.st_size, s.st_mtime_ns) for p, s in zip(made_from, states, strict=True)]
        return hashlib.sha256(repr((self._how, files)).encode("utf-8", "surrogateescape")).hexdigest()
