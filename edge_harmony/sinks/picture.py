"""Pictures as results."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SinkError
from edge_harmony.run.whole_file import WholeFile, unwritable

WRITABLE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
JPEG_QUALITY: Final = 95
_KEYWORD: Final = b"tEXtedge-harmony\0"  # the kind of chunk and its name
_HEADER: Final = 33  # bytes of a PNG up to the end of its header
_NOTE_WITHIN: Final = 1024
_PARAMETERS: Final = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 is lossless
}


def check_suffix(path: str | Path) -> None:
    """Raise ``SinkError`` when a name's suffix is no picture format that we write."""
    if Path(path).suffix.lower() not in WRITABLE_SUFFIXES:
        raise SinkError(
            f"{path}: no picture format ends in {Path(path).suffix!r}", f"use one of {' '.join(WRITABLE_SUFFIXES)}"
        )


def write_picture(path: str | Path, image: NDArray[np.uint8], overwrite: bool = False, note: str = "") -> None:
    """Write a picture; it appears under its name only when it is whole.

    Args:
        path: PNG, WebP, TIFF and BMP are written lossless, JPEG at quality 95.
        image: uint8 (H, W), (H, W, 3) BGR or (H, W, 4) BGRA.
        overwrite: whether a file of that name may be replaced.
        note: a word in ASCII that a PNG carries, for ``read_note``.

    Raises:
        SinkError: unknown suffix, folder missing or not writable, file exists, disk full.
    """
    check_suffix(path)
    target = WholeFile(path, overwrite)
    try:
        suffix = target.path.suffix.lower()
        fine, data = cv2.imencode(suffix, image, _PARAMETERS.get(suffix, []))
        if not fine:
            raise SinkError(f"{path}: OpenCV cannot write this picture", "use .png")
        with target.temporary.open("wb") as file:
            file.write(_with_note(data.tobytes(), note) if note and suffix == ".png" else data.data)
    except OSError as error:
        target.discard()
        raise unwritable(target.path, error) from error
    except cv2.error as error:
        target.discard()
        raise SinkError(f"{path} cannot be written: {error.err}", "use .png, which holds any size") from error
    except BaseException:
        target.discard()
        raise
    target.commit()


def read_note(path: Path) -> str:
    """The note that ``write_picture`` put into a PNG; "" where there is none, or no file."""
    try:
        with path.open("rb") as file:
            head = file.read(_NOTE_WITHIN)
    except OSError:
        return ""
    at = head.find(_KEYWORD)
    if at < 4 or not head.startswith(b"\x89PNG"):
        return ""
    length = int.from_bytes(head[at - 4 : at], "big")
    return head[at + len(_KEYWORD) : at + 4 + length].decode("ascii", "replace")


def _with_note(png: bytes, note: str) -> bytes:
    """A PNG with a text chunk behind its header, which every reader passes over."""
    body = _KEYWORD + note.encode("ascii")
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:_HEADER] + chunk + png[_HEADER:]
