"""The tools that make a model all end alike: one line of error and one of hint, and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 by SIGTERM, as of ``edge-harmony``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.run.signals import Terminated, sigterm_as_exception

_STOPPED = "error: stopped\nhint: {}"


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """``-v``, as every command of ``edge-harmony`` has it; hand it to ``exit_code``."""
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done, on standard error")


def exit_code(
    work: Callable[[], int | None],
    stopped: str = "nothing unfinished was left behind; run it again",
    verbose: bool = False,
) -> int:
    """Run ``work`` and turn our errors, Ctrl-C and SIGTERM into messages and an exit code.

    Args:
        work: what the tool does; may return an exit code of its own.
        stopped: the hint for one who stopped it.
        verbose: show what is logged at level INFO.
    """
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", force=True)
        logging.addLevelName(logging.INFO, "info")
    try:
        with sigterm_as_exception():
            return work() or 0
    except EdgeHarmonyError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print(_STOPPED.format(stopped), file=sys.stderr)
        return 130
    except Terminated:
        print(_STOPPED.format(stopped), file=sys.stderr)
        return 143
