"""The masks that belong to a video: held against it when they are opened, and found for each of its frames."""

from __future__ import annotations

import bisect
import itertools
import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import MatteError
from edge_harmony.notice import note
from edge_harmony.pixels.frame import Alpha

if TYPE_CHECKING:  # capture is another branch of the house
    from edge_harmony.capture.source import Source, TimedFrame

_log = logging.getLogger(__name__)

_LOOKS: Final = 5  # frames of a mask video that are looked at before the work
_SAME_RATE: Final = Fraction(1, 200)
_STEADY: Final = Fraction(1, 4)  # by how much steps of a constant rate may differ: times are rounded to milliseconds
_MOST_SCALE: Final = 4.0
_GREY_SPREAD: Final = 40  # code values: a pixel whose channels differ by more is coloured, not a stained grey
_COLOURED_SHARE: Final = 0.02  # a mask with more coloured pixels than this is most likely the wrong file


class MaskTrack:
    """One mask for every frame of a source.

    The file is a picture, which serves every frame; or a video, a folder or a pattern of pictures. As many masks as
    frames belong together by number, whatever their rates say. Other numbers that last equally long, as of a video of a
    variable rate and the constant one that a tool made of it, belong together by time. Anything else is refused here,
    before the work.

    Attributes:
        straight: whether the masks are an alpha channel, whose colours are straight by definition.
    """

    def __init__(self, path: str | Path, source: Source) -> None:
        """Open the masks and hold them against the source.

        Raises:
            SourceError: the file is missing or cannot be read.
            MatteError: it is in colour and has no alpha channel, is of another shape, or does not belong to the source.
        """
        from edge_harmony.capture.file import open_file

        self.path = Path(path)
        self._masks = open_file(path)
        self._shown: Iterator[TimedFrame] | None = None
        self._held: tuple[int, Alpha] | None = None
        self.straight = self._masks.has_alpha
        looked = list(self._masks.samples(_LOOKS))
        self._stretch = False
        if not self.straight:
            greys = [grey_of(frame.image_bgr, self.path) for frame in looked]
            self._stretch = bool(greys) and max(int(grey.max()) for grey in greys) == 1
        if self._stretch:
            _log.warning("%s holds only 0 and 1: 1 is taken as fully subject", path)
        check_mask_size(self._masks.size_hw, source.size_hw, self.path)
        self._still = self._masks.frame_count == 1 and not self._masks.timed
        times, mask_times = (None, None) if self._still else (source.times(), self._masks.times())
        self._times, self._mask_times = times or None, mask_times or None
        self._numbers: Sequence[int] | None = None
        if self._times and self._mask_times:
            timed = source.timed and self._masks.timed
            self._numbers = pair(self._times, self._mask_times, source.name, str(path), by_time=timed)

    @property
    def masks(self) -> Source:
        """Where the masks come from."""
        return self._masks

    def rewind(self) -> None:
        """Go back to the first mask."""
        close = getattr(self._shown, "close", None)
        if close is not None:
            close()
        self._shown = self._held = None

    def at(self, frame: TimedFrame) -> Alpha:
        """The mask of a frame of the source: uint8 (H, W); asked for in the order of the frames.

        Raises:
            MatteError: there is none.
        """
        size_hw = (frame.image_bgr.shape[0], frame.image_bgr.shape[1])
        number = frame.index if self._times is None else nearest(self._times, frame.time_s)
        wanted = 0 if self._still else number if self._numbers is None else self._numbers[number]
        if self._shown is None:
            self._shown = self._masks.masks()
        while self._held is None or self._held[0] < wanted:
            mask = next(self._shown, None)
            if mask is None:
                break
            at = mask.index if not self._mask_times else nearest(self._mask_times, mask.time_s)
            self._held = at, self._alpha_of(mask)
        if self._held is None or (self._held[0] < wanted and self._numbers is None):
            count = 0 if self._held is None else self._held[0] + 1
            raise MatteError(
                f"the masks of {self.path} end after {count} frames but the video goes on",
                "use the mask made from this very video, or cut the video to its length",
            )
        return fit_mask(self._held[1], size_hw, self.path)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self.rewind()
        self._masks.close()

    def _alpha_of(self, mask: TimedFrame) -> Alpha:
        alpha = mask.alpha if mask.alpha is not None else grey_of(mask.image_bgr, self.path)
        return cv2.compare(alpha, 0, cv2.CMP_GT).astype(np.uint8, copy=False) if self._stretch else alpha


