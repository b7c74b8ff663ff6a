"""One frame of any source, for pictures made of a camera or stream."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from edge_harmony.capture.select import open_source
from edge_harmony.errors import SourceError
from edge_harmony.pixels.frame import Alpha, Frame

_SETTLE_S: Final = 1.0  # for a camera's exposure


def names_live_source(spec: str) -> bool:
    """Whether a picture's name means a camera, a stream, a pipeline or the test pattern instead."""
    if Path(spec).exists():
        return False
    return spec.isdigit() or spec.startswith(("/dev/", "test:")) or "://" in spec or " ! " in spec


def grab_frame(spec: str) -> tuple[Frame, Alpha | None]:
    """One frame of a source, and its alpha where it has one; a camera is first given a second to settle.

    Raises:
        SourceError: it cannot be opened, or gives no frame.
    """
    with open_source(spec) as source, source.reading() as frames:
        first_s = time.monotonic()
        for frame in frames:
            if not source.reconnects or time.monotonic() - first_s > _SETTLE_S:
                return frame.image_bgr, frame.alpha
    raise SourceError(f"{spec} gives no frame", "is it in use by another program?")
