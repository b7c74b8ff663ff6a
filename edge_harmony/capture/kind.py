"""What a file is: asked of its content, for every command and the page; its name decides only where there is none."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Final

PICTURE_SUFFIXES: Final = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".heif", ".hif", ".avif",
)  # fmt: skip
VIDEO_SUFFIXES: Final = (
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".ogv", ".flv",
    ".3gp", ".gif", ".mxf", ".dv",
)  # fmt: skip
_HEAD: Final = 4096
_HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif")
_STARTS: Final = {
    b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"GIF8": "gif", b"BM": "bmp", b"II*\0": "tiff",
    b"MM\0*": "tiff", b"\x76\x2f\x31\x01": "exr", b"#?RADIANCE": "hdr",
}  # fmt: skip


def picture_format(data: bytes) -> str:
    """The format of a picture by its first bytes: ``jpeg``, ``png``, ``apng``, ``webp``, ``webp animation``, ``heif``,
    ``avif``, ``tiff``, ``bmp``, ``gif``, ``pnm``, ``exr``, ``hdr``; "" for none of them.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp animation" if data[12:16] == b"VP8X" and len(data) > 20 and data[20] & 2 else "webp"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        length = int.from_bytes(data[:4], "big")
        return "avif" if b"avif" in data[8:length] else "heif"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in (b"\n", b" ", b"\r", b"\t", b"#"):
        return "pnm"
    found = next((kind for start, kind in _STARTS.items() if data.startswith(start)), "")
    if found == "png":
        before_pixels = data[: data.find(b"IDAT")] if b"IDAT" in data else data
        return "apng" if b"acTL" in before_pixels else "png"
    return found


def kind_of(path: str | Path) -> str:
    """What a file is.

    Returns:
        ``picture``; ``animation`` (animated WebP and PNG, read by Pillow); ``video`` (whatever else, GIF too: read by
        FFmpeg, which says if it cannot); ``folder``; ``pattern`` where there is no such file but the name is a pattern.
        A file that does not exist, or cannot be read, or is empty, or is a pipe or a device, is what its name says.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return "folder"
        if glob.has_magic(str(path)) and not path.exists():
            return "pattern"
        head = b""
        if path.is_file():  # a pipe would be waited for, and has its content once
            with path.open("rb") as file:
                head = file.read(_HEAD)
    except (OSError, ValueError):
        head = b""
    found = picture_format(head)
    if found in ("apng", "webp animation"):
        return "animation"
    if found == "gif":
        return "video"
    if found or path.suffix.lower() in PICTURE_SUFFIXES:
        return "picture"
    return "video"


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, or an animation in a picture's format; hidden files are not."""
    return not path.name.startswith(".") and kind_of(path) in ("picture", "animation")


def is_video(path: Path) -> bool:
    """Whether a file is a video, for listing folders that hold other things too."""
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES and kind_of(path) == "video"


def literal_pattern(spec: str) -> str:
    """A pattern of names in which folders that exist stand for themselves: of ``shots[2024]/*.png`` only the star."""
    done = Path()
    parts = Path(spec).parts
    for number, part in enumerate(parts):
        if not (done / part).exists():
            return str(Path(glob.escape(str(done)), *parts[number:]))
        done = done / part
    return glob.escape(str(done))
