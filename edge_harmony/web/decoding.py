"""Pictures that strangers send, decoded in a process of its own, which has little memory, little time and no haste."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge_harmony.capture.decode_picture import decode_picture, open_by_pillow
from edge_harmony.capture.kind import picture_format
from edge_harmony.errors import SourceError
from edge_harmony.pixels.frame import Frame
from edge_harmony.run.child_process import call
from edge_harmony.web.picture_header import read_header

MOST_PIXELS: Final = 50_000_000
_LONGEST_SIDE: Final = 3840  # larger pictures are reduced: no frame needs more
_SMALLER: Final = f"at most {MOST_PIXELS // 1_000_000} megapixels are taken: send a smaller one"
_MOST_MEMORY: Final = 1 << 30  # beside what the process has when it begins; a progressive JPEG of 50 megapixels fits
MOST_S: Final = 60.0  # by the clock, beside a busy stream
_MOST_CPU_S: Final = 20
_BY_PILLOW: Final = ("heif", "avif", "tiff", "bmp", "gif")


def convert(data: bytes) -> bytes:
    """Our own JPEG of a picture that a stranger sent, see ``decode``.

    Raises:
        SourceError: as ``decode``; or it took more than a gigabyte, 20 seconds of a processor or a minute.
        OSError: there is no room in the temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="edge-harmony-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder, "sent"), Path(folder, "kept.jpg")
        source.write_bytes(data)
        answer = call(
            "edge_harmony.web.decoding:_convert", {"source": str(source), "target": str(target)}, MOST_S,
            {"OPENCV_IO_MAX_IMAGE_PIXELS": str(MOST_PIXELS)},
        )  # fmt: skip
        if answer.crashed or answer.reason.startswith("MemoryError"):
            raise SourceError("the picture takes too much memory or time to decode", _SMALLER)
        if answer.reason:
            raise SourceError(answer.reason, answer.hint or "save it again as JPEG or PNG")
        return target.read_bytes()


def _convert(source: str, target: str) -> bool:  # pyright: ignore[reportUnusedFunction]
    """The other process."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)  # the live picture goes first
    _limit()
    done, encoded = cv2.imencode(".jpg", decode(Path(source).read_bytes()), (cv2.IMWRITE_JPEG_QUALITY, 95))
    if not done:
        raise SourceError("the picture cannot be converted", "save it again as JPEG or PNG")
    Path(target).write_bytes(encoded.tobytes())
    return True


def _limit() -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))


def decode(data: bytes) -> Frame:
    """Decode a picture that a stranger sent: uint8 (H, W, 3) BGR, upright, its longer side at most 3840 pixels.

    Its size is read first, by us and by Pillow, so that a few bytes that stand for a huge picture cost nothing. A
    decoder may read yet another size from the same bytes: ``convert`` has OpenCV hold it to the limit, and the system.

    Raises:
        SourceError: no JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF, more than ``MOST_PIXELS``, or damaged.
    """
    for width, height in _sizes_of(data):
        if width * height > MOST_PIXELS:
            raise SourceError(f"the picture has {width} x {height} pixels", _SMALLER)
    image = decode_picture(data, "the picture")
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else np.ascontiguousarray(image[:, :, :3])
    height, width = image.shape[:2]
    scale = _LONGEST_SIDE / max(height, width)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if min(image.shape[:2]) < 64:  # the least that a frame may have
        up = 64 / min(image.shape[:2])
        if max(image.shape[:2]) * up > _LONGEST_SIDE:
            raise SourceError(f"the picture is only {min(height, width)} pixels wide", "send a larger one")
        image = cv2.resize(image, None, fx=up, fy=up, interpolation=cv2.INTER_CUBIC)
    return image


def _sizes_of(data: bytes) -> Iterator[tuple[int, int]]:
    """Width and height by the header, as we read it and as Pillow does; nothing is decoded."""
    from PIL import Image

    kind = picture_format(data)
    if kind not in _BY_PILLOW:
        header = read_header(data)
        yield header.width, header.height
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
            with open_by_pillow(data, kind) as image:
                yield image.size
    except Image.DecompressionBombError as error:
        raise SourceError("the picture has hundreds of millions of pixels", _SMALLER) from error
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        if kind in _BY_PILLOW:
            raise SourceError("the picture is damaged", "save it again as JPEG or PNG") from error
