"""The one loop: numbers and times go on, and what was damaged in any round is said."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from edge_harmony.capture.looped import Looped
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import SourceError


class Clip(Source):
    """Frames at given times in 25ths of a second; damaged in its first round."""

    def __init__(self, pts: list[int], duration: int = 1) -> None:
        self.name, self.size_hw, self.rate, self.time_base = "clip", (64, 64), Fraction(25), Fraction(1, 25)
        self.pts, self.duration, self.frame_count = pts, duration, len(pts)
        self.rounds, self.closed_rounds, self._faults = 0, 0, []

    @property
    def faults(self) -> list[str]:
        return self._faults

    def __iter__(self) -> Iterator[TimedFrame]:
        self.rounds += 1
        self._faults = []
        try:
            for index, pts in enumerate(self.pts):
                image = np.full((64, 64, 3), index, np.uint8)
                yield TimedFrame(image, pts, self.time_base, index, None, self.duration)
            self._faults = ["clip: a frame is missing"] if self.rounds == 1 else []
        finally:
            self.closed_rounds += 1


@pytest.mark.parametrize("duration", [1, 0])  # 0: the file does not say, and its rate does
def test_numbers_and_times_go_on(duration: int) -> None:
    looped = Looped(Clip([5, 6, 9], duration))
    frames = list(itertools.islice(looped, 7))
    assert [f.index for f in frames] == list(range(7))
    assert [f.pts for f in frames] == [0, 1, 4, 5, 6, 9, 10]
    assert [int(f.image_bgr[0, 0, 0]) for f in frames] == [0, 1, 2, 0, 1, 2, 0]
    assert looped.frame_count is None


def test_every_round_is_closed_and_its_faults_are_kept() -> None:
    clip = Clip([0, 1])
    looped = Looped(clip)
    with looped.reading() as frames:
        for _ in range(5):
            next(frames)
    assert (clip.rounds, clip.closed_rounds) == (3, 3)
    assert looped.faults == ["clip: a frame is missing"]


def test_a_still_is_repeated_only_where_that_is_wanted() -> None:
    assert len(list(itertools.islice(Looped(Clip([0])), 4))) == 4
    assert len(list(Looped(Clip([0]), repeat_stills=False))) == 1


def test_a_source_without_frames_is_an_error() -> None:
    with pytest.raises(SourceError, match="holds no frame"):
        next(iter(Looped(Clip([]))))
