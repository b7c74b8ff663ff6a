"""What the README promises of the first minute happens: its commands are taken from the page and run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def first_minute() -> list[list[str]]:
    """The commands of the section's second block, without the activation of the environment."""
    section = (ROOT / "README.md").read_text().split("## The first minute")[1].split("\n## ")[0]
    block = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[1]
    return [shlex.split(line) for line in block.splitlines() if line.startswith("edge-harmony")]


def run(words: list[str], folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has been made with the shipped model."""
    folder = tmp_path_factory.mktemp("readme")
    run([str(ROOT / "examples" / "demo.py"), "--out", "demo-output", "--seconds", "1"], folder)
    return folder


@pytest.mark.slow
def test_commands_of_the_first_minute_work(folder: Path) -> None:
    commands = first_minute()
    assert len(commands) >= 3
    for words in commands:
        run(["-m", "edge_harmony", *words[1:]], folder)
        assert (folder / words[words.index("-o") + 1]).stat().st_size > 10_000


@pytest.mark.slow
def test_shipped_model_changes_the_subject_and_nothing_else(folder: Path) -> None:
    picture = cv2.imread(str(folder / "demo-output" / "astronaut-at-the-pad.png"))
    before, after = np.hsplit(picture, 2)
    sky = np.s_[60:200, 460:600]  # to the right of the subject, below the captions
    assert np.array_equal(before[sky], after[sky])
    suit = np.s_[400:600, 60:160]
    assert np.abs(before[suit].astype(int) - after[suit]).mean() > 3


def test_pictures_of_the_page_are_there_and_not_large() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 400_000
