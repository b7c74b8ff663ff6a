"""What a user should know though nothing is wrong: said once, in the log between information and warning."""

from __future__ import annotations

import logging
from typing import Final

NOTE: Final = 25  # the command line shows it as ``note:``

logging.addLevelName(NOTE, "note")


def note(logger: logging.Logger, text: str, *args: object) -> None:
    """Log at the level ``NOTE``; formatted as ``logging`` does."""
    logger.log(NOTE, text, *args)
