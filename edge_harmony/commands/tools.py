"""``edge-harmony train``, ``calibrate`` and ``build``: the same as ``python -m`` with the module that does it.

What makes models is no part of the runtime, which never imports it: the module is looked for by its name, when it is
asked for, and what is missing is said.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Final

from edge_harmony.errors import BackendUnavailableError, ConfigError

# By command, then by its first word where there are several: the module, and the extra that brings what it needs.
TOOLS: Final = {
    "train": {"": ("training.train", "train")},
    "calibrate": {
        "collect": ("calibration.collect", "export"),
        "ranges": ("calibration.ranges", "export"),
        "quantize": ("calibration.quantize", "export"),
    },
    "build": {"": ("export.build_engine", "export")},
}


def run(command: str, words: Sequence[str]) -> int:
    """Run one of ``TOOLS`` with the words after its name, and return its exit code.

    Raises:
        ConfigError: the command has parts, and none was named.
        BackendUnavailableError: a package that it needs is not installed.
    """
    parts = TOOLS[command]
    if "" in parts:
        module, extra = parts[""]
    elif words and words[0] in parts:
        module, extra = parts[words[0]]
        words = words[1:]
    else:
        raise ConfigError(
            f"edge-harmony {command} {words[0] if words else ''}".strip() + ": there is no such part",
            f"say edge-harmony {command} " + ", ".join(parts),
        )
    try:
        tool = importlib.import_module(module)
    except ImportError as error:
        raise BackendUnavailableError(
            f"edge-harmony {command} needs {error.name or error}, which cannot be imported",
            f"pip install 'edge-harmony[{extra}]', or '.[{extra}]' where its source is",
        ) from error
    return tool.main(list(words))
