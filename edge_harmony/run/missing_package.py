"""What is said where a package that a command needs is not installed: which it is, and what brings it."""

from __future__ import annotations

from collections.abc import Iterator
from traceback import walk_tb
from typing import Final

_TRAIN: Final = "pip install 'edge-harmony[train]', or '.[train]' where its source is"
_EXPORT: Final = "pip install 'edge-harmony[export]', or '.[export]' where its source is"
_BROUGHT_BY: Final = {  # by command, else by the package of commands
    "training.matte.teacher": "make an environment of its own for it; python -m pydoc training.matte.teacher says how",
    "training": _TRAIN,
    "export": _EXPORT,
    "calibration": _EXPORT,
}


def words_on_missing(error: ImportError) -> tuple[str, str] | None:
    """A message and a hint for an import that failed in a command that makes models; None for any other, which is a bug
    or has words of its own.

    Args:
        error: as it was caught, with its traceback; the outermost module of such a command tells what it needs.
    """
    name = error.name or str(error)
    package, _, inside = name.partition(".")
    if package == "edge_harmony" or (package in _BROUGHT_BY and inside):
        return None
    for module, command in _modules(error):
        hint = _BROUGHT_BY.get(module) or _BROUGHT_BY.get(command)
        if hint:
            return f"{module} needs {name}, which cannot be imported", hint
    return None


def _modules(error: ImportError) -> Iterator[tuple[str, str]]:
    """The modules that the error came through, from the outermost on, with the package at the top of each."""
    for frame, _ in walk_tb(error.__traceback__):
        spec = frame.f_globals.get("__spec__")  # a module that runs as a command is __main__ by its name alone
        module = spec.name if spec is not None else frame.f_globals.get("__name__", "")
        yield module, module.partition(".")[0]
