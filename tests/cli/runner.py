"""Runs the real command line and holds every failure to its form."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_harmony.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line left."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error line; fails unless standard error is exactly one error line and one hint line."""
        lines = self.err.splitlines()
        assert len(lines) == 2, self.err
        assert lines[0].startswith("error: "), self.err
        assert lines[1].startswith("hint: "), self.err
        assert len(lines[1]) > len("hint: ")
        return lines[0]

    @property
    def hint(self) -> str:
        """The hint line, of the same two."""
        assert self.error
        return self.err.splitlines()[1]


def run(*arguments: object) -> Outcome:
    """Run ``edge-harmony`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start ``edge-harmony`` as a process of its own, so that it can be sent signals."""
    return subprocess.Popen(
        [sys.executable, "-m", "edge_harmony", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def names(folder: Path) -> set[str]:
    """The names of everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}
