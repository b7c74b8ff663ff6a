"""``edge-harmony image``: pictures, one or whole folders."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge_harmony.commands.options import (
    add_finish_options,
    add_harmonize_options,
    add_matte_options,
    load_harmonizer_for,
    read_config,
    refuse_together,
)
from edge_harmony.commands.own_sources import refuse_own_sources
from edge_harmony.errors import ConfigError, MatteError, SinkError, SourceError
from edge_harmony.run.arguments import Subparsers
from edge_harmony.settings import Config

if TYPE_CHECKING:
    from edge_harmony.pixels.frame import Alpha, Frame

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Harmonize pictures: make a subject's colours belong to the background it stands on.

Either the composite exists already, and a mask says where its subject is:

  edge-harmony image COMPOSITE --mask MASK -o OUT

or it is made here, from a picture of the subject, its matte, and a new background:

  edge-harmony image FOREGROUND --bg BACKGROUND (--alpha MASK | --matte KIND) -o OUT

A FOREGROUND with an alpha channel (PNG, WebP, TIFF) needs neither --alpha nor --matte. Masks are white on the
subject, of the picture's size. Pixels outside the mask stay as they are, to the bit.

PICTURE may also be a camera (0, /dev/video0), a stream or test: one frame is taken.

Folders work too: COMPOSITE and MASK, or FOREGROUND and its --alpha, are then both folders, paired by name (photo.jpg
with photo.png or photo_mask.png); BACKGROUND is a picture for all, or a folder paired by name; OUT is a folder,
made if it is missing, that gets a PNG for each. Quoted patterns work as folders do ('shots/*.jpg'). A picture that
cannot be done is named and costs no other; a second run does what is missing or no longer current.
"""

_EPILOG = """\
examples:
  edge-harmony image composite.jpg --mask mask.png -o harmonized.png
  edge-harmony image composite.jpg --mask mask.png --strength 0.7 --compare -o before_after.png
  edge-harmony image cutout.png --bg beach.jpg --light-wrap 0.4 -o at_the_beach.png
  edge-harmony image me.jpg --matte plate --plate empty_room.jpg --bg '#204060' -o me.png
  edge-harmony image composites/ --mask masks/ -o harmonized/

formats: reads PNG, JPEG, WebP, HEIC, AVIF, TIFF, BMP; 16 bits are rounded to 8 with dither, colour profiles converted
to sRGB. Writes PNG, JPEG (quality 95), WebP, TIFF and BMP by the suffix of OUT.
"""

