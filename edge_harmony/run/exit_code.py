"""Every command ends alike, whatever happens: one line of error and one of hint, and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or a package that is missing, 3 done although something in the source was
damaged or missing (warnings say what), 129 stopped by SIGHUP (the terminal was closed), 130 by Ctrl-C, 143 by SIGTERM.
A traceback is shown on demand alone.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Final

from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.run.missing_package import words_on_missing
from edge_harmony.run.redact import redact, remembering
from edge_harmony.run.signals import Terminated, stop_signals_as_exceptions
from edge_harmony.run.terminal import forget_output, terminal

UNFINISHED: Final = "nothing unfinished was left behind; run the command again to start over"

_HINTS: Final = {
    errno.EACCES: "ask for the permission, or name a place that is yours",
    errno.EPERM: "ask for the permission, or name a place that is yours",
    errno.EROFS: "name a place that can be written to",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ENOSPC: "free some space, or name another disk",
    errno.EDQUOT: "free some of your space, or name another disk",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: what is named as a folder is a file",
    errno.EISDIR: "name a file, not a folder",
    errno.EMFILE: "raise the limit on open files (ulimit -n), or do less at once",
    errno.ENFILE: "close other programs",
    errno.ELOOP: "the links lead in a circle: name the file itself",
    errno.EIO: "the disk or the device fails: try another",
}


def exit_code(work: Callable[[], int | None], stopped: str = UNFINISHED, debug: bool = False) -> int:
    """Run ``work`` and turn its errors and the signals that stop it into messages and an exit code.

    Args:
        work: what the command does; may return an exit code of its own.
        stopped: the hint for one who stopped it.
        debug: whether a traceback is shown, too; the environment's EDGE_HARMONY_DEBUG has the same effect.
    """
    with remembering(sys.argv[1:]), terminal():
        try:
            with stop_signals_as_exceptions():
                return work() or 0
        except SystemExit as stop:  # wrong usage, --help
            return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 2
        except BaseException as error:
            if debug or os.environ.get("EDGE_HARMONY_DEBUG"):
                traceback.print_exc()
            return _ended(error, stopped)


def missing_packages_in_words() -> None:
    """Have ``python -m PACKAGE.COMMAND`` end alike where it cannot import what it needs.

    Called by the package of the commands when it is imported: that, and all that the command's module imports, comes
    before any code of the command could catch an error. Where the package is imported otherwise, nothing is changed.
    """
    if sys.argv[:1] == ["-m"]:  # so Python marks that it still looks for the module to run
        sys.excepthook = _uncaught


def print_error(message: str, hint: str = "") -> None:
    """Print one line of error and, if there is one, one of hint, on standard error."""
    print(f"error: {redact(' '.join(message.split()))}", file=sys.stderr)
    if hint:
        print(f"hint: {redact(' '.join(hint.split()))}", file=sys.stderr)


def words_of(error: OSError) -> tuple[str, str]:
    """What the system refused, and what to do about it: a message and a hint."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    name = _shortened(names[-1]) if names else ""
    words = error.strerror or str(error) or type(error).__name__
    return f"{name}: {words}" if name else words, _HINTS.get(error.errno or 0, "check the path and the device")


def _ended(error: BaseException, stopped: str) -> int:
    if isinstance(error, EdgeHarmonyError):
        print_error(error.message, error.hint)
        return 2 if isinstance(error, ConfigError) else 1
    if isinstance(error, KeyboardInterrupt):
        _forget_interrupt()
        print_error("stopped by Ctrl-C", stopped)
        return 130
    if isinstance(error, Terminated):
        print_error(f"stopped by {error.name}", stopped)
        return error.exit_code
    if isinstance(error, BrokenPipeError):  # the reader of our output went away
        forget_output()
    elif isinstance(error, MemoryError):
        print_error("out of memory", "use smaller pictures, or close other programs")
    elif isinstance(error, ImportError) and (words := words_on_missing(error)):
        print_error(*words)
        return 2
    elif isinstance(error, OSError):
        print_error(*words_of(error))
    elif isinstance(error, Exception):
        stop = _stop_behind(error)
        if stop is not None:
            return _ended(stop, stopped)
        print_error(
            f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            "this is a bug of edge-harmony; report what it prints with --debug, or with EDGE_HARMONY_DEBUG=1",
        )
    else:
        raise error
    return 1


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ImportError) and words_on_missing(error):

        def again() -> None:
            raise error

        sys.exit(exit_code(again))
    sys.__excepthook__(kind, error, trace)


def _stop_behind(error: BaseException) -> BaseException | None:
    """The signal in whose clean-up an unexpected error was raised: one that comes while a lock is waited for, or a
    second one, leaves locks and threads in a state that is nobody's fault.
    """
    seen = error.__context__
    while seen is not None and not isinstance(seen, (KeyboardInterrupt, Terminated)):
        seen = seen.__context__
    return seen


def _shortened(name: str) -> str:
    return name if len(name) <= 200 else f"{name[:120]}...{name[-60:]}"


def _forget_interrupt() -> None:
    """Make the exit code ours again after Ctrl-C.

    When KeyboardInterrupt passes through ``eval`` or ``exec`` of a text (NumPy and dataclasses make functions so),
    CPython notes it as unhandled, even if it is caught further out, and ends the process by SIGINT whatever code it
    exits with. The next evaluation of a text clears that note.
    """
    eval("0")
