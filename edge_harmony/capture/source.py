"""What every source of frames has in common."""

from __future__ import annotations

import contextlib
import difflib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SourceError


@dataclass(frozen=True)
class TimedFrame:
    """One picture with its place in time.

    Attributes:
        image_bgr: uint8 (H, W, 3), BGR, upright. The receiver owns it: no source writes into it again.
        pts: presentation time in units of ``time_base``, as the file says it.
        time_base: seconds in one unit of ``pts``.
        index: number of the frame in its source, from 0.
        alpha: uint8 (H, W) straight alpha where the source carries one, else None.
        duration: how long the frame is shown, in units of ``time_base``; 0 where the file does not say.
        name: name of the picture's file in a sequence of pictures, else "".
        captured_s: ``time.monotonic()`` when the picture reached us: when the camera or network delivered it, when a
            file was decoded, when a paced file's frame was due. 0.0 where nobody noted it.
    """

    image_bgr: NDArray[np.uint8]
    pts: int
    time_base: Fraction
    index: int
    alpha: NDArray[np.uint8] | None = None
    duration: int = 0
    name: str = ""
    captured_s: float = 0.0

    @property
    def time_s(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base


class Source(ABC):
    """Frames in order, once for each ``iter()``.

    Every iteration of a file starts at the beginning again; every iteration of a camera or network stream connects
    anew, and one iteration at a time is possible. A source is used by one thread; only ``interrupt`` may be called
    from another.

    Attributes:
        name: what to call the source in a message.
        size_hw: height and width of every frame, after rotation; of the first one where ``reconnects`` is true, whose
            later frames may have another.
        rate: average frames a second, exact; a hint only, the truth is in each frame's ``pts``.
        time_base: seconds in one unit of ``pts``.
        frame_count: how many frames there should be, or None where the file does not say.
        sample_aspect_ratio: width of a pixel divided by its height, after rotation.
        has_alpha: whether frames come with an ``alpha`` of their own that is not opaque everywhere.
        timed: whether its frames carry times of their own, as a video file's do and a folder's do not.
        straight: whether the colours of frames with an alpha are the subject's own, as in files with an alpha channel;
            else what was behind is mixed in at soft edges, as beside a mask.
        live: whether frames come at their own pace, so that a slow reader has to leave some out.
        reconnects: whether an iteration that fails, or ends, may be tried again: cameras and network streams.
        skipped: how many frames were left out so far to catch up with a live stream; files leave none out.
        undecodable: how many frames were left out so far because they could not be decoded; files leave none out.
    """

    name: str
    size_hw: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    frame_count: int | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    has_alpha: bool = False
    timed: bool = False
    straight: bool = False
    live: bool = False
    reconnects: bool = False
    skipped: int = 0
    undecodable: int = 0

    @abstractmethod
    def __iter__(self) -> Iterator[TimedFrame]:
        """Yield every frame.

        Raises:
            SourceError: a frame cannot be read, has another size, or the file ends before it should; the camera or
                stream was lost.
        """

    @contextlib.contextmanager
    def reading(self) -> Generator[Iterator[TimedFrame]]:
        """One iteration, which is closed at the end of the ``with``, in the thread that used it."""
        frames = iter(self)
        try:
            yield frames
        finally:
            close = getattr(frames, "close", None)  # generators have it, other iterators need not
            if close is not None:
                close()

    def masks(self) -> Iterator[TimedFrame]:
        """As iterating; a source that holds masks gives them as ``alpha``, without colours where it can."""
        return iter(self)

    def samples(self, count: int) -> Iterator[TimedFrame]:
        """A few frames from all over a source that has an end, the first one first, ``count`` at most."""
        return itertools.islice(iter(self), min(count, 1))

    def times(self) -> list[Fraction] | None:
        """The presentation time of every frame, in seconds, sorted, found without decoding; None where unknown."""
        return None

    def describe(self) -> str:
        """One line for the user: what it is, and what was asked for and obtained. Holds no password."""
        height, width = self.size_hw
        return f"{self.name}: {width}x{height}, {rate_words(self.rate)} frames a second"

    @property
    def faults(self) -> list[str]:
        """What was damaged or missing in the last iteration of a file, a sentence each; live sources count instead."""
        return []

    def interrupt(self) -> None:  # noqa: B027 - a file's next frame never takes long
        """Ask the iteration that runs in another thread to end soon; it then stops without an error."""

    def original(self) -> Source:
        """The source itself, or the innermost one that it is made of (see ``WrappedSource``)."""
        return self

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open between iterations
        """Let go of everything held open; may be called twice."""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WrappedSource(Source):
    """A source made of another, of which it says what the other says of itself.

    Args:
        source: closed with this one.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name, self.size_hw, self.rate = source.name, source.size_hw, source.rate
        self.time_base, self.frame_count, self.timed = source.time_base, source.frame_count, source.timed
        self.sample_aspect_ratio = source.sample_aspect_ratio
        self.has_alpha, self.straight = source.has_alpha, source.straight

    def describe(self) -> str:
        """What the source says of itself."""
        return self.source.describe()

    def times(self) -> list[Fraction] | None:
        """As of the source."""
        return self.source.times()

    @property
    def faults(self) -> list[str]:
        """As of the source."""
        return self.source.faults

    def original(self) -> Source:
        """The innermost source."""
        return self.source.original()

    def interrupt(self) -> None:
        """Pass it on."""
        self.source.interrupt()

    def close(self) -> None:
        """Close the source."""
        self.source.close()


def rate_words(rate: Fraction) -> str:
    """A rate for people: ``25``, ``29.97``."""
    return f"{float(rate):.2f}".rstrip("0").rstrip(".")


def require_file(path: Path) -> Path:
    """Return ``path`` if it is a file; otherwise raise ``SourceError`` with the nearest name that exists."""
    if path.is_file():
        return path
    if path.is_dir():
        raise SourceError(f"{path} is a folder, a file is needed", "name one of the files in it")
    if path.exists():
        raise SourceError(
            f"{path} is a pipe or a device, a file is needed",
            "videos and pictures are read more than once: save it to a file first. A live stream comes by its address "
            "(tcp://, udp://) or as a GStreamer pipeline ('fdsrc ! ...')",
        )
    if not path.parent.is_dir():
        raise SourceError(f"{path}: no such file", f"there is no folder {path.parent}; check the path")
    near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], 1)
    hint = f"did you mean {path.with_name(near[0])}?" if near else f"check the name; it is not in {path.parent}"
    raise SourceError(f"{path}: no such file", hint)
