"""Files as sinks: a video, or numbered pictures in a folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.network import NetworkStream, WebFile
from edge_harmony.capture.source import Source
from edge_harmony.capture.video import VideoFile
from edge_harmony.sinks.picture import write_picture
from edge_harmony.sinks.video import VideoOptions, VideoSink

__all__ = ["Sink", "VideoOptions", "VideoSink", "open_sink", "write_picture"]


class Sink(Protocol):
    """What takes results. ``close`` makes them appear, ``abort`` makes them disappear; both are idempotent."""

    path: Path

    def write(self, image: NDArray[np.uint8], pts: int, duration: int = 0) -> None:
        """Take one frame: uint8 (H, W, 3) BGR or (H, W) grey; only read, and done with on return."""
        ...

    def close(self) -> None:
        """Finish and publish the result."""
        ...

    def abort(self) -> None:
        """Give up and leave nothing behind."""
        ...


def open_sink(
    path: str | Path,
    source: Source,
    size_hw: tuple[int, int] | None = None,
    options: VideoOptions | None = None,
    audio: bool = True,
    overwrite: bool = False,
    along: bool = True,
) -> VideoSink:
    """Open a video file that keeps its source's time, pixel shape, sound, subtitles and titles.

    Args:
        path: .mp4, .mov, .m4v or .mkv.
        source: where the frames come from: gives time base, rate, aspect and, being a video file, the sound.
        size_hw: size of the frames, if it is not the source's.
        options: quality and speed.
        audio: whether sound goes along.
        overwrite: whether a file of that name may be replaced.
        along: whether anything does: sound, subtitles, titles.

    Raises:
        SinkError, BackendUnavailableError: as ``VideoSink``.
    """
    audio_from, audio_start_s = file_behind(source) if along else (None, Fraction(0))
    return VideoSink(
        path,
        size_hw or source.size_hw,
        source.time_base,
        source.rate,
        options,
        audio_from,
        source.sample_aspect_ratio,
        overwrite,
        audio_start_s=audio_start_s,
        sound=audio,
    )


def file_behind(source: Source | None) -> tuple[Path | WebFile | None, Fraction]:
    """The video file that a source is, also one that is paced, looped, paired with its masks, or read from the web; and
    the moment of it, in seconds, at which the source's own times are 0. None where it is no such file.
    """
    inner = None if source is None else source.original()
    if isinstance(inner, VideoFile):
        return inner.path, Fraction(0)
    web = inner.file if isinstance(inner, NetworkStream) else None
    return web, Fraction(0) if web is None else web.start_s
