"""Pictures: one file, or a sequence of them in a folder or of a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.orientation import read_orientation, turn_upright
from edge_harmony.capture.source import Source, TimedFrame, require_file
from edge_harmony.errors import SourceError

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
DEFAULT_RATE: Final = Fraction(25)  # frames a second of a sequence of pictures


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture as it is stored, upright.

    Args:
        path: a file in any format that OpenCV reads.

    Returns:
        uint8 (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA with straight alpha, exactly as the file holds it: no
        channel is added or dropped. EXIF orientation is applied; an embedded colour profile is not.

    Raises:
        SourceError: no such file, not a picture, cut short, or more than 8 bits a channel.
    """
    path = require_file(Path(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    _refuse_truncated(data, path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise SourceError(
            f"{path} is not a picture that can be read ({len(data)} bytes)",
            "use PNG, JPEG, WebP, TIFF or BMP; a video belongs to 'edge-harmony process'",
        )
    if image.dtype != np.uint8:
        kind = "HDR (floating point)" if image.dtype.kind == "f" else f"{image.dtype.itemsize * 8}-bit"
        raise SourceError(
            f"{path} is {kind}; 8 bits a channel are needed",
            "tone-map it and save it as 8-bit first: values are refused here rather than clipped"
            if image.dtype.kind == "f"
            else "save it as 8-bit first, for example: magick IN -depth 8 OUT.png",
        )
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    return turn_upright(image, read_orientation(data))


def read_colour(path: str | Path) -> NDArray[np.uint8]:
    """Read a colour picture: uint8 (H, W, 3) BGR.

    Raises:
        SourceError: as ``read_picture``; and for a grey picture (most often a mask in the wrong place) and one with
            an alpha channel, because promoting the one or dropping the other silently hides a mistake.
    """
    image = read_picture(path)
    if image.ndim == 2:
        raise SourceError(
            f"{path} is a grey picture; a colour picture is needed",
            "is it a mask in the wrong place? If not: magick IN -type TrueColor PNG24:OUT.png",
        )
    if image.shape[2] == 4:
        raise SourceError(
            f"{path} has an alpha channel (RGBA); a picture without one is needed here",
            "flatten it first: magick IN -alpha off OUT.png; as a foreground for --bg, its alpha is used",
        )
    return image


class PictureSequence(Source):
    """Pictures shown one after the other, one size, each for ``1 / rate`` seconds.

    A picture with an alpha channel gives its frame an ``alpha``; a grey one is refused, except by ``masks``. Nothing
    but the first picture is read before it is asked for.
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
        self.size_hw = first.shape[:2]
        self.has_alpha = self.straight = _channels(first) == 4

    def __iter__(self) -> Iterator[TimedFrame]:
        for index, image in self._pictures():
            if _channels(image) == 1:
                read_colour(self.paths[index])  # says why a grey picture is refused
            yield self._frame(index, image)

    def masks(self) -> Iterator[TimedFrame]:
        """Yield frames whose ``alpha`` is the alpha channel or the grey picture; a colour picture has none."""
        for index, image in self._pictures():
            if _channels(image) == 1:
                yield TimedFrame(np.empty((0, 0, 3), np.uint8), index, self.time_base, index, image, 1)
            else:
                yield self._frame(index, image)

    def samples(self, count: int) -> Iterator[TimedFrame]:
        """A few of the pictures, evenly from all of them, the first one first."""
        total = len(self.paths)
        for index in sorted({total * place // count for place in range(count)}):
            yield self._frame(index, read_picture(self.paths[index]))

    def times(self) -> list[Fraction]:
        """The presentation time of every picture, in seconds."""
        return [index * self.time_base for index in range(len(self.paths))]

    def _frame(self, index: int, image: NDArray[np.uint8]) -> TimedFrame:
        alpha = None
        if _channels(image) == 4:
            image, alpha = np.ascontiguousarray(image[:, :, :3]), np.ascontiguousarray(image[:, :, 3])
        return TimedFrame(image, index, self.time_base, index, alpha, 1, self.paths[index].name)

    def _pictures(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for index, path in enumerate(self.paths):
            image = read_picture(path)
            if image.shape[:2] != self.size_hw:
                (height, width), first = self.size_hw, self.paths[0].name
                raise SourceError(
                    f"{path} is {image.shape[1]} x {image.shape[0]} but {first} is {width} x {height}",
                    "a sequence needs pictures of one size",
                )
            if (_channels(image) == 4) != self.has_alpha:
                raise SourceError(
                    f"{path} {'lacks' if self.has_alpha else 'has'} an alpha channel, unlike {self.paths[0].name}",
                    "a sequence needs pictures of one kind",
                )
            yield index, image


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


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture; hidden files are not."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def counting_order(path: Path) -> list[tuple[int, str | int]]:
    """A sort key by which numbers inside names count."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part)) if part.isdigit() else (0, part) for part in parts]


def _refuse_truncated(data: bytes, path: Path) -> None:
    """OpenCV fills the missing part of a truncated JPEG or PNG with grey and says nothing: say it here."""
    jpeg_cut = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    png_cut = data[:8] == b"\x89PNG\r\n\x1a\n" and b"IEND" not in data[-64:] and b"IEND" not in data
    if jpeg_cut or png_cut:
        raise SourceError(f"{path} is cut short ({len(data)} bytes)", "copy or download it again")
