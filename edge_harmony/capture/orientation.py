"""The orientation that a camera wrote beside its picture or video, read and undone.

Only what is needed of EXIF 2.3 is read: tag 0x0112 of the first directory, from JPEG, PNG, WebP and TIFF; of a video,
its display matrix.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.side_data import UnknownKindError, side_data_of

_ORIENTATION_TAG = 0x0112
_UPRIGHT: Final = (1, 0, 0, 1)
_TURNS: Final = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}  # by ``frame.rotation``


def read_orientation(data: bytes) -> int:
    """The EXIF orientation, 1 to 8, of a picture file's bytes; 1 (upright) where there is none."""
    tiff = _find_tiff(data)
    if tiff is None or len(tiff) < 8 or tiff[:2] not in (b"II", b"MM"):
        return 1
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        start = struct.unpack_from(order + "I", tiff, 4)[0]
        count = struct.unpack_from(order + "H", tiff, start)[0]
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # a damaged directory: the picture itself may still be fine
        return 1
    return 1


def turn_upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation: (H, W) or (H, W, C) in, upright and contiguous out; 1 returns the same array."""
    if orientation == 1:
        return image
    if orientation >= 5:  # stored with rows and columns exchanged
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """The display matrix's turn as signs (a, b, c, d): a point (x, y) is shown at (a x + c y, b x + d y).

    Anything but the eight turns and mirrorings by right angles is taken as upright. Costs milliseconds: ask when
    ``frame.rotation`` has changed, not for each frame.
    """
    try:
        side = side_data_of(frame, "DISPLAYMATRIX")
    except UnknownKindError:
        return _TURNS.get(frame.rotation % 360, _UPRIGHT)
    if side is not None:
        a, b, _, c, d = np.frombuffer(side, np.int32)[:5].tolist()
        a, b, c, d = (int(np.sign(v)) if abs(v) > 1 << 14 else 0 for v in (a, b, c, d))
        if (a and d and not b and not c) or (b and c and not a and not d):
            return a, b, c, d
    return _UPRIGHT


def apply_matrix(image: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Turn a picture, (H, W) or (H, W, C), as a display matrix says; the same array where that is upright."""
    if matrix == _UPRIGHT or not image.size:
        return image
    a, b, c, d = matrix
    if a == 0:
        image = cv2.transpose(image)
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    if flip_x or flip_y:
        image = cv2.flip(image, -1 if flip_x and flip_y else (1 if flip_x else 0))
    return image


def _find_tiff(data: bytes) -> bytes | None:
    if data[:2] == b"\xff\xd8":
        return _exif_of_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _chunk(data, 8, b"eXIf", ">", name_first=False, trailer=4)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        exif = _chunk(data, 12, b"EXIF", "<", name_first=True, trailer=0)
        return exif[6:] if exif is not None and exif[:6] == b"Exif\0\0" else exif
    if data[:4] in (b"II*\0", b"MM\0*"):
        return data
    return None


def _exif_of_jpeg(data: bytes) -> bytes | None:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xDA:  # the picture's data starts: no more headers
            return None
        length = struct.unpack_from(">H", data, position + 2)[0]
        body = data[position + 4 : position + 2 + length]
        if marker == 0xE1 and body[:6] == b"Exif\0\0":
            return body[6:]
        position += 2 + length
    return None


def _chunk(data: bytes, position: int, wanted: bytes, order: str, *, name_first: bool, trailer: int) -> bytes | None:
    """Walk a chunked file (PNG, RIFF) and return the body of the first chunk of a name."""
    while position + 8 <= len(data):
        first, second = data[position : position + 4], data[position + 4 : position + 8]
        name, size = (first, second) if name_first else (second, first)
        length = struct.unpack(order + "I", size)[0]
        if name == wanted:
            return data[position + 8 : position + 8 + length]
        padding = length & 1 if name_first else 0
        position += 8 + length + padding + trailer
    return None
