"""Collect calibration samples from your own footage: what the network will see there, and nothing else.

::

    python -m calibration.collect --source talk.mp4 --alpha talk_mask.mp4 --bg office.jpg -o calibration_set
    python -m calibration.collect --source 0 --matte plate --plate empty.jpg --bg sea.mp4 --seconds 90 -o SET --append
    python -m calibration.collect --composites FOLDER --masks FOLDER -o SET --append

Frames go through the very matte and compositing path of ``edge-harmony process``, evenly over the source; frames
nearly like another are left out. A sample is 256 x 256 pixels, 262 kB; the set stays on your disk.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from calibration.sampling import MIN_DISTANCE, EvenSampler, thumbnail
from calibration.shards import CalibrationSet, check_target, write_set
from calibration.sources import Advance, TimedFootage, sample_composites, sample_footage
from edge_harmony.backgrounds.open import open_background
from edge_harmony.capture import open_source
from edge_harmony.capture.pairing import list_composites
from edge_harmony.capture.source import Source
from edge_harmony.commands.matte_choice import open_subject
from edge_harmony.commands.options import (
    add_config_options,
    add_matte_options,
    add_setting,
    read_config,
    refuse_together,
)
from edge_harmony.compose.compositor import Compositor
from edge_harmony.errors import ConfigError, SourceError
from edge_harmony.run.arguments import Parser, add_verbose, number, whole
from edge_harmony.run.exit_code import exit_code
from edge_harmony.run.redact import redact

DEFAULT_COUNT = 200
FEW = 16  # samples below which ranges mean little

console = Console(stderr=True, highlight=False, soft_wrap=True)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m calibration.collect",
        description=__doc__,
    )
    where = parser.add_argument_group("what to sample: footage of a subject, or finished composites")
    where.add_argument(
        "--source",
        metavar="SOURCE",
        help="a video, a folder or pattern of pictures; a camera's number, rtsp://..., as 'edge-harmony stream'",
    )
    where.add_argument("--bg", metavar="BACKGROUND", help="a picture, a video, or #rrggbb: what is behind the subject")
    where.add_argument("--composites", type=Path, metavar="DIR", help="composites, instead of --source")
    where.add_argument(
        "--masks", type=Path, metavar="DIR", help="their masks (default: masks/ beside composite_images/)"
    )
    add_matte_options(parser)
    add_setting(parser.add_argument_group("fitting in"), "background.fit")
    add_config_options(parser)
    how = parser.add_argument_group("sampling")
    how.add_argument(
        "--count", type=whole(1), default=DEFAULT_COUNT, help=f"samples at most (default: {DEFAULT_COUNT})"
    )
    how.add_argument(
        "--min-distance",
        type=number(0),
        default=MIN_DISTANCE,
        metavar="DELTA_E",
        help=f"samples nearer than this to another are left out (default: {MIN_DISTANCE}, just noticeable)",
    )
    how.add_argument("--seconds", type=number(0), metavar="S", help="how long to look through a camera (default: 60)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the calibration set's folder")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--append", action="store_true", help="add to the set that is there")
    existing.add_argument("--force", action="store_true", help="replace the set that is there")
    add_verbose(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: run(build_parser().parse_args(argv)))


def run(args: argparse.Namespace) -> None:
    """Everything between the arguments and the set."""
    _check(args)
    present = check_target(args.output, args.force, args.append)
    known = [thumbnail(sample) for sample in present] if present else []
    with ExitStack() as stack:
        if args.source is None:
            pairs = list(list_composites(args.composites, args.masks).items())
            sampler = EvenSampler(args.count, len(pairs), args.min_distance, known)
            stack.callback(sampler.close)
            passed = sample_composites(pairs, sampler, stack.enter_context(_progress(len(pairs), sampler)))
            about: dict[str, Any] = {"composites": str(args.composites)}
        else:
            source = stack.enter_context(_open(args))
            sampler = EvenSampler(args.count, source.frame_count, args.min_distance, known)
            stack.callback(sampler.close)
            advance = stack.enter_context(_progress(source.frame_count, sampler))
            config = read_config(args)
            background = open_background(args.bg, source.size_hw, config.background.fit, source.sample_aspect_ratio)
            stack.callback(background.close)
            source, subject = open_subject(args, config, source)
            stack.callback(source.close)
            if subject.matte is not None:
                stack.callback(subject.matte.close)
            compositor = Compositor(None, fit=config.background.fit)
            passed = sample_footage(source, subject, background, compositor, sampler, advance)
            words = str(args.alpha or args.matte or config.matte.kind or "its own")
            about = {"source": redact(args.source), "matte": words, "background": args.bg}
        if not len(sampler):
            raise SourceError(_why_nothing(sampler, present), "use footage in which the subject shows, and moves")
        made = write_set(args.output, sampler.chosen(), about | {"passed": passed}, present)
    _report(args, made, sampler, passed)


def _check(args: argparse.Namespace) -> None:
    if (args.source is None) == (args.composites is None):
        raise ConfigError("give --source or --composites, one of them", "more sources are added with --append")
    if args.source is not None and args.bg is None:
        raise ConfigError("nothing says what is behind the subject", "add --bg with a picture, a video or #rrggbb")
    if args.source is None:
        for option in ("bg", "alpha", "matte"):
            if getattr(args, option) is not None:
                raise ConfigError(f"--{option} belongs to --source", "composites have their masks in --masks")
    elif args.masks is not None:
        raise ConfigError("--masks belongs to --composites", "the mask of a --source goes with --alpha")
    refuse_together(args, "--alpha", ["--matte"], "the subject's matte comes from one of them")
    if args.seconds is not None and args.source is None:
        raise ConfigError("--seconds belongs to a --source", "give a camera's number as --source")
    if args.seconds is not None and args.seconds <= 0:
        raise ConfigError(f"--seconds is {args.seconds}", "use more than 0")


def _open(args: argparse.Namespace) -> Source:
    source = open_source(args.source)
    if source.live:
        return TimedFootage(source, args.seconds or 60.0)
    if args.seconds is not None:
        source.close()
        raise ConfigError(f"--seconds belongs to a camera, and {source.name} has an end", "leave --seconds out")
    return source


def _why_nothing(sampler: EvenSampler, present: CalibrationSet | None) -> str:
    if sampler.duplicates and present:
        return f"all {sampler.candidates} samples are nearly like some in the set already"
    return "no frame shows a subject before a background"


def _report(args: argparse.Namespace, made: CalibrationSet, sampler: EvenSampler, passed: int) -> None:
    kept = made.sources[-1]["kept"]
    words = f"{kept} of {passed} frames; {sampler.duplicates} nearly like another left out"
    print(f"{args.output}: {made.count} samples ({words}), SHA-256 {made.digest[:16]}")
    if made.count < FEW:
        console.print(
            f"note: {made.count} samples are few: use longer or more varied footage, and --append", markup=False
        )


@contextmanager
def _progress(total: int | None, sampler: EvenSampler) -> Generator[Advance]:
    columns = (
        TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[kept]} kept"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("frames", total=total, kept=0)
        yield lambda: bar.update(task, advance=1, kept=len(sampler))


if __name__ == "__main__":
    sys.exit(main())
