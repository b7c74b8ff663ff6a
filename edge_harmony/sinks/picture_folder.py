"""Numbered pictures in a folder."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SinkError
from edge_harmony.run.whole_file import unwritable
from edge_harmony.sinks.picture import check_suffix, write_picture

DEFAULT_NAME: Final = "%06d.png"
_NUMBER: Final = re.compile(r"%0?(\d*)d")


class PictureFolder:
    """Writes every picture to a file of its own, numbered from 0; a ``LiveSink``.

    Each appears only when it is whole, so all that is there can be used, whenever it ends. Pictures may differ in size.

    Attributes:
        frames_written: how many there are.
    """

    records = True

    def __init__(
        self, pattern: str | Path, *, overwrite: bool = False, lossless: bool = False, alpha: bool = False
    ) -> None:
        """Take the names.

        Args:
            pattern: ``FOLDER/%05d.png``: the number's place; any picture format we write. ``FOLDER/`` means
                ``FOLDER/%06d.png``. The folder is made if need be.
            overwrite: whether pictures of those names may be replaced.
            lossless: whether whoever writes waits, rather than dropping pictures.
            alpha: whether it takes the subject alone with its alpha, BGRA.

        Raises:
            SinkError: no number or several in the name, or a suffix that is no picture.
        """
        text = str(pattern)
        if text.endswith(("/", "\\")):
            text += DEFAULT_NAME
        self._folder, self._name = Path(text).parent, Path(text).name
        if len(_NUMBER.findall(self._name)) != 1 or "%" in _NUMBER.sub("", self._name):
            raise SinkError(f"{pattern}: the name needs one place for a number", "write it as FOLDER/%05d.png")
        if "%" in str(self._folder):
            raise SinkError(f"{pattern}: numbers belong into the file's name", "write it as FOLDER/%05d.png")
        check_suffix(self._name, alpha)
        self.name = text
        self.alpha = alpha
        self.lossless = lossless
        self._overwrite = overwrite
        self.frames_written = 0

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        """Make the folder; see ``LiveSink``. ``SinkError`` when pictures of such names are there already."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            taken = [] if self._overwrite else [path.name for path in self.present()]
        except OSError as error:
            raise unwritable(self._folder, error) from error
        if taken:
            raise SinkError(
                f"{self._folder} holds pictures of such names already, such as {min(taken)}",
                "name another folder, or pass --overwrite",
            )

    def present(self) -> list[Path]:
        """Pictures of such names that are there already; raises OSError where the folder cannot be read."""
        if not self._folder.is_dir():
            return []
        return [path for path in self._folder.iterdir() if self._is_ours(path.name)]

    def write(self, image_bgr: NDArray[np.uint8], pts_s: float) -> None:
        """Write one picture; see ``LiveSink``."""
        write_picture(self._folder / (self._name % self.frames_written), image_bgr, self._overwrite)
        self.frames_written += 1

    def close(self) -> None:
        """Nothing is left to do."""

    def abort(self) -> None:
        """Nothing is left to do: every picture that is there is whole."""

    def _is_ours(self, name: str) -> bool:
        before, after = _NUMBER.split(self._name)[0], _NUMBER.split(self._name)[-1]
        middle = name[len(before) : len(name) - len(after)]
        return name.startswith(before) and name.endswith(after) and middle.isdecimal()
