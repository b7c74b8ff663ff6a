"""``edge-harmony process``: a video on a new background."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import itertools
import logging
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.commands.capture_options import add_hdr_option, rate
from edge_harmony.commands.faults import report_faults
from edge_harmony.commands.options import (
    add_finish_options,
    add_harmonize_options,
    add_matte_options,
    add_setting,
    load_harmonizer_for,
    read_config,
    refuse_together,
)
from edge_harmony.commands.own_sources import refuse_own_sources
from edge_harmony.errors import ConfigError
from edge_harmony.run.arguments import Subparsers
from edge_harmony.settings import Config

if TYPE_CHECKING:
    from edge_harmony.backgrounds.open import Background
    from edge_harmony.capture.source import Source, TimedFrame
    from edge_harmony.compose.compositor import Compositor
    from edge_harmony.harmonize.base import Harmonizer
    from edge_harmony.live.subject import Subject
    from edge_harmony.pixels.frame import Alpha, Frame
    from edge_harmony.sinks.video import VideoSink

logger = logging.getLogger(__name__)
_M_MMAP_THRESHOLD = -3  # of malloc.h

_DESCRIPTION = """\
Put the subject of a video on a new background, harmonized frame by frame and steady from frame to frame.

  edge-harmony process VIDEO --bg BACKGROUND (--alpha MASK | --matte KIND) -o OUT

VIDEO is a file, or a folder or quoted pattern of pictures (--fps says how fast), or anything else with an end that
'edge-harmony stream --source' takes, such as test:frames=100. BACKGROUND is a picture, a video
(looped, at its own speed) or a colour as #rrggbb. OUT is H.264 in .mp4, .mov, .m4v or .mkv, tagged BT.709.

Kept from the source: every frame and its time (a variable frame rate stays one), rotation, pixel shape, sound,
subtitles and titles. Sound is copied where OUT holds its kind, else encoded as AAC. OUT appears under its name only
when it is whole: stopping half-way, by Ctrl-C or a full disk, leaves nothing behind and an older OUT as it was.
"""

_EPILOG = """\
examples:
  edge-harmony process talk.mp4 --matte chroma --bg office.jpg -o out.mp4
  edge-harmony process talk.mp4 --matte plate --plate empty_room.jpg --bg sea.mp4 -o out.mp4
  edge-harmony process talk.mp4 --alpha talk_mask.mp4 --bg sea.mp4 --compare -o before_after.mp4
  edge-harmony process 'shots/*.png' --fps 24000/1001 --bg street.jpg --grain 1 -o out.mkv

refused: files that are cut short. Frames that are damaged or missing are counted; the exit code is 3 then.
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "process",
        help="put a video's subject on a new background",
        usage="edge-harmony process VIDEO --bg BACKGROUND (--alpha MASK | --matte KIND) -o OUT [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("video", metavar="VIDEO", help="the video, or a folder or pattern of pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the result")
    parser.add_argument("--bg", required=True, metavar="BACKGROUND", help="a picture, a video, or #rrggbb")
    add_clip_options(parser)
    return parser


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """All options of one clip but what it is, where it goes and what comes behind."""
    parser.add_argument("--compare", action="store_true", help="write before and after side by side")
    parser.add_argument(
        "--cut-out",
        action="store_true",
        help="write the harmonized subject alone, with its alpha: .mov (ProRes 4444) or .webm (VP9)",
    )
    parser.add_argument("--alpha-out", type=Path, metavar="FILE", help="write the matte too, as a video")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT (and --alpha-out) if it exists")
    parser.add_argument("--fps", type=rate, metavar="N", help="frames a second of pictures: 25, 24000/1001")
    add_hdr_option(parser)
    add_matte_options(parser)
    add_harmonize_options(parser, video=True)
    add_finish_options(parser)
    group = parser.add_argument_group("encoding")
    for name in ("crf", "speed", "codec", "audio"):
        add_setting(group, f"output.{name}")


def run(args: argparse.Namespace) -> int:
    """Do it; see ``main`` for what comes of the errors."""
    with _progress() as show:
        done = make_clip(args, read_config(args), load_harmonizer_for, show)
    print(f"{args.output}  {done.frames} frames, {done.frames / done.seconds:.1f} a second")
    return report_faults(done.faults, done.said)


@dataclass(frozen=True)
class Done:
    """What came of a clip.

    Attributes:
        frames: how many it has.
        seconds: how long they took.
        faults: what of the source was damaged or missing, a sentence each.
        said: what could not be carried along; logged already.
    """

    frames: int
    seconds: float
    faults: list[str]
    said: list[str]


