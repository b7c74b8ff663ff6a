"""``edge-harmony batch``: many videos on new backgrounds, as ``process`` does each."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edge_harmony.commands.faults import INCOMPLETE as SOME_FAILED
from edge_harmony.commands.faults import report_faults
from edge_harmony.commands.options import load_harmonizer_for, read_config, refuse_together
from edge_harmony.commands.own_sources import refuse_own_sources
from edge_harmony.commands.process import add_clip_options, make_clip
from edge_harmony.commands.recipe import settings_of, sources_of
from edge_harmony.errors import ConfigError, SourceError
from edge_harmony.run.arguments import Subparsers, number, whole

if TYPE_CHECKING:
    from edge_harmony.batch.done_before import Recipe
    from edge_harmony.batch.jobs import Job, Made
    from edge_harmony.batch.listing import Row
    from edge_harmony.harmonize.base import Harmonizer
    from edge_harmony.settings import Config

_DESCRIPTION = """\
Put the subjects of many videos on new backgrounds, each as 'edge-harmony process' does it, with all its options.

  edge-harmony batch CLIPS... --bg BACKGROUND (--alpha MASKS | --matte KIND) -o RESULTS

CLIPS are videos; folders, which means the videos and the folders of pictures in them; quoted patterns; and lists. MASKS
and BACKGROUND are one for all, or a folder or quoted pattern of them, paired with the clips by name (talk.mp4 with
talk.mov or talk_mask.mov). RESULTS is a folder, or a pattern with {stem} (the clip's name), {parent} (the name of its
folder) and {number}, such as 'out/{parent}/{stem}.mov'.

A list is a CSV with a line of names first, or JSON lines (.jsonl). 'clip' is the clip; all others are options of
'process' by their names: bg (or background), alpha, matte, output, strength, light_wrap ... They go before those of
the command line. Names of files in a list count from the list's folder.

