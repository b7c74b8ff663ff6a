"""Where samples come from: a subject's footage through the real matte and compositing path, or finished composites."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

from calibration.sampling import EvenSampler
from calibration.shards import Sample
from edge_harmony.backgrounds.open import Background
from edge_harmony.capture.picture import read_colour
from edge_harmony.capture.source import Source, TimedFrame, WrappedSource
from edge_harmony.compose.compositor import Compositor
from edge_harmony.contract import working_view
from edge_harmony.live.subject import Subject
from edge_harmony.matte.file import read_mask
from edge_harmony.pixels.frame import check_alpha

WARM_UP: Final = 10  # frames that a matte with a memory sees before one that is sampled

Advance = Callable[[], None]  # called once for each frame or picture that is passed


def sample_footage(
    source: Source, subject: Subject, background: Background, compositor: Compositor, sampler: EvenSampler,
    advance: Advance,
) -> int:  # fmt: skip
    """Sample a subject on its new background, as ``edge-harmony process`` would show it.

    Mask files go with every frame. Other mattes run on the frames that are sampled and the ``WARM_UP`` before each,
    so that recurrent networks and measured key colours have settled.

    Args:
        source: the subject.
        subject: cuts it out.
        background: what is behind it.
        compositor: shows what the harmonizer would be shown.
        sampler: takes the samples.
        advance: called after each frame.

    Returns:
        How many frames were passed.

    Raises:
        SourceError, MatteError: as ``edge-harmony process``.
    """
    start: Fraction | None = None
    passed = 0
    for frame in source:
        passed += 1
        start = frame.time_s if start is None else start
        ahead = sampler.distance_to_candidate(frame.index)
        if ahead == 0 or (ahead <= WARM_UP and subject.matte is not None):
            colours, alpha = subject.cut(frame, time.monotonic())
            if ahead == 0:
                seen = compositor.view(colours, alpha, background.at(frame.time_s - start, source.size_hw))
                if seen is not None:
                    sampler.offer(frame.index, working_view(*seen))
        advance()
    return passed


def sample_composites(pairs: list[tuple[Path, Path]], sampler: EvenSampler, advance: Advance) -> int:
    """Sample finished composites; returns how many pairs there are.

    Raises:
        SourceError, MatteError: a picture cannot be read, or its mask is of another size.
    """
    compositor = Compositor(None)
    for index, (picture, mask) in enumerate(pairs):
        if sampler.distance_to_candidate(index) == 0:
            sample = composite_sample(compositor, picture, mask)
            if sample is not None:
                sampler.offer(index, sample)
        advance()
    return len(pairs)


def composite_sample(compositor: Compositor, picture: Path, mask: Path) -> Sample | None:
    """What the network sees of a composite; None if it is all subject or all background."""
    composite = read_colour(picture)
    alpha = check_alpha(read_mask(mask), composite.shape[:2], str(mask))
    seen = compositor.view(composite, alpha, composite)
    return None if seen is None else working_view(*seen)


class TimedFootage(WrappedSource):
    """A live source for a number of seconds, as its frames come; enough here, where none need be timely.

    Args:
        source: closed with this one.
        seconds: how long to look, from the first frame.
    """

    def __init__(self, source: Source, seconds: float) -> None:
        super().__init__(source)
        self._seconds = seconds

    def __iter__(self) -> Iterator[TimedFrame]:
        start_s: float | None = None
        for frame in self.source:
            start_s = frame.captured_s if start_s is None else start_s
            if frame.captured_s - start_s >= self._seconds:
                return
            yield frame