def make_clip(
    args: argparse.Namespace,
    config: Config,
    load: Callable[[Config], Harmonizer | None],
    show: Callable[[int, int | None], None],
) -> Done:
    """Put one clip on its background.

    Args:
        args: the options of ``process``.
        config: the settings that come of them.
        load: gives the harmonizer; a worker that has it from an earlier clip gives that.
        show: is told after each frame how many are done, of how many (None where nobody knows).

    Raises:
        ConfigError, SourceError, MatteError, SinkError, ModelError, BackendUnavailableError: as everywhere; nothing of
            the result is left then.
    """
    refuse_together(args, "--alpha", ["--matte"], "the subject's matte comes from one of them")
    if args.alpha_out is not None and args.alpha_out.absolute() == args.output.absolute():
        raise ConfigError(f"{args.output} is named for both -o and --alpha-out", "name two files")
    refuse_own_sources([args.output, args.alpha_out], [args.video, args.bg, args.alpha, args.matte, args.plate])
    from edge_harmony.backgrounds.open import open_background
    from edge_harmony.capture import CaptureOptions, open_source
    from edge_harmony.commands.matte_choice import open_subject
    from edge_harmony.compose.compositor import Compositor
    from edge_harmony.run.overlap import run_overlapped
    from edge_harmony.sinks.video import check_suffix

    if args.cut_out and args.compare:
        raise ConfigError("--cut-out and --compare do not go together", "a subject alone has no before and after")
    check_suffix(args.output, args.cut_out)
    if args.alpha_out is not None:
        check_suffix(args.alpha_out)
    _return_frames_memory()  # before the first picture is decoded
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(args.video, CaptureOptions(rate=args.fps, hdr=args.hdr)))
        if source.live:
            raise ConfigError(
                f"{source.name} is live and has no end",
                f"record it with: edge-harmony stream --source {source.name} -o {args.output}",
            )
        background = open_background(args.bg, source.size_hw, config.background.fit, source.sample_aspect_ratio)
        stack.callback(background.close)
        source, subject = open_subject(args, config, source)
        stack.callback(source.close)
        if subject.matte is not None:
            stack.callback(subject.matte.close)
        compositor = Compositor(
            load(config),
            config.harmonize.strength,
            config.harmonize.smoothing,
            config.finish.light_wrap,
            config.finish.grain,
            config.background.fit,
        )
        files = stack.enter_context(_open_files(args, config, source))
        worker = _Worker(subject, compositor, files, args.compare, args.cut_out)
        written = itertools.count(1)

        def write(result: _Result) -> None:
            files.write(result)
            show(next(written), source.frame_count)

        started = time.perf_counter()
        count = run_overlapped(_timed(source, background), worker, write)
        elapsed = time.perf_counter() - started
    if worker.empty:
        logger.warning("the mask is empty in %d of %d frames: they show the background alone", worker.empty, count)
    return Done(count, elapsed, [*source.faults, *background.faults], files.faults)


@dataclass(frozen=True)
class _Result:
    """One finished frame on its way to the files."""

    image: Any  # as ``VideoSink.convert`` gives it
    alpha: Any | None
    pts: int
    duration: int


class _Worker:
    """Turns a frame and its background into a result; counts the frames without a subject."""

    def __init__(self, subject: Subject, compositor: Compositor, files: _Files, compare: bool, cut_out: bool) -> None:
        self._subject, self._compositor, self._files = subject, compositor, files
        self._compare, self._cut_out = compare, cut_out
        self.empty = 0

    def __call__(self, item: tuple[TimedFrame, Frame]) -> _Result:
        import numpy as np

        frame, behind = item
        subject, alpha = self._subject.cut(frame, time.monotonic())
        self.empty += not alpha.any()
        make = self._compositor.cut_out if self._cut_out else self._compositor.process
        image = make(subject, alpha, behind, pts_s=float(frame.time_s))
        if self._compare:
            image = np.hstack([self._compositor.composite(subject, alpha, behind), image])
        return self._files.convert(image, alpha, frame)


def _return_frames_memory() -> None:
    """Make the C library give a dropped frame's memory back at once, where it can (glibc).

    Frames are made in one thread and dropped in another; by itself it keeps what lies between them. Costs about a
    millisecond a frame, which the encoder's time hides.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 2**18)


def _timed(source: Source, background: Background) -> Iterator[tuple[TimedFrame, Frame]]:
    """Each frame with the background that is due at its time."""
    start: Fraction | None = None
    for frame in source:
        start = frame.time_s if start is None else start
        yield frame, background.at(frame.time_s - start, source.size_hw)
        del frame  # or it would be kept until the next one is there


class _Files:
    """The result's file and, if it is asked for, the alpha's."""

    def __init__(self, sink: VideoSink, masks: VideoSink | None) -> None:
        self._sink, self._masks = sink, masks

    def convert(self, image_bgr: Frame, alpha: Alpha, frame: TimedFrame) -> _Result:
        """What ``write`` takes of a frame: half as large as its pictures, of which none is kept."""
        cover = None if self._masks is None else self._masks.convert(alpha)
        return _Result(self._sink.convert(image_bgr), cover, frame.pts, frame.duration)

    @property
    def faults(self) -> list[str]:
        """What of the sound could not be carried along; said already."""
        return self._sink.faults

    def write(self, result: _Result) -> None:
        """Encode it."""
        self._sink.write(result.image, result.pts, result.duration)
        if self._masks is not None:
            self._masks.write(result.alpha, result.pts, result.duration)


@contextlib.contextmanager
def _open_files(args: argparse.Namespace, config: Config, source: Any) -> Generator[_Files]:
    """Both files; they appear at the end, when all went well, or not at all."""
    from edge_harmony.sinks.file import VideoOptions, open_sink

    options = VideoOptions(config.output.crf, config.output.speed, codec=config.output.codec)
    result_options = replace(options, alpha=args.cut_out)
    height, width = source.size_hw
    size_hw = (height, 2 * width) if args.compare else (height, width)
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(
            open_sink(args.output, source, size_hw, result_options, config.output.audio, args.overwrite)
        )
        masks = None
        if args.alpha_out is not None:
            masks = stack.enter_context(
                open_sink(args.alpha_out, source, None, options, along=False, overwrite=args.overwrite)
            )
        yield _Files(sink, masks)


@contextlib.contextmanager
def _progress() -> Generator[Callable[[int, int | None], None]]:
    """A progress bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("frames"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("frames", total=None, speed="")

    def show(done: int, total: int | None) -> None:
        bar.start()  # with the first frame: what is said before stands above it
        speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
        bar.update(task, completed=done, total=total, speed=f"{speed:.1f} a second" if speed else "")

    try:
        yield show
    finally:
        bar.stop()
