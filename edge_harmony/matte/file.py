"""A matte that exists already: a mask picture, a mask video, or the alpha channel of either."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import MatteError
from edge_harmony.matte.base import Matte
from edge_harmony.matte.refine import Refinement
from edge_harmony.matte.track import fit_mask, grey_of
from edge_harmony.pixels.frame import Alpha, Frame

_log = logging.getLogger(__name__)


class AlphaFile(Matte):
    """Alpha from a file: one picture for every frame, or a video (or folder of pictures), one mask a frame.

    Frames and masks belong together by number; ``reset`` goes back to the first mask. Where the frames' source is at
    hand, ``MaskTrack`` holds both against each other first.

    Args:
        path: a grey or RGBA picture, a video, a folder of pictures, or a pattern of their names.
        refinement: see ``Matte``.
        estimate: whether ``foreground`` estimates straight colours; None does so unless the file is one with an
            alpha channel, whose colours are straight by definition.

    Raises:
        SourceError: the file is missing or cannot be read.
        MatteError: it is a colour picture without an alpha channel.
    """

    name = "file"

    def __init__(self, path: str | Path, refinement: Refinement | None = None, estimate: bool | None = None) -> None:
        # Imported here: capture is another branch of the house, and needs PyAV for videos.
        from edge_harmony.capture.file import open_file
        from edge_harmony.capture.kind import kind_of

        self.path = Path(path)
        self._still: Alpha | None = None
        self._source = None
        self._masks: Iterator[Alpha] | None = None
        self._used = 0
        if kind_of(self.path) == "picture":
            self._still, straight = _read_alpha(self.path)
        else:
            self._source = open_file(path)
            straight = self._source.has_alpha
        super().__init__(refinement, (not straight) if estimate is None else estimate)

    def reset(self) -> None:
        """Go back to the first mask."""
        self._masks = None
        self._used = 0

    def close(self) -> None:
        """Close the video."""
        self._masks = None
        if self._source is not None:
            self._source.close()

    def _alpha_impl(self, frame_bgr: Frame) -> Alpha:
        alpha = self._still
        if alpha is None:
            if self._masks is None:
                self._masks = self._read_masks()
            alpha = next(self._masks, None)
            if alpha is None:
                raise MatteError(
                    f"the mask video {self.path} ends after {self._used} frames but the video goes on",
                    "use the mask made from this very video, or cut the video to its length",
                )
            self._used += 1
        return fit_mask(alpha, (frame_bgr.shape[0], frame_bgr.shape[1]), self.path)

    def _read_masks(self) -> Iterator[Alpha]:
        source = self._source
        assert source is not None
        for frame in source.masks():
            yield frame.alpha if frame.alpha is not None else _from_picture(frame.image_bgr, self.path)


def read_mask(path: str | Path) -> Alpha:
    """Read a mask picture.

    Args:
        path: a grey picture, one whose channels agree, or one with an alpha channel (then that is the mask).

    Returns:
        uint8 (H, W), 255 is subject. A mask of zeros and ones is stretched to 0 and 255, with a warning.

    Raises:
        SourceError: the file is missing or cannot be read, or holds more than 8 bits a channel.
        MatteError: a colour picture without an alpha channel.
    """
    return _read_alpha(Path(path))[0]


def _read_alpha(path: Path) -> tuple[Alpha, bool]:
    """The mask in a picture, and whether it was the picture's alpha channel."""
    from edge_harmony.capture.picture import read_picture

    picture = read_picture(path, mask=True)
    if picture.ndim == 3 and picture.shape[2] == 4:
        alpha = np.ascontiguousarray(picture[:, :, 3])
        if alpha.min() < 255:
            return alpha, True
        picture = picture[:, :, :3]  # an alpha channel that says nothing: the colours may be a mask
    return _from_picture(picture, path), False


def _from_picture(picture: NDArray[np.uint8], path: Path) -> Alpha:
    """Grey or BGR to uint8 (H, W)."""
    picture = grey_of(picture, path)
    if picture.max() == 1:
        _log.warning("%s holds only 0 and 1: 1 is taken as fully subject", path)
        picture = picture * np.uint8(255)
    return picture
