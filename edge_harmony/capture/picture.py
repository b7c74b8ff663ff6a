"""Pictures: one file, or a sequence of them in a folder or of a pattern."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.decode_picture import decode_picture
from edge_harmony.capture.kind import PICTURE_SUFFIXES, is_picture, literal_pattern
from edge_harmony.capture.source import Source, TimedFrame, require_file
from edge_harmony.errors import SourceError

_LOOKS: Final = 5  # pictures of a sequence that are looked at for an alpha channel
DEFAULT_RATE: Final = Fraction(25)  # frames a second of a sequence of pictures


def read_picture(path: str | Path, *, mask: bool = False) -> NDArray[np.uint8]:
    """Read a picture, upright and in sRGB.

    Args:
        path: a file in any format that ``decode_picture`` reads.
        mask: whether its values are what counts, as of a mask: see ``decode_picture``.

    Returns:
        uint8 (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA with straight alpha; an opaque alpha channel is left away.

    Raises:
        SourceError: no such file, not a picture, cut short, or in floating point.
        BackendUnavailableError: a library for its format is missing.
    """
    path = require_file(Path(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    return decode_picture(data, str(path), mask=mask)


def read_colour(path: str | Path) -> NDArray[np.uint8]:
    """Read a colour picture: uint8 (H, W, 3) BGR; a grey one has three equal channels.

    Raises:
        SourceError: as ``read_picture``; and for one with an alpha channel that says something, because dropping it
            silently hides a mistake.
    """
    image = read_picture(path)
    if image.ndim == 2:
        return _in_colour(image)
    if image.shape[2] == 4:
        raise SourceError(
            f"{path} has an alpha channel (RGBA); a picture without one is needed here",
            "flatten it first: magick IN -alpha off OUT.png; as a foreground for --bg, its alpha is used",
        )
    return image


class PictureSequence(Source):
    """Pictures shown one after the other, one size, each for ``1 / rate`` seconds.

    Where pictures have an alpha channel that says something, frames have an ``alpha``. Nothing but a few pictures is
    read before it is asked for.
    """

    def __init__(self, paths: Sequence[Path], rate: Fraction = DEFAULT_RATE, name: str | None = None) -> None:
        """Take the files in the order given; raises ``SourceError`` when there is none or the first is bad."""
        if not paths:
            raise SourceError(f"{name or 'sequence'} holds no picture", f"known are {' '.join(PICTURE_SUFFIXES)}")
        self.paths = list(paths)
        self.name = name or str(paths[0])
        self.rate = rate
        self.time_base = 1 / rate
        self.frame_count = len(self.paths)
        first = read_picture(self.paths[0])
        self.size_hw = (first.shape[0], first.shape[1])
        total = len(self.paths)
        later = sorted({total * place // _LOOKS for place in range(1, _LOOKS)} - {0})
        self.has_alpha = _channels(first) == 4 or any(_channels(read_picture(self.paths[n])) == 4 for n in later)
        self.straight = self.has_alpha

    def __iter__(self) -> Iterator[TimedFrame]:
        for index, image in self._pictures():
            if _channels(image) == 1:
                image = _in_colour(image)
            yield self._frame(index, image)

    def masks(self) -> Iterator[TimedFrame]:
        """Yield frames whose ``alpha`` is the alpha channel or the grey picture; a colour picture has none."""
        for index, image in self._pictures(mask=True):
            if _channels(image) == 1:
                yield TimedFrame(np.empty((0, 0, 3), np.uint8), index, self.time_base, index, image, 1)
            else:
                yield self._frame(index, image)

    def samples(self, count: int) -> Iterator[TimedFrame]:
        """A few of the pictures, evenly from all of them, the first one first."""
        total = len(self.paths)
        for index in sorted({total * place // count for place in range(count)}):
            image = read_picture(self.paths[index], mask=True)
            yield self._frame(index, _in_colour(image))

    def times(self) -> list[Fraction]:
        """The presentation time of every picture, in seconds."""
        return [index * self.time_base for index in range(len(self.paths))]

    def _frame(self, index: int, image: NDArray[np.uint8]) -> TimedFrame:
        alpha = None
        if _channels(image) == 4:
            image, alpha = np.ascontiguousarray(image[:, :, :3]), np.ascontiguousarray(image[:, :, 3])
        elif self.has_alpha:
            alpha = np.full(self.size_hw, 255, np.uint8)
        return TimedFrame(image, index, self.time_base, index, alpha, 1, self.paths[index].name)

    def _pictures(self, mask: bool = False) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for index, path in enumerate(self.paths):
            image = read_picture(path, mask=mask)
            if image.shape[:2] != self.size_hw:
                (height, width), first = self.size_hw, self.paths[0].name
                raise SourceError(
                    f"{path} is {image.shape[1]} x {image.shape[0]} but {first} is {width} x {height}",
                    "a sequence needs pictures of one size",
                )
            if _channels(image) == 4 and not self.has_alpha:
                raise SourceError(
                    f"{path} has an alpha channel, unlike {self.paths[0].name}",
                    "a sequence needs pictures of one kind",
                )
            yield index, image


def _in_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False) if image.ndim == 2 else image


def _channels(image: NDArray[np.uint8]) -> int:
    return 1 if image.ndim == 2 else image.shape[2]


def list_pictures(folder: str | Path) -> list[Path]:
    """The pictures of a folder by name, numbers in counting order (``2.png`` before ``10.png``).

    Raises:
        SourceError: not a folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder", "check the path")
    found = sorted((p for p in folder.iterdir() if is_picture(p)), key=counting_order)
    if not found:
        raise SourceError(f"{folder} holds no picture", f"known are {' '.join(PICTURE_SUFFIXES)}")
    return found


def pictures_of_pattern(pattern: str) -> list[Path]:
    """The files that a pattern of names fits, in counting order; ``SourceError`` when there is none."""
    found = sorted((Path(name) for name in glob.glob(literal_pattern(pattern))), key=counting_order)
    if not found:
        raise SourceError(f"{pattern} matches no file", "check the pattern, and quote it against the shell")
    return found


def counting_order(path: Path) -> list[tuple[int, str | int]]:
    """A sort key by which numbers inside names count."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part)) if part.isdigit() else (0, part) for part in parts]
