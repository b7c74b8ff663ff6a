"""Every tool here ends alike: one line of error and one of hint, exit 2 for usage, 1 for failure, 130 for Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable

from edge_harmony.errors import ConfigError, EdgeHarmonyError


def exit_code(work: Callable[[], None]) -> int:
    """Run ``work`` and turn our errors, and Ctrl-C, into messages and an exit code."""
    try:
        work()
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("error: stopped\nhint: nothing unfinished was left behind; run it again", file=sys.stderr)
        return 130
    return 0
