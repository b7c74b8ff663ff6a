"""What a command says at its end when the result is there, but not all of the source could be used."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

_log = logging.getLogger(__name__)

INCOMPLETE: Final = 3  # exit code: done, but something in the source was damaged, missing or had to be left out


def report_faults(found: Sequence[str], said_before: Sequence[str] = ()) -> int:
    """Say what was damaged or missing, a line each, and give the exit code.

    Args:
        found: sentences, each once.
        said_before: others that were logged when they happened.
    """
    for words in dict.fromkeys(found):
        _log.warning("%s", words)
    return INCOMPLETE if found or said_before else 0
