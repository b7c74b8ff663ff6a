"""What a picture's first bytes say about it, read before anything is decoded: a bomb is known by its size."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from edge_harmony.errors import SourceError

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MOST_SCANS: Final = 64  # a progressive JPEG has about ten; thousands of them keep a decoder busy for minutes
# Start-of-frame markers: baseline, extended and progressive JPEG.
_FRAMES: Final = (0xC0, 0xC1, 0xC2)


@dataclass(frozen=True)
class PictureHeader:
    """Kind (``jpeg``, ``png``, ``webp``) and size in pixels."""

    kind: str
    width: int
    height: int


def read_header(data: bytes) -> PictureHeader:
    """Read kind and size of a JPEG, PNG or WebP from its bytes; nothing is decompressed.

    Raises:
        SourceError: none of the three, or a header that is cut short or makes no sense.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            header = PictureHeader("jpeg", *_jpeg_size(data))
        elif data.startswith(_PNG) and data[12:16] == b"IHDR":
            header = PictureHeader("png", *struct.unpack_from(">II", data, 16))
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            header = PictureHeader("webp", *_webp_size(data))
        else:
            raise SourceError("this is no JPEG, PNG or WebP picture", _remedy(data))
    except (struct.error, IndexError) as error:
        raise SourceError("the picture is cut short", "send it again") from error
    if header.width < 1 or header.height < 1:
        raise SourceError("the picture has no size", "save it again as JPEG or PNG")
    return header


def _remedy(data: bytes) -> str:
    if data[4:8] == b"ftyp" or data[:4] == b"\x1a\x45\xdf\xa3":
        return "for a video use --bg FILE when starting; for HEIC or AVIF export it as JPEG first"
    return "save it as JPEG or PNG"


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the start-of-frame segment."""
    if data.count(b"\xff\xda") > _MOST_SCANS:
        raise SourceError("the JPEG has more scans than any camera makes", "save it again as JPEG or PNG")
    position = 2
    while True:
        if data[position] != 0xFF:
            raise SourceError("the JPEG is damaged", "save it again as JPEG or PNG")
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # restart markers and the like have no length
            position += 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        if marker in (0xD9, 0xDA) or (0xC3 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            raise SourceError("the JPEG is of a kind that cannot be read", "save it again as JPEG or PNG")
        (length,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + max(length, 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk, which may be of three kinds."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(_exactly(data, 24, 3), "little"), 1 + int.from_bytes(_exactly(data, 27, 3), "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise SourceError("the WebP is of a kind that cannot be read", "save it again as JPEG or PNG")


def _exactly(data: bytes, offset: int, count: int) -> bytes:
    part = data[offset : offset + count]
    if len(part) < count:
        raise IndexError(offset)
    return part
