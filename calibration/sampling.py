"""Choosing samples: evenly over a source of any length, none nearly like another, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.shards import Sample
from edge_harmony.contract import WORKING_SIZE
from edge_harmony.errors import SinkError

THUMBNAIL_SIZE: Final = 16  # cells, side of the square on which two views are compared
MIN_DISTANCE: Final = 2.3  # the just noticeable difference in CIELAB (Mahy et al. 1994)

_VALUES: Final = 4 * THUMBNAIL_SIZE * THUMBNAIL_SIZE
_FAR: Final = np.float32(1e4)  # the thumbnail of a slot that is not used: unlike every other
_PIXELS: Final = WORKING_SIZE * WORKING_SIZE


def thumbnail(sample: Sample) -> NDArray[np.float32]:
    """What two samples are compared by: float32 (1024,), CIELAB colour and 100 x coverage of 16 x 16 cells."""
    size = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    view, mask = (cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_AREA) for part in sample)
    lab = cv2.cvtColor(view / np.float32(255.0), cv2.COLOR_BGR2LAB)
    return np.concatenate((lab, mask[..., None] * np.float32(100.0 / 255.0)), axis=2).reshape(-1)


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """How unlike two thumbnails are, or each of several (n, 1024) and one.

    The root mean square over the cells of their difference in CIELAB (Delta E 1976) and in coverage, where a cell
    that is all subject in one and none in the other counts as black against white: 100. Camera noise averages out in
    a cell and stays well below 1. (Computed without a temporary of the thumbnails' size; exact to 0.1.)
    """
    squared = np.einsum("...i,...i", one, one) - 2 * (one @ other) + other @ other
    return np.sqrt(np.maximum(squared, 0) / np.float32(THUMBNAIL_SIZE * THUMBNAIL_SIZE))


@dataclass(frozen=True)
class _Kept:
    index: int  # of the frame in its source
    slot: int  # where the spool holds the sample and ``_thumbnails`` its thumbnail


class EvenSampler:
    """Keeps ``count`` samples spread evenly over a source whose length need not be known.

    Every ``stride``-th frame is a candidate. A candidate nearly like a kept one is left out. When more than twice the
    count are kept, every other one is dropped and the stride doubled, so that those kept are spread evenly over what
    has been seen, at any time. Samples wait in a temporary file: memory holds their thumbnails alone (4 kB each), at
    most ``2 * count + 1`` and those of the set that is added to.

    Args:
        count: how many to keep at the end, at least 1.
        length: number of frames, where it is known: saves looking at frames that would be dropped.
        min_distance: candidates nearer than this to a kept one are duplicates (see ``distance``).
        known: thumbnails of samples that are there already.
    """

    def __init__(
        self,
        count: int,
        length: int | None = None,
        min_distance: float = MIN_DISTANCE,
        known: list[NDArray[np.float32]] | None = None,
    ) -> None:
        self.stride = 1
        self.candidates = 0
        self.duplicates = 0
        self._count = count
        self._min_distance = min_distance
        self._known = np.array(known or np.empty((0, _VALUES)), np.float32)
        self._thumbnails = np.full((2 * count + 1, _VALUES), _FAR, np.float32)
        self._kept: list[_Kept] = []
        self._spool = _Spool()
        while length is not None and length // self.stride >= 4 * count:
            self.stride *= 2

    def __len__(self) -> int:
        """How many samples there would be if the source ended now."""
        return min(self._count, len(self._kept))

    def distance_to_candidate(self, index: int) -> int:
        """Number of frames from this one to the next candidate; 0 if it is one itself."""
        return -index % self.stride

    def offer(self, index: int, sample: Sample) -> bool:
        """Take a candidate, in rising order of ``index``; False if it is nearly like one that is kept."""
        self.candidates += 1
        small = thumbnail(sample)
        for seen in (self._known, self._thumbnails[: self._spool.slots]):
            if len(seen) and float(distance(seen, small).min()) < self._min_distance:
                self.duplicates += 1
                return False
        slot = self._spool.put(sample)
        self._thumbnails[slot] = small
        self._kept.append(_Kept(index, slot))
        while len(self._kept) > 2 * self._count:
            self.stride *= 2
            for kept in self._kept:
                if kept.index % self.stride:
                    self._spool.free(kept.slot)
                    self._thumbnails[kept.slot] = _FAR
            self._kept = [kept for kept in self._kept if not kept.index % self.stride]
        return True

    def chosen(self) -> Iterator[Sample]:
        """The samples, in the source's order."""
        total = len(self._kept)
        for i in range(len(self)):
            yield self._spool.get(self._kept[i * total // len(self)].slot)

    def close(self) -> None:
        """Remove the temporary file."""
        self._spool.close()


class _Spool:
    """Samples in a temporary file, each in a slot that can be used again."""

    _BYTES = 4 * _PIXELS

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by ``close``
        self._free: list[int] = []
        self.slots = 0  # in use or free

    def put(self, sample: Sample) -> int:
        slot = self._free.pop() if self._free else self.slots
        self.slots = max(self.slots, slot + 1)
        try:
            self._file.seek(slot * self._BYTES)
            self._file.write(sample[0].tobytes() + sample[1].tobytes())
        except OSError as error:
            raise SinkError(
                f"the temporary file cannot be written: {error.strerror}", "free some space, or set TMPDIR to a folder"
            ) from error
        return slot

    def get(self, slot: int) -> Sample:
        self._file.seek(slot * self._BYTES)
        data = np.frombuffer(self._file.read(self._BYTES), np.uint8)
        return data[: 3 * _PIXELS].reshape(WORKING_SIZE, WORKING_SIZE, 3), data[3 * _PIXELS :].reshape(
            WORKING_SIZE, WORKING_SIZE
        )

    def free(self, slot: int) -> None:
        self._free.append(slot)

    def close(self) -> None:
        self._file.close()
