"""Colours that a HEIC or AVIF names by a number (ITU-T H.273) instead of a profile, brought to sRGB."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_BOX: Final = b"colrnclx"
_NAMES: Final = {12: "Display P3", 9: "BT.2020"}
_SRGB_LIKE: Final = (1, 6, 13, 14)  # transfers that pictures of standard range are tagged with: shown as sRGB
# From linear light of those primaries to that of sRGB's, RGB; white is D65 in all of them.
_TO_SRGB: Final = {
    "Display P3": ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
    "BT.2020": (
        (1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730),
    ),
}  # fmt: skip
_BANDS: Final = 64  # rows at a time
_STEPS: Final = 1 << 14  # of the table that encodes


def wide_primaries(data: bytes) -> str:
    """The name of the primaries in a picture's file, where they are wider than sRGB's; else ""."""
    at = data.find(_BOX)
    if at < 0 or b"colrprof" in data or b"colrrICC" in data:
        return ""
    primaries, transfer = (int.from_bytes(data[at + n : at + n + 2], "big") for n in (8, 10))
    return _NAMES.get(primaries, "") if transfer in _SRGB_LIKE else ""


def to_srgb(image: NDArray[np.uint8], primaries: str) -> NDArray[np.uint8]:
    """Bring colours to sRGB; what it cannot show is clipped.

    Args:
        image: uint8 (H, W, 3) BGR or (H, W, 4) BGRA, of sRGB's curve.
        primaries: see ``wide_primaries``.
    """
    codes = np.arange(256) / 255.0
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4).astype(np.float32)
    linear = np.linspace(0, 1, _STEPS)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table = np.floor(coded * 255 + 0.5).astype(np.uint8)
    matrix = np.array(_TO_SRGB[primaries], np.float32)[::-1, ::-1]  # BGR
    out = image.copy()
    for start in range(0, image.shape[0], _BANDS):
        band = cv2.transform(light[image[start : start + _BANDS, :, :3]], matrix)
        out[start : start + _BANDS, :, :3] = table[np.rint(np.clip(band, 0, 1) * (_STEPS - 1)).astype(np.intp)]
    return out
