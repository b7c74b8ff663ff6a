"""HDR pictures, HLG and PQ in HEIC, HIF and AVIF, as 8-bit sRGB: by the curve that video goes through."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.container import import_av
from edge_harmony.capture.depth import to_8_bits
from edge_harmony.capture.hdr import PEAK_NITS, ToneMapper, bounded_peak

_TRANSFERS: Final = {16: "PQ", 18: "HLG"}  # of H.273
_BOX: Final = b"colrnclx"
_LIGHT: Final = b"clli"


def hdr_kind(data: bytes) -> str:
    """``PQ`` or ``HLG`` where a picture's file says so, else "". A file with a colour profile goes by that."""
    at = data.find(_BOX)
    if at < 0 or b"colrprof" in data or b"colrrICC" in data:
        return ""
    transfer = int.from_bytes(data[at + len(_BOX) + 2 : at + len(_BOX) + 4], "big")
    return _TRANSFERS.get(transfer, "")


def tone_mapped(data: bytes, image: NDArray[np.uint8], kind: str, is_heif: bool) -> NDArray[np.uint8]:
    """An HDR picture as one of standard range.

    Args:
        data: the file.
        image: what it was decoded to: uint8 (H, W, 3) BGR or (H, W, 4) BGRA, upright.
        kind: see ``hdr_kind``.
        is_heif: whether all of its bits can be had; AVIF is mapped from the 8 that are there.

    Returns:
        The same shape.

    Raises:
        BackendUnavailableError: PyAV is not installed.
    """
    av: Any = import_av("tone-mapping")
    deep = (_all_bits(data, image.shape[:2]) if is_heif else None) if image.ndim == 3 else None
    if deep is None:
        colours = image[:, :, :3] if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
        deep = colours.astype(np.uint16) * 257
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(deep), format="bgr48le")
    mapped = to_8_bits(ToneMapper(kind, _peak(data) if kind == "PQ" else PEAK_NITS)(frame).to_ndarray(), dither=True)
    if image.ndim == 3 and image.shape[2] == 4:
        return np.dstack([mapped, image[:, :, 3]])
    return mapped


def _all_bits(data: bytes, size_hw: tuple[int, ...]) -> NDArray[np.uint16] | None:
    """uint16 (H, W, 3) BGR, white at 65535; None where there are no more than 8."""
    import pillow_heif

    opened: Any = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, bgr_mode=True)
    found = np.asarray(opened[0])
    if found.dtype != np.uint16 or found.ndim != 3 or found.shape[:2] != size_hw:
        return None
    bits = int(opened.info.get("bit_depth", 16))
    colours: NDArray[np.uint16] = found[:, :, :3]
    return np.bitwise_or(colours, colours >> bits).astype(np.uint16) if bits < 16 else colours


def _peak(data: bytes) -> float:
    at = data.find(_LIGHT)
    nits = int.from_bytes(data[at + 4 : at + 6], "big") if at >= 0 else 0
    return bounded_peak(nits) if nits else PEAK_NITS
