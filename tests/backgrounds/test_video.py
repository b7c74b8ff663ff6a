"""The background's own clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_harmony.backgrounds.video import VideoBackground
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.capture.video import VideoFile
from tests.capture.scenes import write_clip

SIZE_HW = (64, 64)


class Clip(Source):
    """Frames at given times; each is a picture of its own number."""

    def __init__(self, pts: list[int], time_base: Fraction) -> None:
        self.name, self.size_hw, self.rate, self.time_base = "clip", (64, 64), 1 / time_base, time_base
        self.pts = pts

    def __iter__(self):
        for index, pts in enumerate(self.pts):
            yield TimedFrame(np.full((64, 64, 3), index, np.uint8), pts, self.time_base, index, None, 1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pts=st.lists(st.integers(0, 60), min_size=2, max_size=8, unique=True).map(sorted),
    times=st.lists(st.fractions(0, 30, max_denominator=60), min_size=1, max_size=40).map(sorted),
)
def test_the_frame_due_is_the_frame_shown(pts: list[int], times: list[Fraction]) -> None:
    time_base = Fraction(1, 25)
    background = VideoBackground(Clip(pts, time_base), SIZE_HW)
    length = (pts[-1] + 1 - pts[0]) * time_base
    for time_s in times:
        within = time_s % length
        due = max(i for i, p in enumerate(pts) if (p - pts[0]) * time_base <= within)
        assert background.at(time_s, SIZE_HW)[0, 0, 0] == due


def test_a_still_is_read_once() -> None:
    background = VideoBackground(Clip([0], Fraction(1, 25)), SIZE_HW)
    first = background.at(Fraction(0), SIZE_HW)
    assert background.at(Fraction(1000), SIZE_HW) is first


def test_a_video_behind_another_rate(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "bg.mp4", 10, time_base=Fraction(1, 10)))
    background = VideoBackground(source, source.size_hw)
    shown = [int(background.at(Fraction(i, 25), source.size_hw)[0, 0, 0]) for i in range(60)]
    frames = [int(f.image_bgr[0, 0, 0]) for f in source]
    assert shown == [frames[i * 10 // 25 % 10] for i in range(60)]
    background.close()


def test_no_frame_is_read_before_its_time() -> None:
    clip = Clip([0, 1, 2, 3], Fraction(1, 25))
    read: list[int] = []

    class Watched(Clip):
        def __iter__(self):
            for frame in Clip.__iter__(self):
                read.append(frame.index)
                yield frame

    background = VideoBackground(Watched(clip.pts, clip.time_base), SIZE_HW)
    for number in range(4):
        assert background.at(Fraction(number, 25), SIZE_HW)[0, 0, 0] == number
        assert read == list(range(number + 1))
