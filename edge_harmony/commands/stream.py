"""``edge-harmony stream``: live, from a camera or any source to a window, page, file, virtual camera or server."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_harmony.commands.capture_options import add_capture_options, capture_options
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
from edge_harmony.run.redact import redact_values
from edge_harmony.run.signals import STOPPING
from edge_harmony.run.terminal import forget_output
from edge_harmony.settings import Config

if TYPE_CHECKING:
    from edge_harmony.live import Pipeline

_log = logging.getLogger(__name__)

_STATS_EVERY_S: Final = 1.0

_DESCRIPTION = """\
Put the subject of a camera, or of any other source, on a new background, harmonized, while it happens.

  edge-harmony stream --camera 0 --bg beach.jpg

Nothing falls behind: a live source gives its newest frame, and what is too much is left out and counted. A camera that
is lost comes back by itself. It ends with q in the window, Ctrl-C, or the source; files are whole then.

SOURCE is one of:
  0, 1, ...              a camera by its number       rtsp://host/path       a network stream; also rtmp://, srt://,
  /dev/video0            a camera by its device                              udp://, http:// (MJPEG, HLS, a file)
  csi://0                a CSI camera of a Jetson     clip.mp4, photo.png    a file; a folder; 'shots/*.png'
  test:                  a moving synthetic subject   'a ! b ! c'            a GStreamer pipeline

BACKGROUND is a picture, a video (looped, at its own speed), '#rrggbb', 'blur' (the source itself, blurred), or a folder
to step through with b; --bg may be repeated.
"""

_EPILOG = """\
examples:
  edge-harmony stream --camera 0 --bg beach.jpg
  edge-harmony stream --bg beach.jpg --virtual              as a camera for video calls
  edge-harmony stream --bg scenes/ --web 0.0.0.0:8765       adjusted from a phone
  edge-harmony stream --matte chroma --bg set.mp4 -o take1.mp4
  edge-harmony stream --matte person --bg set.mp4 --cut-out -o take1.mov    the subject with its alpha
  edge-harmony stream --source rtsp://cam/1 --matte plate --bg '#204060' --push rtmp://host/live/key --no-window
  edge-harmony stream --source talk.mp4 --matte talk_mask.mp4 --bg sea.mp4 --realtime --loop

