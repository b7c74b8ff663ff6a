"""Compiling a full-resolution pass once per machine: numba's cache, and what to do where it cannot be kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from numba import njit

from edge_harmony.stop_signals import StopSignals

_log = logging.getLogger(__name__)


def compile_pass(function: Callable[..., Any], *signatures: Any, fastmath: set[str] | bool = False) -> Any:
    """Compile a function that lets go of the interpreter lock.

    The machine code is kept beside the function's source file, or where that is read-only in the user's cache folder
    (``NUMBA_CACHE_DIR`` overrides both). It is found again by that file's age alone: a constant imported from another
    file must be passed as an argument, or it stays as it was.

    Args:
        function: plain loops, as numba takes them.
        signatures: numba's types of result and arguments; compiled now, not on the first call.
        fastmath: LLVM's permissions, as numba takes them; none by default.

    Returns:
        What is called in the function's place.
    """
    with StopSignals():  # the compiler calls back into Python, where a KeyboardInterrupt would be lost
        try:
            return njit(*signatures, nogil=True, cache=True, fastmath=fastmath)(function)
        except RuntimeError as error:  # numba found no folder that it may write to
            _log.warning(
                "compiling %s anew, it cannot be kept: %s; set NUMBA_CACHE_DIR to a folder that can be written to",
                function.__name__.strip("_"),
                error,
            )
            return njit(*signatures, nogil=True, fastmath=fastmath)(function)
