"""What subject and background look like, learned while a clip runs: colours that settle what a network doubts."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.frame import Alpha, Frame

_LIGHT, _CHROMA = 12, 24  # bins of Lab's lightness, and of each of its other axes, which are stretched to twice
_KEPT: Final = 0.97  # of a histogram from frame to frame: a second of video
_FLOOR: Final = 5e-5  # share of a region that every colour is thought to have
_MOST: Final = 4.0  # log likelihood ratio beyond which more of it says nothing more
_DOUBT: Final = 5.0  # logit of alpha from which on the network is hardly doubted
_LEAST_SHARE: Final = 0.02  # of a frame that subject and background must have for their colours to be fully trusted


def _bins() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The bin of each code value of lightness and of a chroma axis."""
    codes = np.arange(256)
    stretched = np.clip((codes - 128) * 2 + 128, 0, 255)
    return (codes * _LIGHT // 256).astype(np.int32), (stretched * _CHROMA // 256).astype(np.int32)


_LIGHT_BIN, _CHROMA_BIN = _bins()
_SHARES = np.clip(np.arange(256, dtype=np.float32) / 255, 0.002, 0.998)
_LOGIT = np.log(_SHARES / (1 - _SHARES))  # of each code of alpha
_TRUST = np.exp(-np.square(_LOGIT / _DOUBT))  # that colour has against it


class Appearance:
    """Corrects a network's alpha by how much more often each colour was subject than background so far.

    A sleeve of the jacket's colour belongs to the person though the network lost the arm; pavement that shows between
    arm and body does not. Two histograms over colour (Lab, 12 x 24 x 24 bins), one weighted with alpha and one with the
    rest, follow the clip; the logarithm of their ratio is added to alpha's logit, the less the surer the network is.

    Args:
        amount: weight of the colours; 0 changes nothing, 1 is their likelihood.
    """

    def __init__(self, amount: float = 1.0) -> None:
        self.amount = amount
        self._subject: NDArray[np.float32] | None = None
        self._background: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forget all colours."""
        self._subject = self._background = None

    def __call__(self, alpha: Alpha, view_bgr: Frame) -> Alpha:
        """Learn from a frame and correct its alpha.

        Args:
            alpha: uint8 (h, w).
            view_bgr: uint8 (h, w, 3), the picture it belongs to.

        Returns:
            uint8 (h, w); a new array.
        """
        light, a, b = cv2.split(cv2.cvtColor(view_bgr, cv2.COLOR_BGR2Lab))
        colour = (_LIGHT_BIN[light] * _CHROMA + _CHROMA_BIN[a]) * _CHROMA + _CHROMA_BIN[b]
        share = alpha.ravel() * (1 / 255)
        subject, everything = _histogram(colour, share), _histogram(colour, None)
        background = everything - subject
        if self._subject is None or self._background is None:
            self._subject, self._background = subject, background
        else:
            self._subject += (1 - _KEPT) * (subject - self._subject)
            self._background += (1 - _KEPT) * (background - self._background)
        n, m = float(self._subject.sum()), float(self._background.sum())
        known = min(1.0, n / _LEAST_SHARE, m / _LEAST_SHARE)
        ratio = np.log((self._subject / max(n, 1e-6) + _FLOOR) / (self._background / max(m, 1e-6) + _FLOOR))
        table = np.clip(ratio, -_MOST, _MOST).ravel() * np.float32(self.amount * known)
        said = cv2.GaussianBlur(table[colour], (3, 3), 0.8)  # its neighbours' colours count a little
        logit = _LOGIT[alpha] + _TRUST[alpha] * said
        return (255 / (1 + np.exp(-logit)) + np.float32(0.5)).astype(np.uint8)


def _histogram(colour: NDArray[np.int32], weights: NDArray[Any] | None) -> NDArray[np.float32]:
    """Shares of a frame by colour, smoothed over neighbouring bins: float32 (lightness and a, b)."""
    counts = np.bincount(colour.ravel(), weights, _LIGHT * _CHROMA * _CHROMA) / colour.size
    return cv2.GaussianBlur(counts.reshape(-1, _CHROMA).astype(np.float32), (3, 3), 0.8)
