"""edge_harmony: place a cut-out subject into a new background so that its colour and light belong there.

    import cv2, edge_harmony

    harmonizer = edge_harmony.load_harmonizer()
    harmonized_bgr = harmonizer(composite_bgr, mask)  # any size, any frame rate, only the mask's pixels change

Frames are uint8 (H, W, 3) BGR as OpenCV reads them; masks are uint8 (H, W), 255 where the subject is. Names are
loaded when they are first used: importing the package needs NumPy and OpenCV only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_harmony.compose.compositor import Compositor
    from edge_harmony.errors import (
        BackendUnavailableError,
        ConfigError,
        EdgeHarmonyError,
        EngineMismatchError,
        MatteError,
        ModelError,
        SinkError,
        SourceError,
    )
    from edge_harmony.harmonize.base import Harmonizer
    from edge_harmony.harmonize.load import load_harmonizer
    from edge_harmony.matte import open_matte

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailableError",
    "Compositor",
    "ConfigError",
    "EdgeHarmonyError",
    "EngineMismatchError",
    "Harmonizer",
    "MatteError",
    "ModelError",
    "SinkError",
    "SourceError",
    "__version__",
    "load_harmonizer",
    "open_matte",
]

_HOMES = {
    "Compositor": "edge_harmony.compose.compositor",
    "Harmonizer": "edge_harmony.harmonize.base",
    "load_harmonizer": "edge_harmony.harmonize.load",
    "open_matte": "edge_harmony.matte",
}
_ERRORS = "edge_harmony.errors"


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, _ERRORS)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
