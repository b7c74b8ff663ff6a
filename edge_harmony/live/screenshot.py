"""Screenshots: written in a thread, so that the stream does not wait for the disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from edge_harmony.errors import SinkError
from edge_harmony.pixels.frame import Frame
from edge_harmony.sinks.picture import write_picture


class Screenshots:
    """Saves pictures as PNG under the time of day; each appears under its name only when it is whole.

    Args:
        folder: where to.
        say: told the file's name, or why there is none.
    """

    def __init__(self, folder: str | Path, say: Callable[[str], None]) -> None:
        self._folder = Path(folder)
        self._say = say
        self._writer: ThreadPoolExecutor | None = None

    def save(self, image_bgr: Frame) -> None:
        """Save a picture soon: uint8 (H, W, 3), which must not be changed any more."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "edge-harmony screenshot")
        name = datetime.now().strftime("edge-harmony-%Y%m%d-%H%M%S-%f")[:-3] + ".png"
        self._writer.submit(self._write, self._folder / name, image_bgr)

    def close(self) -> None:
        """Wait for what is being written; may be called twice."""
        if self._writer is not None:
            self._writer.shutdown(wait=True)

    def _write(self, path: Path, image_bgr: Frame) -> None:
        try:
            write_picture(path, image_bgr)
        except SinkError as error:
            self._say(f"no screenshot: {error.message}")
        else:
            self._say(f"saved {path}")
