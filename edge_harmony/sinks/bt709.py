"""Pictures as the encoder wants them: BT.709, limited range, 4:2:0, and tagged so."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.video import import_av
from edge_harmony.capture.yuv import SWS_QUALITY

_BT709: Final = 1  # matrix, primaries and transfer of ITU-R BT.709 (H.273)
_LIMITED: Final = 1  # AVCOL_RANGE_MPEG
_FULL: Final = 2


class YuvConverter:
    """Turns pictures into PyAV frames; keeps its buffers, so it is for one thread."""

    def __init__(self) -> None:
        """Needs PyAV (``BackendUnavailableError``)."""
        self._av = import_av("writing video")
        self._reformatter = self._av.video.reformatter.VideoReformatter()

    def __call__(self, image: NDArray[np.uint8]) -> Any:
        """A ``VideoFrame`` in yuv420p of even size; an odd side grows by repeating its last row or column.

        Args:
            image: uint8 (H, W, 3) BGR, or (H, W) grey; only read, and done with on return.
        """
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        source = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        matrices = self._av.video.reformatter.Colorspace
        frame = self._reformatter.reformat(
            source,
            format="yuv420p",
            src_colorspace=matrices.ITU709,
            dst_colorspace=matrices.ITU709,
            src_color_range=_FULL,
            dst_color_range=_LIMITED,
            interpolation=SWS_QUALITY,
        )
        frame.colorspace, frame.color_range = _BT709, _LIMITED
        frame.color_primaries, frame.color_trc = _BT709, _BT709
        return frame


def tag(context: Any) -> None:
    """Say the colours in a codec context, before it is opened."""
    context.colorspace = _BT709
    context.color_primaries = _BT709
    context.color_trc = _BT709
    context.color_range = _LIMITED


def even(size_hw: tuple[int, int]) -> tuple[int, int]:
    """The size that a converted picture has."""
    return size_hw[0] + size_hw[0] % 2, size_hw[1] + size_hw[1] % 2
