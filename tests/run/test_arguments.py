"""Words of a command line: numbers with a range, errors as all ours, and -v that shows what is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from edge_harmony.run.arguments import Parser, add_verbose, number, whole


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def make_parser() -> Parser:
    parser = Parser(prog="tool")
    parser.add_argument("--count", type=whole(1, 9))
    parser.add_argument("--share", type=number(0, 0.5))
    add_verbose(parser)
    return parser


def test_v_shows_what_is_done(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("edge_harmony").info("before")
    make_parser().parse_args(["-v"])
    logging.getLogger("edge_harmony").info("a step")
    assert capsys.readouterr().err == "info: a step\n"


def test_numbers_in_range_are_taken() -> None:
    args = make_parser().parse_args(["--count", "9", "--share", "0.25"])
    assert (args.count, args.share) == (9, 0.25)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "0"], "0 is out of range: it must be 1 or more"),
        (["--count", "10"], "10 is out of range: it must be 9 or less"),
        (["--count", "1.5"], "'1.5' is no whole number"),
        (["--share", "nan"], "'nan' is no number"),
        (["--share", "0.6"], "0.6 is out of range: it must be 0.5 or less"),
        (["--cuont", "1"], "unrecognized arguments: --cuont"),
        (["--cou", "1"], "unrecognized arguments: --cou"),
    ],
)
def test_errors_are_two_lines(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        make_parser().parse_args(words)
    lines = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
    assert message in lines[0]
