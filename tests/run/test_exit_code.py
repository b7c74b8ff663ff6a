"""How a command ends: its own errors, those of nobody, and those that a signal's clean-up brings about."""

from __future__ import annotations

import signal

import pytest

from edge_harmony.errors import ConfigError, SinkError
from edge_harmony.run.exit_code import exit_code
from edge_harmony.run.signals import Terminated


def fails(error: BaseException, meanwhile: BaseException | None = None) -> int:
    def work() -> None:
        if meanwhile is None:
            raise error
        try:
            raise meanwhile
        finally:
            raise error

    return exit_code(work)


@pytest.mark.parametrize(
    ("error", "meanwhile", "code", "words"),
    [
        (ConfigError("a", "b"), None, 2, "error: a\nhint: b\n"),
        (SinkError("a", "b"), None, 1, "error: a\nhint: b\n"),
        (SinkError("a", "b"), Terminated(signal.SIGTERM), 1, "error: a\nhint: b\n"),
        (RuntimeError("a"), None, 1, "error: unexpected RuntimeError: a\nhint: this is a bug"),
        (RuntimeError("release unlocked lock"), Terminated(signal.SIGTERM), 143, "error: stopped by SIGTERM\n"),
        (RuntimeError("release unlocked lock"), KeyboardInterrupt(), 130, "error: stopped by Ctrl-C\n"),
        (RuntimeError("a"), ValueError("b"), 1, "error: unexpected RuntimeError: a\n"),
    ],
)
def test_ends(
    error: BaseException, meanwhile: BaseException | None, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails(error, meanwhile) == code
    assert capsys.readouterr().err.startswith(words)