A second run does what is left: what is done is skipped, what changed (a source's content, a setting, the model) is
done again. What is known of each result lies beside it, in .edge-harmony/. A clip that cannot be done is named and
costs no other, and a worker that dies costs nothing but its time.
"""

_EPILOG = """\
examples:
  edge-harmony batch takes/ --matte chroma --bg office.jpg -o done/ --workers 4
  edge-harmony batch 'takes/*/*.mov' --alpha mattes/ --bg plates/ -o 'done/{parent}/{stem}.mov' --report report.json
  edge-harmony batch shots.csv -o done/ --share 3/12      # the third of twelve tasks of a farm
  edge-harmony batch shots.csv -o done/ --ray 10.0.0.1:6379

exit codes: 0 all done, 3 some failed or are incomplete (the report says which), 1 none could be done.
"""

_FILES = ("bg", "alpha", "plate", "output", "alpha-out", "config")  # options that name one; of matte only some do
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "batch",
        help="put many videos' subjects on new backgrounds",
        usage="edge-harmony batch CLIPS... --bg BACKGROUND (--alpha MASKS | --matte KIND) -o RESULTS [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("clips", nargs="+", metavar="CLIPS", help="videos, folders, patterns, lists (.csv, .jsonl)")
    _add_ends(parser)
    group = parser.add_argument_group("sharing the work")
    group.add_argument("--workers", type=whole(1, 1024), metavar="N", help="processes on this machine (default 1)")
    group.add_argument("--share", type=_share, metavar="K/N", help="do the K-th of N equal shares of the clips, from 1")
    group.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS",
        help="share the work over a Ray cluster; without ADDRESS over one that is begun on this machine",
    )  # fmt: skip
    group.add_argument(
        "--ray-gpus", type=number(0, 64), default=0.0, metavar="N", help="how much of a GPU each worker takes"
    )
    group.add_argument("--report", type=Path, metavar="FILE", help="write what came of each clip, as JSON")
    add_clip_options(parser)
    return parser


def _add_ends(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="RESULTS", help="folder or pattern of the results")
    parser.add_argument("--bg", "--background", metavar="BACKGROUND", help="a picture, a video, #rrggbb, or a folder")


def run(args: argparse.Namespace) -> int:
    """Do it; see ``main`` for what comes of the errors."""
    from edge_harmony.batch.jobs import CURRENT, DONE, FAILED, INCOMPLETE
    from edge_harmony.batch.run import run_jobs
    from edge_harmony.batch.workers import run_on_workers

    if args.ray is None and args.ray_gpus:
        raise ConfigError("--ray-gpus belongs to --ray", "leave it out")
    jobs = list_jobs(args)
    if args.share is not None:
        first, of = args.share
        jobs = jobs[first - 1 :: of]
    maker = f"{ClipMaker.__module__}:{ClipMaker.__name__}"

    def go(hear: Any) -> None:
        if args.ray is not None:
            from edge_harmony.batch.ray_workers import run_on_ray

            run_on_ray(jobs, maker, args.workers, hear, args.ray, args.ray_gpus)
        else:
            run_on_workers(jobs, maker, args.workers or 1, hear)

    outcomes = run_jobs(jobs, go, args.report)
    count = {status: sum(o.status == status for o in outcomes) for status in (DONE, CURRENT, INCOMPLETE, FAILED)}
    print(
        f"{len(outcomes)} clips: {count[DONE]} done, {count[CURRENT]} done already and current, "
        f"{count[INCOMPLETE]} incomplete, {count[FAILED]} failed"
    )
    if outcomes and count[FAILED] == len(outcomes):
        raise SourceError("none of the clips could be done, see above", "try one by itself: edge-harmony process")
    return SOME_FAILED if count[FAILED] or count[INCOMPLETE] else 0


class ClipMaker:
    """Makes clips for ``edge_harmony.batch``; keeps the model from clip to clip.

    Args:
        threads: how many to use where the settings leave it open; None: all.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._loaded: tuple[Any, Harmonizer | None] | None = None
        if threads is not None:
            import cv2

            cv2.setNumThreads(threads)

    def recipe(self, task: argparse.Namespace) -> Recipe:
        """What a clip's result depends on."""
        from edge_harmony.batch.done_before import Recipe

        config = read_config(task)
        ends = {"clip": task.video, "background": task.bg, "alpha": task.alpha}
        settings = {**settings_of(task, config), "alpha_out": task.alpha_out is not None}
        return Recipe(settings, {**ends, **sources_of(task, config)})

    def make(self, task: argparse.Namespace, overwrite: bool, show: Callable[[int, int | None], None]) -> Made:
        """Put a clip on its background."""
        from edge_harmony.batch.jobs import Made

        task.overwrite = overwrite
        done = make_clip(task, read_config(task), self._load, show)
        report_faults(done.faults, done.said)
        return Made(done.frames, done.seconds, (*done.faults, *done.said))

    def _load(self, config: Config) -> Harmonizer | None:
        wanted = (config.harmonize.model, config.harmonize.backend, config.harmonize.threads)
        if self._loaded is None or self._loaded[0] != wanted:
            if self._loaded is not None and self._loaded[1] is not None:
                self._loaded[1].close()
            self._loaded = wanted, load_harmonizer_for(config, self._threads, say=lambda line: None)
        return self._loaded[1]


def list_jobs(args: argparse.Namespace) -> list[Job]:
    """Every clip with its options, checked as far as that goes without reading it."""
    from edge_harmony.batch.jobs import Job
    from edge_harmony.batch.listing import list_rows, name_result, refuse_meeting
    from edge_harmony.sinks.video import check_suffix

    rows = list_rows(args.clips)
    alphas = _paired(rows, args.alpha, {"alpha", "matte"}, "mask")
    backgrounds = _paired(rows, args.bg, {"bg", "background"}, "background")
    parser = _RowParser()
    jobs: list[Job] = []
    for place, row in enumerate(rows):
        task = _task(args, row, parser)
        task.alpha, task.bg = alphas.get(place, task.alpha), str(backgrounds.get(place, task.bg) or "")
        name = f"{row.where}: {row.clip}" if row.where else str(row.clip)
        if not task.bg:
            raise ConfigError(f"{name}: nothing says what comes behind it", "name it with --bg, or in the list as bg")
        if not task.output:
            raise ConfigError(f"{name}: nothing says where its result goes", "name it with -o, or in the list")
        task.output = name_result(task.output, row.clip, place + 1)
        results = [task.output]
        if task.alpha_out is not None:
            task.alpha_out = name_result(str(task.alpha_out), row.clip, place + 1)
            results.append(task.alpha_out)
        for path in results:
            check_suffix(path, task.cut_out and path is results[0])
        try:
            refuse_together(task, "--alpha", ["--matte"], "the subject's matte comes from one of them")
            read_config(task)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error.message}" if row.where else error.message, error.hint) from error
        jobs.append(Job(place, str(row.clip), tuple(results), task, args.overwrite))
    results = [path for job in jobs for path in job.results]
    refuse_meeting(results)
    tasks = [job.task for job in jobs]
    refuse_own_sources(results, {str(p) for t in tasks for p in (t.video, t.bg, t.alpha, t.matte, t.plate) if p})
    return jobs


