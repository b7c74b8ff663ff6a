"""What every matte is: a frame in, its alpha out, and the subject's own colour on request."""

from __future__ import annotations

from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.refine import Refinement
from edge_harmony.pixels.frame import Alpha, Frame, check_alpha, check_frame


class Matte:
    """Base of all mattes. A kind overrides ``_alpha_impl`` and, where it knows better, ``_foreground_impl``.

    A matte may keep state from frame to frame (a mask video's position, a network's recurrent states, an
    estimated key colour); it is used by one thread and for one source, and ``reset`` makes it as new.

    Args:
        refinement: what to do to every alpha afterwards; nothing by default.
        estimate: whether ``foreground`` estimates the subject's own colour where it is mixed with what was
            behind it; otherwise it returns the frame as it is.
    """

    name = "matte"

    def __init__(self, refinement: Refinement | None = None, estimate: bool = True) -> None:
        self.refinement = refinement or Refinement()
        self.estimate = estimate

    def __call__(self, frame_bgr: Frame) -> Alpha:
        """Return the frame's alpha.

        Args:
            frame_bgr: uint8 (H, W, 3).

        Returns:
            uint8 (H, W), 255 is subject. It may alias a buffer of the matte until the next call.

        Raises:
            SourceError: the frame is none (see ``check_frame``).
            MatteError: the matte cannot give an alpha for this frame; the hint says what to do.
        """
        check_frame(frame_bgr)
        alpha = check_alpha(self._alpha_impl(frame_bgr), frame_bgr.shape[:2], f"the {self.name} matte")
        return self.refinement.apply(alpha, frame_bgr)

    def foreground(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        """Return the subject's straight colour, free of what was behind it.

        Args:
            frame_bgr: uint8 (H, W, 3), the frame last passed to the matte.
            alpha: uint8 (H, W), what the matte returned for it.

        Returns:
            uint8 (H, W, 3); the frame itself when there is nothing to change. Values where alpha is 0 are
            meaningless.
        """
        return self._foreground_impl(frame_bgr, alpha) if self.estimate else frame_bgr

    def reset(self) -> None:
        """Forget everything learned from earlier frames."""

    def close(self) -> None:
        """Release files and sessions; safe to call twice."""

    def _alpha_impl(self, frame_bgr: Frame) -> Alpha:
        raise NotImplementedError

    def _foreground_impl(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        return estimate_foreground(frame_bgr, alpha)