def pair(
    times: Sequence[Fraction], mask_times: Sequence[Fraction], name: str, mask_name: str, *, by_time: bool = True
) -> list[int]:
    """Which mask belongs to which frame.

    Args:
        times: when each frame is shown, in seconds, sorted.
        mask_times: the same of the masks.
        name, mask_name: for messages.
        by_time: whether both have times of their own, so that other numbers may fit by them.

    Returns:
        The mask's number for each frame.

    Raises:
        MatteError: they do not belong together.
    """
    if len(times) == len(mask_times):
        return list(range(len(times)))
    step, mask_step = _step(times), _step(mask_times)
    length, mask_length = times[-1] - times[0] + step, mask_times[-1] - mask_times[0] + mask_step
    alike = abs(step / mask_step - 1) < _SAME_RATE and _is_steady(times, step) and _is_steady(mask_times, mask_step)
    if not by_time or alike or abs(length - mask_length) > 2 * max(step, mask_step):
        lasts = f" ({float(length):.2f} s)", f" ({float(mask_length):.2f} s)"
        raise MatteError(
            f"{mask_name} has {len(mask_times)} masks{lasts[1] if by_time else ''} but {name} has "
            f"{len(times)} frames{lasts[0] if by_time else ''}: they do not belong together",
            "use the mask made from this very video, or cut both alike; another rate is fine if they last equally long",
        )
    note(_log, "%s: %d masks for %d frames, paired by time", mask_name, len(mask_times), len(times))
    ends = [*times[1:], times[-1] + step]
    shown = [mask_time - mask_times[0] for mask_time in mask_times]
    middles = ((start + end) / 2 - times[0] for start, end in zip(times, ends, strict=True))
    return [max(0, bisect.bisect_right(shown, middle) - 1) for middle in middles]


def nearest(times: Sequence[Fraction], time_s: Fraction) -> int:
    """The number of the time, in a sorted sequence, that lies nearest."""
    after = bisect.bisect_left(times, time_s)
    if after == 0:
        return 0
    if after == len(times) or time_s - times[after - 1] <= times[after] - time_s:
        return after - 1
    return after


def grey_of(picture: NDArray[np.uint8], path: Path) -> Alpha:
    """A mask's picture, uint8 (H, W) or (H, W, 3) BGR, as uint8 (H, W); ``MatteError`` when it is in colour."""
    if picture.ndim == 2:
        return picture
    spread = picture.max(axis=2).astype(np.int16) - picture.min(axis=2)
    if float((spread > _GREY_SPREAD).mean()) > _COLOURED_SHARE:
        raise MatteError(
            f"{path} is a colour picture or video, not a mask",
            "give the mask (white is the subject), or a picture or video with an alpha channel",
        )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)


def check_mask_size(mask_hw: tuple[int, int], size_hw: tuple[int, int], path: Path) -> None:
    """Raise ``MatteError`` unless ``fit_mask`` takes a mask of this size."""
    (rows, columns), (height, width) = mask_hw, size_hw
    if _is_padded(mask_hw, size_hw):
        return
    scale = width / columns
    if 1 / _MOST_SCALE <= scale <= _MOST_SCALE and abs(rows * scale - height) <= max(1.0, scale):
        return
    raise MatteError(
        f"{path} is {columns} x {rows} but the frame is {width} x {height}",
        f"use the mask made for this frame, or scale it to {width} x {height} first",
    )


def fit_mask(alpha: Alpha, size_hw: tuple[int, int], path: Path) -> Alpha:
    """Bring a mask of the frame's shape to its size: uint8 (H, W); the same array where it has it.

    A row or column too many, which 4:2:0 gave to a video of odd size, is cut off.

    Raises:
        MatteError: it is of another shape, or more than four times larger or smaller.
    """
    if alpha.shape == size_hw:
        return alpha
    mask_hw = (alpha.shape[0], alpha.shape[1])
    check_mask_size(mask_hw, size_hw, path)
    height, width = size_hw
    if _is_padded(mask_hw, size_hw):
        return np.ascontiguousarray(alpha[:height, :width])
    way = cv2.INTER_AREA if width < alpha.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(alpha, (width, height), interpolation=way).astype(np.uint8, copy=False)


def _is_padded(mask_hw: tuple[int, int], size_hw: tuple[int, int]) -> bool:
    return all(side in (wanted, wanted + wanted % 2) for side, wanted in zip(mask_hw, size_hw, strict=True))


def _steps(times: Sequence[Fraction]) -> list[Fraction]:
    return [after - before for before, after in itertools.pairwise(times)]


def _step(times: Sequence[Fraction]) -> Fraction:
    """The usual time from frame to frame, in seconds."""
    return median(_steps(times)) or Fraction(1, 1000) if len(times) > 1 else Fraction(1, 25)


def _is_steady(times: Sequence[Fraction], step: Fraction) -> bool:
    return all(abs(one - step) <= _STEADY * step for one in _steps(times))
