"""Files as sources: a video, a picture, a folder of pictures, or a pattern of their names."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from edge_harmony.capture.animation import Animation
from edge_harmony.capture.kind import kind_of
from edge_harmony.capture.picture import DEFAULT_RATE, PictureSequence, list_pictures, pictures_of_pattern
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.capture.video import VideoFile

__all__ = ["TimedFrame", "PictureSequence", "Source", "VideoFile", "open_file"]


def open_file(
    spec: str | Path, rate: Fraction = DEFAULT_RATE, threads: int | None = None, hdr: str = "tonemap"
) -> Source:
    """Open a file, folder or pattern.

    Args:
        spec: a video file; a picture (one frame); a folder (its pictures by name, numbers in counting order); or a
            pattern such as ``shots/*.png``.
        rate: frames a second of a folder or pattern, exact; a video has its own.
        threads: decoder's threads for a video; None: see ``VideoFile``.
        hdr: what becomes of HDR video: ``tonemap`` or ``refuse``.

    Returns:
        A source that can be iterated any number of times.

    Raises:
        SourceError: nothing there, not readable, or holding what we refuse .
        BackendUnavailableError: a video, and PyAV is not installed.
    """
    path = Path(spec)
    kind = kind_of(path)
    if kind == "folder":
        return PictureSequence(list_pictures(path), rate, str(path))
    if kind == "pattern":
        return PictureSequence(pictures_of_pattern(str(spec)), rate, str(spec))
    if kind == "picture":
        return PictureSequence([path], rate)
    return Animation(path) if kind == "animation" else VideoFile(path, threads, hdr)
