"""Run one of our functions in a process of its own, so that whatever it loads cannot take us with it.

A GPU library may crash, hang or leave gigabytes behind; in another process each of these becomes a reason in words.
Uses the standard library alone.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_harmony.errors import EdgeHarmonyError

_MARK = "\x1eedge-harmony\x1e"  # before the answer on standard output, where libraries chat too
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edge_harmony.run.child_process import _answer; _answer(sys.argv[2], sys.argv[3])"
)


@dataclass(frozen=True)
class Answer:
    """What came of it: a value, or a reason why there is none."""

    value: Any = None
    reason: str = ""  # empty when there is a value
    hint: str = ""  # of a deliberate error
    crashed: bool = False  # the process died or had to be ended, rather than raised


def call(
    function: str,
    arguments: Mapping[str, Any] | None = None,
    timeout_s: float = 20.0,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """Call ``function(**arguments)`` in a new Python process with this one's module path.

    Args:
        function: as ``package.module:name``.
        arguments: anything JSON holds; the function's result has to be such too.
        timeout_s: seconds after which the process is ended.
        environment: variables set on top of ours.

    Returns:
        The value, or the reason: an exception in one line, the signal of a crash with the last line that the process
        wrote, or the time-out. Raises nothing for anything that happens in the other process.
    """
    command = [sys.executable, "-c", _BOOT, json.dumps(sys.path), function, json.dumps(dict(arguments or {}))]
    try:
        child = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        return Answer(reason=f"no process can be started: {error.strerror}", crashed=True)
    try:
        out, err = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return Answer(reason=f"no answer within {timeout_s:.0f} s", crashed=True)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    _, mark, answer = out.rpartition(_MARK)
    if mark:
        return Answer(**json.loads(answer.splitlines()[0]))
    return Answer(reason=_how_it_ended(child.returncode, err), crashed=True)


def first_line(error: BaseException) -> str:
    """An exception in one line, of at most 300 characters."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _answer(function: str, arguments: str) -> None:  # pyright: ignore[reportUnusedFunction]
    """The other process: call and print the answer."""
    module, _, name = function.partition(":")
    try:
        value = getattr(importlib.import_module(module), name)(**json.loads(arguments))
        answer = {"value": value}
    except EdgeHarmonyError as error:
        answer = {"reason": error.message, "hint": error.hint}
    except (Exception, SystemExit) as error:
        answer = {"reason": first_line(error)}
    print(f"\n{_MARK}{json.dumps(answer)}", flush=True)
    os._exit(0)  # what was answered holds, even if a library would crash on its way out


def _how_it_ended(code: int, err: str) -> str:
    if code < 0:
        try:
            how = f"crashed ({signal.Signals(-code).name})"
        except ValueError:
            how = f"crashed (signal {-code})"
    else:
        how = f"ended with exit code {code}"
    lines = err.strip().splitlines()
    return f"{how}: {' '.join(lines[-1].split())[:200]}" if lines else how