keys in the window (the page has the same): q quit, space freeze, h harmonize on and off, c compare, m matte, b next
background, f figures, p clean plate, [ ] strength, s screenshot, ? help.
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "stream",
        help="live: a camera on a new background, to a window, page, file or virtual camera",
        usage="edge-harmony stream [--camera N | --source SOURCE] [--bg BACKGROUND] [--matte KIND] [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--camera", type=int, metavar="N", help="the camera's number (default 0)")
    add_setting(parser, "stream.source")
    parser.add_argument("--bg", action="append", metavar="BACKGROUND", help="what is behind (default blur)")
    parser.add_argument("--realtime", action="store_true", help="play a file at its own speed, as if it were a camera")
    parser.add_argument("--loop", action="store_true", help="start a file again when it ends")
    add_setting(parser, "stream.hold")
    add_setting(parser, "stream.nobody")
    parser.add_argument("--frames", type=int, metavar="N", help="end after N pictures")
    parser.add_argument("--duration", type=float, metavar="S", help="end after S seconds of the stream")
    _add_outputs(parser)
    add_matte_options(parser)
    add_harmonize_options(parser, video=True)
    add_finish_options(parser)
    add_capture_options(parser)
    return parser


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where it goes", "Any number of these at once.")
    shown = group.add_mutually_exclusive_group()
    shown.add_argument("--window", action="store_const", const=True, help="a window (default where there is a display)")
    shown.add_argument("--no-window", dest="window", action="store_const", const=False, help="no window")
    add_setting(group, "stream.web")
    group.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="a video, or pictures in a folder/; repeatable; see --cut-out for alpha",
    )
    group.add_argument("--virtual", nargs="?", const="", metavar="DEVICE", help="a virtual camera for other programs")
    group.add_argument("--push", action="append", default=[], metavar="URL", help="rtmp:// or rtsp:// server")
    group.add_argument(
        "--cut-out",
        action="store_true",
        help="files get the harmonized subject alone, with its alpha: .mov (ProRes 4444), .webm (VP9), shots/ (PNG); "
        "window, page, virtual camera and server stay opaque",
    )
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")
    for name in ("codec", "audio"):
        add_setting(group, f"output.{name}")
    group.add_argument("--screenshots", type=Path, default=Path(), metavar="DIR", help="where s saves them (default .)")
    add_setting(group, "stream.compare")
    add_setting(group, "stream.figures")
    group.add_argument(
        "--stats", choices=("text", "json", "none"), default="text",
        help="figures: a summary at the end (default), a line of JSON every second, or none",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Do it; see ``main`` for what comes of the errors."""
    config = read_config(args)
    _check_usage(args)
    refuse_own_sources(
        args.output,
        [_source(args, config), *(args.bg or [config.background.source]), args.alpha, args.matte, args.plate],
    )
    from edge_harmony.commands.live_outputs import open_outputs
    from edge_harmony.live import Controls, Figures, Pipeline
    from edge_harmony.live.opening import mask_file, open_live_source

    controls, figures = Controls.of(config), Figures()
    tell = _Output()
    say = _say_beside if args.stats == "json" else tell  # standard output carries JSON alone
    matte, matte_options = _matte(args, config)
    masks = mask_file(matte)
    source = open_live_source(_source(args, config), masks, capture_options(args), args.realtime, args.loop,
                              config.matte.premultiplied)  # fmt: skip
    with contextlib.ExitStack() as stack:  # closes what is open when something cannot be opened
        stack.callback(source.close)
        say(source.describe())
        outputs = open_outputs(args, config, source, controls, figures, say)
        stack.callback(outputs.abort)
        harmonizer = load_harmonizer_for(config, _live_threads(), say)
        if harmonizer is not None:
            stack.callback(harmonizer.close)
        pipeline = Pipeline(
            source, matte if masks is None else None, args.bg or [config.background.source or "blur"], harmonizer,
            outputs.sinks, controls=controls, figures=figures, matte_options=matte_options,
            estimate=config.matte.estimate, fit=config.background.fit, hold=config.stream.hold,
            screenshots=args.screenshots, window=outputs.window, say=say,
        )  # fmt: skip
        stack.pop_all()
    with contextlib.ExitStack() as stack:
        if harmonizer is not None:
            stack.callback(harmonizer.close)
        stack.enter_context(pipeline)
        stack.enter_context(_first_signal_stops(pipeline.stop))
        _loop(pipeline, args, tell)
    return _finish(pipeline, args, outputs.sinks, say, tell)


def _loop(pipeline: Pipeline, args: argparse.Namespace, tell: Callable[[str], None]) -> None:
    told_s = time.monotonic()
    for count, result in enumerate(pipeline, 1):
        if args.stats == "json" and time.monotonic() - told_s >= _STATS_EVERY_S:
            told_s = time.monotonic()
            tell(_line(pipeline.figures.snapshot()))
        if (args.frames and count >= args.frames) or (args.duration and result.pts_s >= args.duration):
            break
        if pipeline.exhausted:  # every place it went to has failed
            break


def _finish(
    pipeline: Pipeline,
    args: argparse.Namespace,
    sinks: Sequence[Any],
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> int:
    from edge_harmony.live.figures import summary_lines

    figures = pipeline.figures.snapshot()
    if args.stats == "json":
        tell(_line({**figures, "final": True}))
    elif args.stats == "text":
        say("\n".join(summary_lines(figures)))
    if pipeline.failures:  # the others went on; now it is time to say that not all went well
        raise pipeline.failures[0]
    return report_faults(pipeline.source.faults, [words for sink in sinks for words in getattr(sink, "faults", ())])


def _check_usage(args: argparse.Namespace) -> None:
    if args.camera is not None and getattr(args, "stream.source") is not None:
        raise ConfigError("--camera and --source do not go together", "both name the source")
    refuse_together(args, "--alpha", ["--matte"], "the subject's matte comes from one of them")
    if args.cut_out and not args.output:
        raise ConfigError("--cut-out is for files, and none is named", "add -o take.mov, take.webm or shots/")
    for option in ("frames", "duration"):
        value = getattr(args, option)
        if value is not None and not value > 0:
            raise ConfigError(f"--{option} {value} is nothing", "use a number above 0, or leave it out")


def _source(args: argparse.Namespace, config: Config) -> str:
    if args.camera is not None:
        return str(args.camera)
    return config.stream.source or "0"


def _matte(args: argparse.Namespace, config: Config) -> tuple[str, dict[str, Any]]:
    from edge_harmony.commands.matte_choice import matte_choice

    kind = args.matte or config.matte.kind or "auto"
    if args.alpha is not None:
        return f"file:{args.alpha}", {}
    return kind, matte_choice(args, kind, None)[1]


def _live_threads() -> int:
    """Threads for the network: half of the processors, for the other half reads, mattes and writes meanwhile."""
    from edge_harmony.pixels.row_threads import available_threads

    return max(1, available_threads() // 2)


class _Output:
    """Standard output, which may end before the stream does: the disk behind it is full, its reader or the terminal
    has gone. That is said once, and the show goes on.
    """

    def __init__(self) -> None:
        self._ended = False

    def __call__(self, text: str) -> None:
        if self._ended:
            return
        try:
            print(text, flush=True)
        except (OSError, ValueError) as error:
            self._ended = True
            forget_output()
            _log.warning("standard output takes no more (%s); the stream goes on", getattr(error, "strerror", error))


def _say_beside(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _line(figures: dict[str, Any]) -> str:
    return json.dumps(redact_values(figures))


@contextlib.contextmanager
def _first_signal_stops(stop: Callable[[], None]) -> Generator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the stream after the frame at hand; a second signal interrupts it."""
    before: dict[int, Any] = {}

    def note(number: int, _frame: Any) -> None:
        stop()
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
