"""Words of a command line: numbers with a range, errors as all ours, and -v that shows what is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from edge_harmony.run.arguments import Parser, add_verbose, number, size, whole


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
    parser.add_argument("--size", type=size(64, 4096), default="640x360")
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
    ("words", "size_hw"),
    [([], (360, 640)), (["--size", "1280x720"], (720, 1280)), (["--size", "64 X 4096"], (4096, 64)),
     (["--size", "80×64"], (64, 80))],
)  # fmt: skip
def test_sizes_are_height_and_width(words: list[str], size_hw: tuple[int, int]) -> None:
    assert make_parser().parse_args(words).size == size_hw


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "0"], "0 is out of range: it must be 1 or more"),
        (["--count", "10"], "10 is out of range: it must be 9 or less"),
        (["--count", "1.5"], "'1.5' is no whole number"),
        (["--share", "nan"], "'nan' is no number"),
        (["--share", "0.6"], "0.6 is out of range: it must be 0.5 or less"),
        (["--size", "1080p"], "'1080p' is no size; write WIDTHxHEIGHT, as 1280x720"),
        (["--size", "64x"], "is no size"),
        (["--size", "63x64"], "the size 63x64 is out of range; both sides must be from 64 to 4096 pixels"),
        (["--size", "64x4097"], "the size 64x4097 is out of range; both sides"),
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
