"""The subject of each frame: its alpha and its own colour, by whichever matte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_harmony.capture.source import TimedFrame
from edge_harmony.errors import MatteError
from edge_harmony.live.plate_countdown import PlateCountdown
from edge_harmony.matte.base import Matte
from edge_harmony.matte.choice import SubjectFollower
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.plate import CleanPlate
from edge_harmony.matte.refine import Refinement
from edge_harmony.pixels.frame import Alpha, Frame, check_alpha
from edge_harmony.run.timing import StageTimer
from edge_harmony.subject_choice import SubjectChoice


class Subject:
    """Cuts the subject out of frame after frame; used by one thread.

    Args:
        matte: what finds the subject; None takes the alpha that came with the frame, or the whole frame.
        estimate: with the frame's own alpha, whether colours at soft edges are estimated (a mask beside the
            video) or straight already (an alpha channel).
        timer: notes ``matte`` and ``foreground``.
        by_plate: a clean plate is to be taken first: until there is one, nothing is subject.
        plate_options: options of ``CleanPlate``.
        note: what ``auto`` took, when that was decided before.
        refinement: what is done to every alpha, unless the matte brings its own.
        choice: who of several people; all by default.

    Attributes:
        matte: the one in use, or None.
        generation: grows when another matte, or another plate, comes into use.
    """

    def __init__(
        self,
        matte: Matte | None,
        estimate: bool,
        timer: StageTimer,
        by_plate: bool = False,
        plate_options: Mapping[str, Any] | None = None,
        refinement: Refinement | None = None,
        note: str = "",
        choice: SubjectChoice | None = None,
    ) -> None:
        self.matte = matte
        self.generation = 0
        self._note = note
        self.countdown = PlateCountdown()
        self._estimate, self._timer = estimate, timer
        self._by_plate, self._plate_options = by_plate or isinstance(matte, CleanPlate), dict(plate_options or {})
        self._refinement = (refinement or Refinement()) if matte is None else matte.refinement
        self._size_hw: tuple[int, int] | None = None
        self._choice = SubjectChoice()
        self._follower: SubjectFollower | None = None
        self._choose(choice or SubjectChoice())

    def follow(self, settings: Mapping[str, Any]) -> None:
        """Take over the refinement, and who is the subject, from a snapshot of ``Controls``."""
        self._choose(SubjectChoice.parse(settings["subject"]))
        wanted = Refinement(
            black=settings["black"], white=settings["white"], gamma=self._refinement.gamma,
            grow=settings["grow"], snap=settings["snap"], feather=settings["feather"],
        )  # fmt: skip
        if wanted != self._refinement:
            self._refinement = wanted
            if self.matte is not None:
                self.matte.refinement = wanted

    def take_plate(self, now_s: float) -> bool:
        """Start the countdown to a clean plate; False when this matte uses none."""
        if self._by_plate:
            self.countdown.start(now_s)
        return self._by_plate

    def cut(self, frame: TimedFrame, now_s: float) -> tuple[Frame, Alpha]:
        """Return the subject's colour, uint8 (H, W, 3), and its alpha, uint8 (H, W), which the caller owns.

        Raises:
            MatteError, SourceError: as the matte does.
        """
        image = frame.image_bgr
        size_hw = (image.shape[0], image.shape[1])
        if self._size_hw is not None and self._size_hw != size_hw:
            self._new_size()
        self._size_hw = size_hw
        if self._by_plate:
            plate = self.countdown.feed(image, now_s)
            if plate is not None:
                self._use_plate(plate)
            elif self.matte is None and not self.countdown.running:
                self.countdown.start(now_s)
        with self._timer.stage("matte"):
            alpha = self._alpha(frame)
            if int(alpha.max()) == 1:  # almost nothing, and of files it is known that they hold more
                alpha = np.zeros_like(alpha)
            if self._follower is not None:
                alpha = self._follower(alpha, image)
        with self._timer.stage("foreground"):
            if self.matte is not None:
                return self.matte.foreground(image, alpha), alpha
            if self._estimate and frame.alpha is not None:
                return estimate_foreground(image, alpha), alpha
            return image, alpha

    @property
    def choice(self) -> str:
        """What ``auto`` took and why; "" before it chose, and where nothing was to be chosen."""
        if self._note:
            return self._note
        chosen: Any = getattr(self.matte, "chosen", None)
        return f"matte: {chosen.spec}, because {chosen.reason}" if chosen else ""

    def reset(self) -> None:
        """Forget earlier frames."""
        if self._follower is not None:
            self._follower.reset()
        if self.matte is not None:
            self.matte.reset()

    def _choose(self, choice: SubjectChoice) -> None:
        """Follow somebody else from now on; nobody where all are the subject."""
        if choice != self._choice:
            self._choice = choice
            self._follower = None if choice.rule == "all" else SubjectFollower(choice)

    def _alpha(self, frame: TimedFrame) -> Alpha:
        image = frame.image_bgr
        if self.matte is not None:
            return self.matte(image).copy()  # a matte may use its array again
        if self._by_plate:
            return np.zeros(image.shape[:2], np.uint8)
        if frame.alpha is None:
            return np.full(image.shape[:2], 255, np.uint8)
        return self._refinement.apply(check_alpha(frame.alpha, image.shape[:2], "the source's alpha"), image)

    def _new_size(self) -> None:
        self.reset()
        if self._by_plate:  # a plate of another size is of no use
            if self.matte is not None:
                self.matte.close()
            self.matte = None

    def _use_plate(self, plate_bgr: Frame) -> None:
        if self.matte is not None:
            self.matte.close()
        try:
            self.matte = CleanPlate(plate_bgr, refinement=self._refinement, **self._plate_options)
        except TypeError as error:
            raise MatteError(f"the clean plate: {error}", "check --matte-option") from error
        self.generation += 1
