"""No secret of a command line or a settings file is ever shown: every option of every command, each kind of secret."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.cli import build_parser
from edge_harmony.live import Figures
from edge_harmony.run.redact import remembering
from edge_harmony.web import WebSink
from tests.attack.how_long import LONG, some
from tests.cli.runner import run
from tests.web.visitor import Client

MARK = "Zq9xKw"  # in every secret, and nowhere else
CARRIERS = {
    "user and password": f"http://ann:{MARK}@127.0.0.1:9/a.png",
    "odd password": f"rtsp://ann:p@{MARK}/ä ?'\\@127.0.0.1:9/a",
    "stream key": f"rtmp://127.0.0.1:9/live/{MARK}",
    "stream key and more": f"rtmp://127.0.0.1:9/live/{MARK}?secret={MARK}s",
    "mistyped scheme": f"rmtp://127.0.0.1:9/live/{MARK}",
    "query": f"https://127.0.0.1:9/a?key={MARK}&sig={MARK}b&pw={MARK}c&size=2",
    "stream id": f"srt://127.0.0.1:9?streamid={MARK}&passphrase={MARK}b",
    "pipeline": f"rtspsrc location=rtsp://a user-pw={MARK} ! fakesink",
}
# What each command needs besides, so that it comes to work with the option; nothing takes long or lasts.
BASE = {
    "stream": ["--source", "test:", "--bg", "#102030", "--model", "none", "--frames", "1", "--no-window",
               "--stats", "json", "--matte", "none"],
    "image": ["composite.png", "--mask", "mask.png", "-o", "out.png"],
    "process": ["clip.mp4", "--bg", "#102030", "-o", "out.mp4"],
    "list-cameras": [],
    "doctor": [],
    "benchmark": ["--seconds", "0"],
    "demo": [],
}  # fmt: skip
SLOW = {("doctor", "--model")}  # loads what it is given in a process of its own: seconds each


def options() -> Iterator[tuple[str, str]]:
    """Every option of every command that takes a value, and a positional one where there is one."""
    (commands,) = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if action.option_strings and action.nargs != 0:
                yield command, action.option_strings[-1]
        yield command, ""
        yield command, "--mistyped"


ALL = sorted(set(options()) - SLOW)


@pytest.mark.parametrize("command", [pytest.param("stream", marks=pytest.mark.slow), *list(BASE)[1:]])
def test_no_option_shows_a_secret(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tried = [option for of, option in ALL if of == command]
    assert len(tried) >= 2
    for index, option in enumerate(tried):
        for secret in some(list(CARRIERS.values()), index):
            given = [f"{option}={secret}"] if option.startswith("--") and (LONG or index % 2) else [option, secret]
            done = run(command, *BASE[command], *[word for word in given if word], "-v")
            assert MARK not in done.out + done.err, (given, done.out, done.err)


def test_a_traceback_shows_none(tmp_path: Path) -> None:
    done = run("image", f"http://ann:{MARK}@h/a.png", "--mask", "b.png", "-o", tmp_path / "c.png", "--debug")
    assert "Traceback" in done.err
    assert MARK not in done.err


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("option", ["--source", "--bg", "--composites", "--config", "-o", "--mistyped", ""])
def test_no_tool_shows_a_secret(
    option: str, carrier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    collect = pytest.importorskip("calibration.collect", reason="the export extra is not installed")
    monkeypatch.chdir(tmp_path)
    given = [word for word in (option, CARRIERS[carrier]) if word]
    words = ["--source", "none.mp4", "--bg", "#102030", "-o", "set", *given]
    monkeypatch.setattr("sys.argv", ["collect", *words])
    assert collect.main(words) in (1, 2)
    assert MARK not in "".join(capfd.readouterr()), given


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_setting_shows_a_secret(carrier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    value = json.dumps(CARRIERS[carrier])  # a TOML string, too
    for place in ("background.source", "stream.source", "matte.kind", "harmonize.model", "stream.web", "output.crf",
                  "stream.unknown", "unknown.source"):  # fmt: skip
        section, key = place.split(".")
        Path("s.toml").write_text(f"[{section}]\n{key} = {value}\n")
        base = [word for word in BASE["stream"] if word not in ("--source", "test:", "--bg", "#102030")]
        done = run("stream", *base, "--config", "s.toml", "-v")
        assert MARK not in done.out + done.err, (section, key, done.out, done.err)
    Path("s.toml").write_text(f"[stream]\nsource = {value}\nsource = {value}\n")
    assert MARK not in run("stream", "--config", "s.toml").err


def test_figures_on_the_page_show_none() -> None:
    figures = Figures()
    figures.say(f"{CARRIERS['user and password']} cannot be read, nor {MARK}")
    figures.watch(lambda: {"source": CARRIERS["stream key"], "dropped": {CARRIERS["query"]: 3}, "error": f"{MARK} bad"})
    with remembering([CARRIERS["query"]]), WebSink(0, None, figures) as page:
        page.write(np.zeros((8, 8, 3), np.uint8), 0.0)
        text = json.dumps(Client(page).state())
    assert json.loads(text)["figures"]["dropped"]
    assert MARK not in text
