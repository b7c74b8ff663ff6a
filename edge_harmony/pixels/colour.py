"""Colours as people write them, and the luma that noise and light are judged by."""

from __future__ import annotations

import re
from typing import Final

import cv2
import numpy as np

from edge_harmony.errors import ConfigError
from edge_harmony.pixels.frame import Frame

NAMED_BGR: Final = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "green": (64, 177, 0),  # a chroma green
    "blue": (187, 71, 0),  # a chroma blue
}
_HEX = re.compile(r"#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")


def parse_colour(text: str) -> tuple[int, int, int]:
    """Read ``#rrggbb``, ``#rgb``, the same without ``#``, or a name of ``NAMED_BGR``.

    Returns:
        Blue, green, red, each 0..255.

    Raises:
        ConfigError: anything else.
    """
    wanted = text.strip()
    if wanted.lower() in NAMED_BGR:
        return NAMED_BGR[wanted.lower()]
    match = _HEX.fullmatch(wanted)
    if not match:
        raise ConfigError(f"{text!r} is not a colour", f"write it as #rrggbb, or use one of: {', '.join(NAMED_BGR)}")
    digits = match[1] if len(match[1]) == 6 else "".join(d * 2 for d in match[1])
    red, green, blue = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
    return blue, green, red


def luma(frame_bgr: Frame) -> np.ndarray:
    """BT.601 luma of a frame, uint8 (H, W): what OpenCV calls grey, and cheap."""
    return cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY)
