"""The door through which every text of a command goes out: no secret passes it, and no text is refused."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from typing import Any

from edge_harmony.run.redact import redact


@contextlib.contextmanager
def terminal() -> Generator[None]:
    """Stand at standard output and standard error for as long as a command runs.

    - Secrets are taken out of what is written (``redact``).
    - What the terminal's encoding does not have, such as a file name that is no text, is written as ``\\udcff``.
    - Standard error may be closed or full: a message that nobody can read stops no work.
    - A stream that was closed from the start is the null device, so that no file of ours takes its number, into which
      libraries write their messages.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:
        out, err = (stream or opened.enter_context(open(os.devnull, "w")) for stream in before)
        sys.stdout, sys.stderr = _Redacted(out), _Redacted(err, forgiving=True)  # type: ignore[assignment]
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def forget_output() -> None:
    """Let standard output end nowhere from now on: its reader has left, or there is no room for it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Redacted:
    """A text stream before another one."""

    def __init__(self, stream: Any, forgiving: bool = False) -> None:
        self._stream = stream
        self._forgiving = (OSError, ValueError) if forgiving else ()

    def write(self, text: str) -> int:
        clean = redact(text)
        try:
            try:
                self._stream.write(clean)
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                self._stream.write(clean.encode(encoding, "backslashreplace").decode(encoding))
        except self._forgiving:
            pass
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with contextlib.suppress(*self._forgiving):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
