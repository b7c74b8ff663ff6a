"""One frame from its parts to the finished picture."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from edge_harmony.backgrounds.fit import fit
from edge_harmony.compose.finish import grain_match, light_wrap
from edge_harmony.compose.grain import Grain, measure_grain
from edge_harmony.compose.scene_change import Change, SceneDetector
from edge_harmony.compose.smoothing import FRAME_S, TransformSmoother
from edge_harmony.contract import IDENTITY, grid_mask, read_down
from edge_harmony.errors import ConfigError
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.harmonize.transfer import Transform, apply_to_checked, packed
from edge_harmony.pixels.frame import Alpha, Frame, check_alpha, check_frame, straight_colour, stretch_binary
from edge_harmony.pixels.over import over
from edge_harmony.run.timing import StageTimer
from edge_harmony.settings import SETTINGS, Checked

_SMOOTHING: Final = SETTINGS["harmonize.smoothing"]
_GRAIN_FRAMES: Final = 8  # a moving background's grain is measured once in as many


class Compositor:
    """Puts a subject on a background, harmonized, frame after frame.

    It keeps the transform of earlier frames (for steadiness) and buffers; it starts no thread and writes nothing, and
    its pictures depend on no clock. Use one for each stream of frames, from one thread at a time.

    The transform is smoothed over time (see ``TransformSmoother``); a cut, or a new background, is noticed and taken
    at once. While nothing but noise changes the network is not asked again: its last transform holds, exactly.

    Attributes:
        strength: 0 leaves the subject's colours alone, 1 harmonizes fully; may be set between frames.
        smoothing: 0 follows every frame, 0.8 settles in half a second, towards 1 ever slower; may be set.
        light_wrap: 0..1, how much of the background's light spills over the subject's edge; may be set.
        grain: 0..1, how much of the background's noise the subject takes on; may be set.
        reused: of how many frames since the start or ``reset`` the network was not asked, because nothing changed.
        timings: milliseconds by stage of ``process``: ``read down``, ``scene``, ``network`` (0 while it is held),
            ``smooth``, ``apply``, ``light wrap`` and ``grain`` where they are on, and ``total`` around them.
    """

    strength = Checked("harmonize.strength")
    light_wrap = Checked("finish.light_wrap")
    grain = Checked("finish.grain")

    def __init__(
        self,
        harmonizer: Harmonizer | None,
        strength: float = 1.0,
        smoothing: float = 0.8,
        light_wrap: float = 0.0,
        grain: float = 0.0,
        fit: str = "cover",
    ) -> None:
        """Set up; nothing is computed.

        Args:
            harmonizer: from ``load_harmonizer``; None composites without changing colours.
            strength: 0..1.
            smoothing: 0 follows every frame, 0.8 settles in half a second; 0.999 at most.
            light_wrap: 0 (off) .. 1.
            grain: 0 (off) .. 1.
            fit: how a background of another shape fills the frame: cover, contain or stretch.

        Raises:
            ConfigError: a value out of range.
        """
        self.harmonizer = harmonizer
        self.strength = strength
        self.light_wrap = light_wrap
        self.grain = grain
        self.timings = StageTimer()
        self._fit = SETTINGS["background.fit"].check(fit, "fit")
        self._threads = None if harmonizer is None else harmonizer.threads
        self._seen_grey = False  # whether an alpha above 1 has come: then 1 is almost nothing, and meant so
        self._smoother = TransformSmoother(smoothing=_SMOOTHING.check(smoothing, "smoothing"))
        self._scene = SceneDetector()
        self._predicted: Transform | None = None  # what the network said last
        self._transform: Transform = IDENTITY
        self._last_s: float | None = None
        self.reused = 0
        self._frames = 0  # since the start or ``reset``: gives each frame its own grain
        self._measured: Frame | None = None
        self._grain: Grain | None = None

    @property
    def smoothing(self) -> float:
        """See the class. Raises ConfigError when set outside its range."""
        return self._smoother.smoothing

    @smoothing.setter
    def smoothing(self, value: float) -> None:
        self._smoother.smoothing = _SMOOTHING.check(value, "smoothing")

    @property
    def transform(self) -> Transform:
        """The transform applied to the last frame: float32 ``contract.TRANSFORM_SHAPE``, the identity at first."""
        return self._transform

    def process(
        self,
        frame_bgr: Frame,
        alpha: Alpha,
        background_bgr: Frame,
        out: Frame | None = None,
        pts_s: float | None = None,
        *,
        premultiplied: bool = False,
        estimate: bool = False,
    ) -> Frame:
        """Composite and harmonize one frame.

        Args:
            frame_bgr: uint8 (H, W, 3), the subject's straight colour (see ``Matte.foreground``).
            alpha: uint8 (H, W), or bool or float 0..1; of this very frame. As long as no frame had more, one of 0 and 1
                in uint8 is taken as a bool, with a logged warning.
            background_bgr: uint8 (h, w, 3); brought to the frame's size by the ``fit`` of the constructor. Mark a
                still one read-only (``setflags(write=False)``) and pass the same array each time: its grain is then
                measured once.
            out: uint8 (H, W, 3) to write into; must not be one of the inputs. None makes a new array.
            pts_s: when the frame is shown, in seconds: the colours then settle as quickly at any frame rate. Without
                it, or where it does not grow, a thirtieth of a second after the last frame.

            premultiplied: whether the colours of ``frame_bgr`` are multiplied by alpha already, as many renderers give
                them.
            estimate: whether ``frame_bgr`` is as filmed, with what was behind the subject mixed in at soft edges: the
                subject's own colour is then estimated, about 6 ms at 1080p.

        Returns:
            uint8 (H, W, 3), which shares no memory with this object. Where alpha is 0 it is the fitted background
            to the bit (grain and light wrap too act on the subject only).

        Raises:
            SourceError: a frame is no 8-bit BGR picture of at least 64 x 64.
            MatteError: alpha of another size or type, NaN, out of range.
        """
        with self.timings.stage("total"):
            frame_bgr, alpha, background_bgr = self._check(frame_bgr, alpha, background_bgr)
            frame_bgr = _own_colour(frame_bgr, alpha, premultiplied, estimate)
            transform = self._next_transform(frame_bgr, alpha, background_bgr, self._elapsed_s(pts_s))
            with self.timings.stage("apply"):
                out = apply_to_checked(frame_bgr, alpha, background_bgr, transform, self.strength, out, self._threads)
            if self.light_wrap:
                with self.timings.stage("light wrap"):
                    light_wrap(out, alpha, background_bgr, self.light_wrap, out=out, threads=self._threads)
            if self.grain:
                with self.timings.stage("grain"):
                    measured = self._grain_of(background_bgr)
                    grain_match(
                        out, alpha, background_bgr, self.grain, self._frames,
                        background_grain=measured, out=out, threads=self._threads,
                    )  # fmt: skip
            self._frames += 1
            return out

    def cut_out(
        self,
        frame_bgr: Frame,
        alpha: Alpha,
        background_bgr: Frame,
        pts_s: float | None = None,
        *,
        premultiplied: bool = False,
        estimate: bool = False,
    ) -> Frame:
        """The harmonized subject alone, with its alpha, to be composited elsewhere; in ``process``'s place.

        Over the same background it is what ``process`` gives, to a code value, but for light wrap and grain, which
        belong to the place where it is composited.

        Args:
            frame_bgr, alpha, background_bgr, pts_s, premultiplied, estimate: as for ``process``.

        Returns:
            uint8 (H, W, 4), BGRA, straight alpha; black where alpha is 0.

        Raises:
            SourceError, MatteError: as ``process``.
        """
        with self.timings.stage("total"):
            frame_bgr, alpha, background_bgr = self._check(frame_bgr, alpha, background_bgr)
            frame_bgr = _own_colour(frame_bgr, alpha, premultiplied, estimate)
            transform = self._next_transform(frame_bgr, alpha, background_bgr, self._elapsed_s(pts_s))
            with self.timings.stage("apply"):
                out = self._alone(frame_bgr, alpha, transform)
            self._frames += 1
            return out

    def cut_out_again(self, frame_bgr: Frame, alpha: Alpha) -> Frame:
        """The harmonized subject alone, of the frame that ``process`` was given last; changes no state.

        Args:
            frame_bgr, alpha: as ``process`` was given them, the subject's own colours.

        Returns:
            As ``cut_out``.
        """
        frame_bgr, alpha, _ = self._check(frame_bgr, alpha, frame_bgr)
        return self._alone(frame_bgr, alpha, self._transform)

    def _alone(self, frame_bgr: Frame, alpha: Alpha, transform: Any) -> Frame:
        solid = cv2.threshold(alpha, 0, 255, cv2.THRESH_BINARY)[1]
        nothing = np.zeros_like(frame_bgr)
        colour = apply_to_checked(frame_bgr, solid, nothing, transform, self.strength, None, self._threads)
        return cv2.merge([colour, alpha])

    def composite(
        self,
        frame_bgr: Frame,
        alpha: Alpha,
        background_bgr: Frame,
        *,
        premultiplied: bool = False,
        estimate: bool = False,
    ) -> Frame:
        """The plain composite of the same inputs, without any change of colour; changes no state."""
        frame_bgr, alpha, background_bgr = self._check(frame_bgr, alpha, background_bgr)
        frame_bgr = _own_colour(frame_bgr, alpha, premultiplied, estimate)
        return over(frame_bgr, alpha, background_bgr)

    def view(self, frame_bgr: Frame, alpha: Alpha, background_bgr: Frame) -> tuple[Frame, Alpha] | None:
        """What the harmonizer is shown of the same inputs; changes no state.

        Returns:
            uint8 (512, 512, 3) and uint8 (512, 512), see ``edge_harmony.contract.pack_view``; None where there is
            nothing to compare, because the frame is all subject or all background.
        """
        return _view(*self._check(frame_bgr, alpha, background_bgr))

    def reset(self) -> None:
        """Forget earlier frames, as for a new source or background; the next frame's colours are taken at once."""
        self._smoother.reset()
        self._scene.reset()
        self._seen_grey = False
        self._predicted = None
        self._transform = IDENTITY
        self._last_s = None
        self._grain = None
        self._frames = self.reused = 0

    def _check(self, frame_bgr: Any, alpha: Any, background_bgr: Any) -> tuple[Frame, Alpha, Frame]:
        """The one look at what comes in, by which the stages after it need not ask: of one size, and packed."""
        frame = packed(check_frame(frame_bgr), self._threads)
        size_hw = frame.shape[:2]
        cover = check_alpha(alpha, size_hw, "alpha")
        if not self._seen_grey:  # a fade passes through 1; it began, or ends, with more
            self._seen_grey = bool(cover.max() > 1)
            cover = cover if self._seen_grey else stretch_binary(cover, "alpha")
        cover = packed(cover, self._threads)
        background = packed(check_frame(background_bgr, "background"), self._threads)
        return frame, cover, background if background.shape[:2] == size_hw else fit(background, size_hw, self._fit)

    def _elapsed_s(self, pts_s: float | None) -> float:
        """Seconds since the last frame."""
        before, self._last_s = self._last_s, pts_s
        if before is None or pts_s is None or not pts_s > before:
            return FRAME_S
        return pts_s - before

    def _next_transform(self, frame_bgr: Frame, alpha: Alpha, background_bgr: Frame, elapsed_s: float) -> Transform:
        """The smoothed transform of this frame; held where there is nothing to compare, subject or background."""
        if self.harmonizer is None:
            return IDENTITY
        with self.timings.stage("read down"):
            seen = _view(frame_bgr, alpha, background_bgr)
        if seen is None:
            return self._transform
        view, small_alpha = seen
        with self.timings.stage("scene"):
            change = self._scene.update(view, small_alpha)
        if change is Change.STILL and self._predicted is not None and self.smoothing > 0.0:
            self.reused += 1
            self.timings.add("network", 0.0)
        else:
            with self.timings.stage("network"):
                self._predicted = self.harmonizer.transform(view, small_alpha)
        with self.timings.stage("smooth"):
            cut = change is Change.CUT
            if cut:
                self._grain = None
            self._transform = self._smoother.update(self._predicted, grid_mask(small_alpha), cut, elapsed_s)
        return self._transform

    def _grain_of(self, background_bgr: Frame) -> Grain:
        """The background's grain: a still one's (see ``process``) measured once, else every few frames and at cuts."""
        still = not background_bgr.flags.writeable
        known = background_bgr is self._measured if still else self._measured is None and self._frames % _GRAIN_FRAMES
        if self._grain is None or not known:
            self._measured = background_bgr if still else None
            self._grain = measure_grain(background_bgr)
        return self._grain


def _own_colour(frame_bgr: Frame, alpha: Alpha, premultiplied: bool, estimate: bool) -> Frame:
    if premultiplied and estimate:
        raise ConfigError("premultiplied and estimate do not go together", "premultiplied colours need no estimate")
    if premultiplied:
        return straight_colour(frame_bgr, alpha)
    if estimate:
        from edge_harmony.matte.foreground import estimate_foreground

        return estimate_foreground(frame_bgr, alpha)
    return frame_bgr


def _view(frame_bgr: Frame, alpha: Alpha, background_bgr: Frame) -> tuple[Frame, Alpha] | None:
    small_alpha = read_down(alpha)
    if not small_alpha.any() or small_alpha.min() == 255:
        return None
    return over(read_down(frame_bgr), small_alpha, read_down(background_bgr)), small_alpha
