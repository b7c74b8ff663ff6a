"""The command ``edge-harmony``: sub-commands, messages and exit codes.

A failure prints one line ``error:`` and one line ``hint:`` on standard error; a traceback appears with ``--debug``
only. Exit codes: ``edge_harmony.run.exit_code``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from edge_harmony import __version__
from edge_harmony.commands import batch, benchmark, demo, doctor, image, list_cameras, process, stream, tools
from edge_harmony.notice import NOTE
from edge_harmony.run.arguments import Parser
from edge_harmony.run.exit_code import exit_code
from edge_harmony.run.redact import remembering

COMMANDS = (stream, image, process, batch, list_cameras, doctor, benchmark, demo)

_DESCRIPTION = """\
Put a subject on a new background so that its colours belong there.

  edge-harmony stream        live: a camera on a new background, to a window, page, file or virtual camera
  edge-harmony image         pictures: a composite with its mask, or a subject and a new background
  edge-harmony process       a video on a new background, picture or video
  edge-harmony batch         many videos, on this machine or a farm
  edge-harmony list-cameras  which cameras there are, and what they can give
  edge-harmony doctor        what works on this machine, and what to do next
  edge-harmony benchmark     how long each stage takes, on each backend
  edge-harmony demo          a page that harmonizes in the visitor's browser

and, with the packages that they need (pip install 'edge-harmony[train,export]'):

  edge-harmony train         train a model on your own photos: python -m training.train
  edge-harmony calibrate     collect, ranges, quantize: python -m calibration.collect and so on
  edge-harmony build         build a TensorRT engine: python -m export.build_engine
"""

_EPILOG = """\
examples:
  edge-harmony stream --camera 0 --bg beach.jpg
  edge-harmony image composite.jpg --mask mask.png -o harmonized.png
  edge-harmony image person.png --bg beach.jpg -o at_the_beach.png
  edge-harmony process interview.mp4 --matte chroma --bg office.jpg -o out.mp4

'edge-harmony COMMAND --help' explains a command and all its options.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser with every sub-command; each sets ``run`` to what executes it."""
    parser = Parser(prog="edge-harmony", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"edge-harmony {__version__}")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands", parser_class=Parser
    )
    for command in COMMANDS:
        added = command.add_parser(subparsers)
        group = added.add_argument_group("messages")
        group.add_argument("-v", "--verbose", action="store_true", help="say what is done, on standard error")
        group.add_argument("--debug", action="store_true", help="the same, and a traceback when it fails")
        added.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; ``argv`` is without the program's name."""
    words = sys.argv[1:] if argv is None else list(argv)
    with remembering(words):
        return exit_code(lambda: _run(words), debug="--debug" in words)


def _run(words: Sequence[str]) -> int:
    if words and words[0] in tools.TOOLS:
        return tools.run(words[0], words[1:])
    parser = build_parser()
    args, unknown = parser.parse_known_args(words)
    if unknown:  # reported by the sub-command's parser, which knows the nearest option
        _subparser(parser, args.command).error(f"unrecognized arguments: {' '.join(unknown)}")
    logging.basicConfig(
        level=logging.DEBUG if args.debug else logging.INFO if args.verbose else NOTE,
        format="%(levelname)s: %(message)s",
        handlers=[_StderrHandler()],
        force=True,
    )
    logging.addLevelName(logging.WARNING, "warning")
    logging.addLevelName(logging.INFO, "info")
    return args.run(args)


class _StderrHandler(logging.StreamHandler):
    """Writes to whatever ``sys.stderr`` is at the time, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _subparser(parser: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            return action.choices[command]
    return parser
