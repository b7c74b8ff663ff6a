"""What a running stream gives for each frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.pixels.frame import Alpha, Frame


@dataclass(frozen=True)
class Result:
    """One finished picture.

    Attributes:
        image_bgr: uint8 (H, W, 3), as it goes to the sinks, which may still be reading it: copy it before you draw.
        frame_bgr: the frame it was made from, uint8 (H, W, 3).
        alpha: uint8 (H, W), of that very frame.
        background_bgr: what stands behind; uint8 (h, w, 3), only to be read.
        index: number of the frame in its source; a gap is what was dropped.
        pts_s: time in seconds since the first result; always rises.
        captured_s: when the frame was captured, ``time.monotonic()``.
        latency_ms: from capture until this result was finished.
        held: it repeats the last picture, or shows the background alone, because the source is lost, or it is frozen.
    """

    image_bgr: Frame
    frame_bgr: Frame
    alpha: Alpha
    background_bgr: Frame
    index: int
    pts_s: float
    captured_s: float
    latency_ms: float
    held: bool = False
    _before: Callable[[], Frame] | None = None
    _after: Frame | None = None
    _cut_out: Callable[[], Frame] | None = None

    def before(self) -> Frame:
        """The plain composite, without any change of colour: computed at the first call only where it is needed."""
        return self.image_bgr if self._before is None else self._before()

    def after(self) -> Frame:
        """``image_bgr`` without the comparison that ``compare`` drew into it; the same array where there is none."""
        return self.image_bgr if self._after is None else self._after

    def cut_out(self) -> Frame:
        """The harmonized subject alone: uint8 (H, W, 4) BGRA, straight alpha; no comparison, no view of the matte.

        Light wrap and grain belong to where it will be composited. Computed where it is asked for, before the next
        result is; a held picture gives what it gave.

        Raises:
            EdgeHarmonyError: this result came from no pipeline.
        """
        if self._cut_out is None:
            raise EdgeHarmonyError("this result has no cut-out", "results of a Pipeline have")
        return self._cut_out()

    @property
    def age_ms(self) -> float:
        """Milliseconds since the capture, now."""
        return (time.monotonic() - self.captured_s) * 1e3
