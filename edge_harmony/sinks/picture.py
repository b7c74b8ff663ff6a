"""Pictures as results."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SinkError
from edge_harmony.run.whole_file import WholeFile, unwritable

WRITABLE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
WITH_ALPHA: Final = (".png", ".webp", ".tif", ".tiff")
JPEG_QUALITY: Final = 95
_PARAMETERS: Final = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 is lossless
}


def check_suffix(path: str | Path, alpha: bool = False) -> None:
    """Raise ``SinkError`` when a name's suffix is no picture format that we write, ``alpha`` with alpha."""
    if alpha and Path(path).suffix.lower() not in WITH_ALPHA:
        raise SinkError(f"{path} would have no alpha", f"use one of {' '.join(WITH_ALPHA)}")
    if Path(path).suffix.lower() not in WRITABLE_SUFFIXES:
        raise SinkError(
            f"{path}: no picture format ends in {Path(path).suffix!r}", f"use one of {' '.join(WRITABLE_SUFFIXES)}"
        )


def write_picture(path: str | Path, image: NDArray[np.uint8], overwrite: bool = False) -> None:
    """Write a picture; it appears under its name only when it is whole.

    Args:
        path: PNG, WebP, TIFF and BMP are written lossless, JPEG at quality 95.
        image: uint8 (H, W), (H, W, 3) BGR or (H, W, 4) BGRA.
        overwrite: whether a file of that name may be replaced.

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
            file.write(data.data)
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
