"""The documentation's commands exist with the options that it gives them, and its links lead somewhere."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("training.", "export.", "calibration.", "edge_harmony")
IDS = {"ids": lambda value: value.relative_to(ROOT).as_posix() if isinstance(value, Path) else str(value)[:60]}


def commands(page: Path) -> list[list[str]]:
    """Our commands in a page's fenced blocks, as (program or module, arguments...)."""
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if language not in ("", "sh", "bash", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.removeprefix("$ "), comments=True)
            except ValueError:
                continue
            if words[:1] == ["edge-harmony"]:
                found.append(words)
            elif "-m" in words[:-1]:
                module = len(words) - 1 - words[::-1].index("-m") + 1
                if words[module].startswith(PACKAGES):
                    found.append(words[module:])
    return found


@cache
def help_of(program: str, subcommand: str) -> str:
    """What ``--help`` prints."""
    name = "edge_harmony.cli" if program == "edge-harmony" else program
    main = importlib.import_module(name).main
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*([subcommand] if subcommand else []), "--help"])
    return printed.getvalue()


@pytest.mark.parametrize(("page", "words"), [(p, w) for p in PAGES for w in commands(p)], **IDS)
def test_command_has_the_options_that_the_page_gives_it(page: Path, words: list[str]) -> None:
    program, *arguments = words
    subcommand = arguments[0] if program == "edge-harmony" and arguments and arguments[0][0] != "-" else ""
    text = help_of(program, subcommand)
    assert text, f"{program} {subcommand} has no help"
    options = [word.split("=")[0] for word in arguments if re.match(r"--?[a-zA-Z]", word)]
    missing = [option for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, **IDS)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [t for t in targets if not re.match(r"[a-z]+:", t) and not (page.parent / t).exists()]
    assert not missing
