"""Small clips for the tests of many, and a maker that dies where it is told to."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge_harmony.batch.jobs import Made
from edge_harmony.commands.batch import ClipMaker
from tests.capture.scenes import write_clip

SIZE_HW = (96, 128)
TWELVE = [f"take{number:02}" for number in range(1, 13)]
FAST = ("--model", "none", "--speed", "ultrafast", "--crf", 0)


def write_clips(folder: Path, names: list[str], frames: int = 4) -> Path:
    """A folder ``clips`` with videos, and beside it ``mask.png``."""
    (folder / "clips").mkdir(parents=True)
    for name in names:
        write_clip(folder / "clips" / f"{name}.mkv", frames, SIZE_HW)
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[30:60, 20:60] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    return folder / "clips"


class MortalMaker(ClipMaker):
    """Notes each clip that it has made in ``made.log``; dies, once each, as the files ``die-STAGE-STEM`` say.

    Stages: ``begin`` before anything is made, ``middle`` after a frame, ``made`` when the result is there but the
    manifest does not know.
    """

    def make(self, task: argparse.Namespace, overwrite: bool, show: Callable[[int, int | None], None]) -> Made:
        notes, stem = Path(os.environ["MORTAL_NOTES"]), Path(task.video).stem

        def die(stage: str) -> None:
            order = notes / f"die-{stage}-{stem}"
            always = notes / f"die-always-{stem}"
            if order.exists() or always.exists():
                order.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)

        die("begin")

        def show_and_die(done: int, total: int | None) -> None:
            show(done, total)
            die("middle")

        made = super().make(task, overwrite, show_and_die)
        with (notes / "made.log").open("a") as log:
            log.write(f"{stem}\n")
        die("made")
        return made
