"""What a run writes down while it goes: log.csv, TensorBoard's events, preview pictures."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import cv2
import torch
from torch import Tensor

from training.data import over


def _numbers(texts: Iterable[str]) -> bool:
    """Whether all of them are numbers or empty."""
    try:
        return all(not text or isinstance(float(text), float) for text in texts)
    except ValueError:
        return False


def earlier_rows(path: Path, step: int) -> list[dict[str, str]]:
    """The rows of a log up to ``step``; one that is damaged is put aside, and what stands before the damage is kept."""
    kept: list[dict[str, str]] = []
    header, *lines = path.read_bytes().decode(errors="replace").splitlines() or [""]
    fields = header.split(",")
    for line in lines:
        row = dict(zip(fields, line.split(",")))  # noqa: B905
        if len(row) != line.count(",") + 1 or not row.get("step", "").isdecimal() or not _numbers(row.values()):
            aside = path.with_name("log-damaged.csv")
            path.replace(aside)
            print(
                f"warning: {path} is damaged: {len(kept)} rows of it are kept, all of it is in {aside}", file=sys.stderr
            )
            break
        if int(row["step"]) <= step:
            kept.append(row)
    return kept


class Log:
    """log.csv and TensorBoard, one column for every term; rows after ``step``, of a killed run, are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path, self.step = folder / "log.csv", step
        self.rows: tuple[TextIO, csv.DictWriter[str]] | None = None  # once the columns are known
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def open(self, fields: list[str]) -> tuple[TextIO, csv.DictWriter[str]]:
        """Take over the rows of an earlier start of the run, whose terms may have been others."""
        kept = earlier_rows(self.path, self.step) if self.path.exists() else []
        fields += [name for name in (kept[0] if kept else ()) if name not in fields]
        part = self.path.with_suffix(".part")
        file = part.open("w", newline="")
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(kept)
        file.flush()
        part.replace(self.path)
        return file, writer

    def write(self, step: int, values: dict[str, float]) -> None:
        if self.rows is None:
            self.rows = self.open(["step", *values])
        file, writer = self.rows
        writer.writerow({"step": step, **{k: f"{v:.6g}" for k, v in values.items()}})
        file.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        if self.rows is not None:
            self.rows[0].close()
        self.board.close()


def write_preview(path: Path, batch: dict[str, Tensor], output: Tensor) -> None:
    """Rows of composite, given mask, output, truth, for up to eight samples."""
    mask, background = batch["mask"], batch["background"]
    shown, truth = (over(layer, background, mask) for layer in (output.clamp(0, 1), batch["real"]))
    rows = torch.cat((batch["composite"], batch["given"].expand(-1, 3, -1, -1), shown, truth), 3)[:8]
    picture = (rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[3], 3) * 255).byte().cpu().numpy()
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
