"""The source itself, blurred, as a background."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge_harmony.errors import ConfigError
from edge_harmony.pixels.frame import Alpha, Frame

_DEFAULT: Final = 25.0  # thousandths of the height
_SHORTEST: Final = 135  # pixels of the picture that is blurred: a blur needs no more


class BlurBackground:
    """Blurs what is behind the subject, without the subject's colours bleeding into it.

    Args:
        amount: standard deviation in thousandths of the frame's height, as text; "" is 25.

    Raises:
        ConfigError: not a number from 1 to 200.
    """

    def __init__(self, amount: str = "") -> None:
        try:
            self._amount = float(amount) if amount else _DEFAULT
        except ValueError:
            self._amount = -1.0
        if not 1.0 <= self._amount <= 200.0:
            raise ConfigError(f"blur:{amount} is no amount of blur", "use blur, or blur:1 (little) to blur:200")

    def behind(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        """The frame with its subject left out, blurred: a new uint8 (H, W, 3)."""
        height, width = frame_bgr.shape[:2]
        factor = max(1, height // _SHORTEST)
        size = (max(1, width // factor), max(1, height // factor))
        bare = 1.0 + 1e-4 - cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        small = cv2.resize(frame_bgr, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        sigma = max(0.5, self._amount * 1e-3 * size[1])
        weighted = cv2.GaussianBlur(small * bare[..., None], (0, 0), sigma)
        weight = cv2.GaussianBlur(bare, (0, 0), sigma)
        blurred = np.clip(weighted / np.maximum(weight, 1e-6)[..., None] + 0.5, 0, 255).astype(np.uint8)
        return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)

    def close(self) -> None:
        """Nothing to close."""
