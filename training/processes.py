"""The processes that train one run together: what one of them cannot do ends them all, and they begin from one state.

A process that ends by itself leaves the others waiting for it. So whatever may fail on one machine alone, where a
folder or a file differs, is done through ``Processes``, which tells the others.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from edge_harmony import __version__
from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.run.child_process import first_line

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """All processes of a run, seen from one of them.

    Attributes:
        count: how many there are.
        rank: which one this is; 0 writes the run's folder.
    """

    count: int
    rank: int

    def together(self, work: Callable[[], Value]) -> Value:
        """Do the same on every process.

        Raises:
            Whatever ``work`` raises here; ``EdgeHarmonyError`` where it went well, but not on another one.
        """
        error: Exception | None = None
        value: Any = None
        try:
            value = work()
        except Exception as caught:
            error = caught
        failed = {rank: words for rank, words in enumerate(self._gather(_words(error))) if words is not None}
        if error is not None:
            raise error
        for rank, (host, message, hint) in failed.items():
            raise EdgeHarmonyError(f"process {rank} on {host}: {message}", hint)
        return value

    def from_first(self, work: Callable[[], Value]) -> Value:
        """Do it on process 0 alone, and give what comes of it to all.

        Raises:
            As ``together``.
        """
        value = self.together(lambda: work() if self.rank == 0 else None)
        if not self._talk:
            return value  # pyright: ignore[reportReturnType]
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Make sure that all processes hold the same.

        Args:
            facts: what it is called, and what it is here; compared as JSON.

        Raises:
            ConfigError: on every process, naming what differs and where.
        """
        ours = {name: json.dumps(fact, sort_keys=True, default=str) for name, fact in facts.items()}
        said = self._gather((platform.node(), ours))
        host, first = said[0]
        for rank, (other, theirs) in enumerate(said):
            for name in first:
                if theirs.get(name) != first[name]:
                    raise ConfigError(
                        f"process {rank} on {other} has another {name} than process 0 on {host}: "
                        f"{_difference(theirs.get(name, 'nothing'), first[name])}",
                        "give the same command, files and version of the code to every node",
                    )

    @property
    def _talk(self) -> bool:
        return self.count > 1 and dist.is_initialized()

    def _gather(self, value: Any) -> list[Any]:
        if not self._talk:
            return [value]
        box: list[Any] = [None] * self.count
        dist.all_gather_object(box, value)
        return box


@functools.cache
def code_version() -> str:
    """The package's version, PyTorch's, and a digest of the training code."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{__version__} ({digest.hexdigest()[:12]}), PyTorch {torch.__version__}"


def file_digest(path: Path | None) -> str:
    """SHA-256 of a file's content; "" for None."""
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def text_digest(texts: Sequence[str]) -> str:
    """Twelve letters of the SHA-256 of some texts in their order."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _words(error: Exception | None) -> tuple[str, str, str] | None:
    if error is None:
        return None
    if isinstance(error, EdgeHarmonyError):
        return platform.node(), error.message, error.hint
    return platform.node(), first_line(error), "see what that process says"


def _difference(one: str, two: str) -> str:
    """Where two JSON texts differ, in short."""
    a, b = json.loads(one) if one != "nothing" else None, json.loads(two)
    if isinstance(a, dict) and isinstance(b, dict):
        for name in sorted({*a, *b}):
            if a.get(name) != b.get(name):
                nested = isinstance(a.get(name), dict) and isinstance(b.get(name), dict)
                inner = _difference(json.dumps(a[name]), json.dumps(b[name])) if nested else ""
                return f"{name}.{inner}" if nested else f"{name} is {a.get(name)!r}, not {b.get(name)!r}"
    return f"{a!r}, not {b!r}"