def _paired(rows: list[Row], place: Any, own: set[str], kind: str) -> dict[int, Path]:
    """Each row's partner in a folder or pattern, unless it has options ``own``; empty where one is for all."""
    from edge_harmony.batch.listing import clips_of, is_clip
    from edge_harmony.capture.kind import is_picture, kind_of
    from edge_harmony.capture.pairing import pair_by_name

    open_rows = [n for n, row in enumerate(rows) if not own & set(row.options)]
    if place is None or kind_of(place) not in ("folder", "pattern") or not open_rows:
        return {}
    folder = Path(place)
    if folder.is_dir():
        candidates = sorted(p for p in folder.iterdir() if is_clip(p) or (p.is_file() and is_picture(p)))
    else:
        candidates = clips_of(place)
    pairs = pair_by_name([rows[n].clip for n in open_rows], folder, kind, among=candidates)
    return {n: pairs[rows[n].clip] for n in open_rows}


def _task(args: argparse.Namespace, row: Row, parser: _RowParser) -> argparse.Namespace:
    """The options of ``process`` for one clip: those of the command line, and the row's over them."""
    task = argparse.Namespace(**vars(args))
    for name in ("clips", "workers", "share", "ray", "ray_gpus", "report", "run", "command"):
        vars(task).pop(name, None)
    task.video = str(row.clip)
    if row.options:
        given = {"bg" if name == "background" else str(name).replace("_", "-"): v for name, v in row.options.items()}
        if "alpha" in given or "matte" in given:
            task.alpha = task.matte = None
        parser.read(given, row, task)
    return task


class _RowParser(argparse.ArgumentParser):
    """Reads the options of rows."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self._where = ""
        _add_ends(self)
        add_clip_options(self)

    def read(self, given: Mapping[str, Any], row: Row, task: argparse.Namespace) -> None:
        """Put the options of a row over those of a task; raises ``ConfigError`` with the row's place."""
        self._where = row.where
        self.parse_args([word for name, value in given.items() for word in self._words(name, value, row)], task)

    def _words(self, name: str, value: Any, row: Row) -> list[str]:
        """A value of the list as the command line has it."""
        from edge_harmony.backgrounds.still import is_colour

        option = f"--{name}"
        action = self._option_string_actions.get(option)
        if action is None or name == "overwrite":
            near = difflib.get_close_matches(option, list(self._option_string_actions), 1)
            hint = f"did you mean {near[0][2:]}?" if near else "'edge-harmony process --help' shows every option"
            raise ConfigError(f"{self._where}: there is no option {name!r}", hint)
        if action.nargs == 0:
            text = str(value).lower()
            if text not in _YES + _NO:
                raise ConfigError(f"{self._where}: {name} is {value!r}", "it must be true or false")
            return [option] if text in _YES else []
        words = []
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, (dict, list, bool)) or one is None:
                raise ConfigError(f"{self._where}: {name} is {one!r}", "give a text or a number")
            text = str(one)
            is_file = name in _FILES or (name == "matte" and (row.folder / text).is_file())
            if is_file and not (name == "bg" and is_colour(text)):
                text = str(row.folder / text) + ("/" if text.endswith("/") else "")
            words.append(f"{option}={text}")
        return words

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self._where}: {message.replace('argument --', '')}", "correct that line of the list")


def _share(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no share: it is K/N, with K from 1 to N")
    return int(match[1]), int(match[2])
