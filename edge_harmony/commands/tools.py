"""``edge-harmony train``, ``calibrate`` and ``build``: the same as ``python -m`` with the module that does it.

What makes models is no part of the runtime, which never imports it: the module is looked for by its name, when it is
asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Final

from edge_harmony.errors import ConfigError

# By command, then by its first word where there are several: the module.
TOOLS: Final = {
    "train": {"": "training.train"},
    "calibrate": {
        "collect": "calibration.collect",
        "ranges": "calibration.ranges",
        "quantize": "calibration.quantize",
    },
    "build": {"": "export.build_engine"},
}


def run(command: str, words: Sequence[str]) -> int:
    """Run one of ``TOOLS`` with the words after its name, and return its exit code.

    Raises:
        ConfigError: the command has parts, and none was named.
        ImportError: a package that it needs is not installed.
    """
    parts = TOOLS[command]
    if "" in parts:
        module = parts[""]
    elif words and words[0] in parts:
        module = parts[words[0]]
        words = words[1:]
    else:
        raise ConfigError(
            f"edge-harmony {command} {words[0] if words else ''}".strip() + ": there is no such part",
            f"say edge-harmony {command} " + ", ".join(parts),
        )
    return importlib.import_module(module).main(list(words))