Job = tuple["Path | str", "Path | None", "Path | None", Path]  # picture, mask or alpha, background, result


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "image",
        help="harmonize pictures, one or whole folders",
        usage="edge-harmony image PICTURE (--mask MASK | --bg BACKGROUND [--alpha MASK | --matte KIND]) -o OUT "
        "[options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "picture", metavar="PICTURE", help="COMPOSITE or FOREGROUND, a folder of them, or a camera (0) or test:"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the result, or its folder")
    parser.add_argument("--mask", type=Path, metavar="MASK", help="where the subject of a composite is")
    parser.add_argument("--bg", metavar="BACKGROUND", help="a picture, a folder, or a colour as #rrggbb")
    parser.add_argument("--compare", action="store_true", help="write before and after side by side")
    parser.add_argument(
        "--cut-out",
        action="store_true",
        help="write the harmonized subject alone, with its alpha: .png, .webp or .tiff",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    add_matte_options(parser)
    add_harmonize_options(parser, video=False)
    add_finish_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do it; see ``main`` for what comes of the errors."""
    config = read_config(args)
    _check_usage(args, config)
    jobs = _list_jobs(args)
    refuse_own_sources([job[3] for job in jobs], [args.plate, args.matte, *(path for job in jobs for path in job[:3])])
    one = _harmonize_composite(config) if args.mask is not None else _make_composite(args, config)
    if len(jobs) == 1 and not _several(args):
        picture, mask, background, target = jobs[0]
        _write(target, *one(picture, mask, background), args)
        return 0
    return _all(jobs, one, args, config)


def _all(jobs: list[Job], one: Callable[..., tuple[Frame, Frame]], args: argparse.Namespace, config: Config) -> int:
    """Each picture by itself: one that cannot be done is named and costs no other; what is done already stays."""
    from edge_harmony.batch.done_before import DoneBefore, Recipe
    from edge_harmony.commands.recipe import settings_of, sources_of

    settings = {**settings_of(args, config), "composite": args.mask is not None}
    common = sources_of(args, config)
    failed = skipped = 0
    for picture, mask, background, target in _with_progress(jobs):
        made_from = {**common, "picture": picture, "mask": mask, "background": background or args.bg}
        try:
            done = DoneBefore([target], Recipe(settings, made_from))
            if done.look() == "current":
                skipped += 1
                done.finish_for_the_dead()
                continue
            if target.is_file() and not args.overwrite:
                raise SinkError(f"{target} exists already, made from something else", "pass --overwrite")
            done.begin()
            _write(target, *one(picture, mask, background), args)
            done.finish({})
        except (SourceError, MatteError, SinkError) as error:
            failed += 1
            logger.warning("%s: %s (%s)", picture, error.message, error.hint)
    if skipped:
        print(f"{skipped} of {len(jobs)} are done already and current")
    if failed:
        raise SourceError(f"{failed} of {len(jobs)} pictures could not be done, see above", "the others are done")
    return 0


def _several(args: argparse.Namespace) -> bool:
    from edge_harmony.capture.kind import kind_of

    return kind_of(args.picture) in ("folder", "pattern")


def _check_usage(args: argparse.Namespace, config: Config) -> None:
    why = "--mask is for a composite that exists; --alpha, --matte and --bg make one"
    refuse_together(args, "--mask", ["--alpha", "--matte", "--bg"], why)
    refuse_together(args, "--alpha", ["--matte"], "the subject's matte comes from one of them")
    if args.mask is None and args.bg is None:
        raise ConfigError(
            "neither --mask nor --bg is given",
            "give --mask for a composite that exists, or --bg to put the subject on a new background",
        )
    if args.cut_out and (args.compare or args.mask is not None):
        other = "--compare" if args.compare else "--mask"
        hint = "it writes a subject alone, found by --alpha or --matte"
        raise ConfigError(f"--cut-out and {other} do not go together", hint)
    if args.mask is not None and config.harmonize.model == "none":
        raise ConfigError("--model none leaves a composite as it is", "leave one of --mask and --model out")


def _harmonize_composite(config: Config) -> Callable[[Path | str, Path | None, Path | None], tuple[Frame, Frame]]:
    harmonizer = load_harmonizer_for(config)
    assert harmonizer is not None

    def one(picture: Path | str, mask: Path | None, _background: Path | None) -> tuple[Frame, Frame]:
        from edge_harmony.capture.one_frame import grab_frame
        from edge_harmony.capture.picture import read_colour
        from edge_harmony.matte.file import read_mask
        from edge_harmony.matte.track import fit_mask

        assert mask is not None
        before = grab_frame(picture)[0] if isinstance(picture, str) else read_colour(picture)
        alpha = fit_mask(read_mask(mask), (before.shape[0], before.shape[1]), mask)
        _refuse_full(alpha, mask, before)
        return before, harmonizer(before, alpha, config.harmonize.strength)

    return one


def _make_composite(
    args: argparse.Namespace, config: Config
) -> Callable[[Path | str, Path | None, Path | None], tuple[Frame, Frame]]:
    from edge_harmony.compose.compositor import Compositor

    compositor = Compositor(
        load_harmonizer_for(config),
        config.harmonize.strength,
        smoothing=0.0,
        light_wrap=config.finish.light_wrap,
        grain=config.finish.grain,
        fit=config.background.fit,
    )

    def one(picture: Path | str, alpha_file: Path | None, background: Path | None) -> tuple[Frame, Frame]:
        from edge_harmony.backgrounds.still import read_background
        from edge_harmony.commands.matte_choice import open_chosen_matte
        from edge_harmony.matte.choice import SubjectFollower
        from edge_harmony.pixels.frame import straight_colour
        from edge_harmony.subject_choice import SubjectChoice

        frame, own_alpha = _read_foreground(picture)
        matte = open_chosen_matte(args, config, alpha_file, own_alpha is not None)
        alpha = own_alpha if matte is None else matte(frame)
        assert alpha is not None
        alpha = SubjectFollower(SubjectChoice.parse(config.matte.subject))(alpha, frame)
        if config.matte.premultiplied:
            subject = straight_colour(frame, alpha)
        else:
            subject = frame if matte is None else matte.foreground(frame, alpha)
        _refuse_full(alpha, alpha_file or picture, frame)
        if not alpha.any():
            logger.warning("%s: the mask is empty: the background is returned alone", alpha_file or picture)
        behind = read_background(background or args.bg, frame.shape[:2])
        compositor.reset()
        make = compositor.cut_out if args.cut_out else compositor.process
        made = make(subject, alpha, behind)
        return (compositor.composite(subject, alpha, behind) if args.compare else made), made

    return one


def _read_foreground(picture: Path | str) -> tuple[Frame, Alpha | None]:
    """The colours of a foreground and, if it has one, its alpha channel; a text names a camera or stream."""
    import numpy as np

    from edge_harmony.capture.picture import read_colour, read_picture

    if isinstance(picture, str):
        from edge_harmony.capture.one_frame import grab_frame

        return grab_frame(picture)
    image = read_picture(picture)
    if image.ndim == 3 and image.shape[2] == 4:
        return np.ascontiguousarray(image[:, :, :3]), np.ascontiguousarray(image[:, :, 3])
    return (image if image.ndim == 3 else read_colour(picture)), None


def _refuse_full(alpha: Alpha, name: Path | str, frame: Frame) -> None:
    if alpha.shape == frame.shape[:2] and alpha.size and int(alpha.min()) == 255:
        raise MatteError(
            f"{name}: the mask covers the whole picture, so there is no background to harmonize with",
            "use a mask that is white on the subject only; is it the right one?",
        )


def _write(target: Path, before: Frame, after: Frame, args: argparse.Namespace) -> None:
    import numpy as np

    from edge_harmony.sinks.picture import write_picture

    write_picture(target, np.hstack([before, after]) if args.compare else after, args.overwrite)
    print(target)


def _list_jobs(args: argparse.Namespace) -> list[Job]:
    """What to do, with everything checked that can be before the first picture is read."""
    from edge_harmony.backgrounds.still import is_colour
    from edge_harmony.capture.kind import kind_of
    from edge_harmony.capture.one_frame import names_live_source
    from edge_harmony.capture.pairing import pair_by_name
    from edge_harmony.capture.picture import list_pictures, pictures_of_pattern
    from edge_harmony.capture.source import require_file
    from edge_harmony.sinks.picture import check_suffix

    masks = args.mask or args.alpha
    behind = None if args.bg is None or is_colour(args.bg) else Path(args.bg)
    live = names_live_source(args.picture)
    picture = Path(args.picture)
    if live or not _several(args):
        if not live:
            require_file(picture)
        for other, option in ((masks, "--mask or --alpha"), (behind, "--bg")):
            if other is not None and other.is_dir():
                raise ConfigError(f"{other} is a folder but {args.picture} is a file", f"name a file after {option}")
            if other is not None:
                require_file(other)
        check_suffix(args.output, args.cut_out)
        _refuse_existing([args.output], args.overwrite)
        return [(args.picture if live else picture, masks, behind, args.output)]
    pictures = list_pictures(picture) if picture.is_dir() else pictures_of_pattern(args.picture)
    if masks is not None and kind_of(masks) not in ("folder", "pattern"):
        raise ConfigError(f"{args.picture} is a folder but {masks} is none", "name the folder of the masks")
    alphas: Mapping[Path, Path | None] = dict.fromkeys(pictures)
    if masks is not None:
        alphas = pair_by_name(pictures, masks, "mask")
    backgrounds: Mapping[Path, Path | None]
    if behind is not None and kind_of(behind) in ("folder", "pattern"):
        backgrounds = pair_by_name(pictures, behind, "background")
    else:
        backgrounds = dict.fromkeys(pictures, behind)
    targets = [args.output / f"{p.stem}.png" for p in pictures]
    _refuse_existing(targets, True)  # two that would meet; what exists may be done already: see ``_all``
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"cannot make the folder {args.output}: {error.strerror}", "name a folder that can be written to"
        ) from error
    return [(p, alphas[p], backgrounds[p], t) for p, t in zip(pictures, targets, strict=True)]


def _refuse_existing(targets: list[Path], overwrite: bool) -> None:
    """Say so before the work is done rather than after; two pictures of one stem would meet in one result."""
    for target in targets:
        if targets.count(target) > 1:
            raise SinkError(f"two pictures would both become {target}", "rename one of them")
        if target.is_file() and not overwrite:
            raise SinkError(f"{target} exists already", "pass --overwrite, or name another file")


def _with_progress(jobs: list[Job]) -> list[Job]:
    """The jobs, with a progress bar on a terminal when there are several."""
    import sys

    if len(jobs) < 2 or not sys.stderr.isatty():
        return jobs
    from rich.console import Console
    from rich.progress import track

    return track(jobs, "pictures", console=Console(stderr=True))  # type: ignore[return-value]
