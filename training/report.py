"""Averages of an evaluation and their table."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_harmony.run.whole_file import WholeFile, unwritable
from training.metrics import Figures

COMPOSITE, REINHARD, MODEL = "composite", "reinhard", "model"
OVERALL = "all"
PERCENTILES = (50, 90, 95, 99)  # of ΔE2000
RIGHT = 1.0  # fMSE below which a composite needs nothing done
STEP, TOP = 0.05, 100.0  # of the histogram that pooled percentiles come from

T = TypeVar("T")


@dataclass
class Row:
    """One picture: its figures for every method, and the histogram of its foreground's ΔE2000."""

    name: str
    group: str
    foreground: float  # share of the frame
    figures: dict[str, Figures] = field(default_factory=dict)
    histogram: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add(self, method: str, figures: Figures, differences: NDArray[np.float64]) -> None:
        self.figures[method] = figures
        bins = np.minimum((differences / STEP).astype(np.int64), int(TOP / STEP) - 1)
        self.histogram[method] = np.bincount(bins, minlength=int(TOP / STEP))

    def to_dict(self) -> dict[str, Any]:
        figures = {m: {k: finite(v) for k, v in f._asdict().items()} for m, f in self.figures.items()}
        return {"name": self.name, "group": self.group, "foreground": round(self.foreground, 6), **figures}


def finite(value: float) -> float | None:
    """JSON knows no NaN."""
    return round(value, 6) if math.isfinite(value) else None


def percentile(histogram: NDArray[np.int64], percent: float) -> float:
    """The ΔE2000 that ``percent`` of a histogram's pixels stay below, to half a bin; NaN for no pixels."""
    total = histogram.sum()
    if total == 0:
        return float("nan")
    return float((np.searchsorted(np.cumsum(histogram), total * percent / 100) + 0.5) * STEP)


def mean(values: NDArray) -> float:
    """NaN for none."""
    return float(values.mean()) if len(values) else float("nan")


def summarise(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Averages over pictures for all of them (``OVERALL``) and for each group.

    ``{group: {"images": N, method: {figure: value}}}``. Figures are means over pictures, those of the foreground over
    pictures that have one; ``de2000_pNN`` are percentiles over all foreground pixels of the group together.

    Composites that are right as they are (fMSE below ``RIGHT``: two pictures without any look, say) are told apart from
    those with something to do. Of the latter are ``fmse_ratio``, the mean fMSE over that of the untouched composites,
    and ``better``, the share of pictures whose fMSE fell; of the former is ``done``, the mean fMSE done to them.
    """
    groups = {OVERALL: rows}
    for row in sorted(rows, key=lambda row: row.group):
        groups.setdefault(f"{row.group}", []).append(row)
    if len(groups) == 2:
        groups = {OVERALL: rows}  # one group alone says the same twice
    summary: dict[str, dict[str, Any]] = {}
    for group, members in groups.items():
        entry: dict[str, Any] = {"images": len(members)}
        for method in members[0].figures:
            table = np.array([row.figures[method] for row in members])
            means = [float(c[~np.isnan(c)].mean()) if (~np.isnan(c)).any() else float("nan") for c in table.T]
            values = dict(zip(Figures._fields, means, strict=True))
            pooled = np.sum([row.histogram[method] for row in members], 0)
            values |= {f"de2000_p{p}": percentile(pooled, p) for p in PERCENTILES}
            entry[method] = values
        before = np.array([row.figures[COMPOSITE].fmse for row in members])
        wrong, right = before >= RIGHT, before < RIGHT
        for method in members[0].figures:
            left = np.array([row.figures[method].fmse for row in members])
            entry[method] |= {
                "fmse_ratio": mean(left[wrong]) / mean(before[wrong]),
                "better": mean(left[wrong] < before[wrong]),
                "done": mean(left[right]),
            }
            entry[method] = {k: finite(v) for k, v in entry[method].items()}
        summary[group] = entry
    return summary


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write figures, all of them or nothing.

    Raises:
        SinkError: the file cannot be written.
    """
    file = WholeFile(path, overwrite=True)
    try:
        file.temporary.write_text(json.dumps(values, indent=1) + "\n")
    except OSError as e:
        file.discard()
        raise unwritable(path, e) from None
    file.commit()


def progress(rows: Iterable[T], total: int) -> Iterator[T]:
    """Pass rows on under a progress bar, on a terminal."""
    from rich.console import Console
    from rich.progress import track

    yield from track(
        rows, "measuring", total, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    )


def show(summary: dict[str, dict[str, Any]], about: dict[str, Any]) -> None:
    """Print what was measured and the table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 130)
    size = about["size"]
    console.print(f"bench {about['bench']}, list {about['list']}, " + (f"{size} x {size}" if size else "stored size"))
    for key, value in about.items():
        if key not in ("bench", "list", "size"):
            console.print(f"{key} {value}", highlight=False)
    table = Table()
    for name in ("set", "images", "picture"):
        table.add_column(name, justify="right" if name == "images" else "left")
    columns = {
        "PSNR dB": ("psnr", 2),
        "MSE": ("mse", 1),
        "fMSE": ("fmse", 1),
        "ratio": ("fmse_ratio", 3),
        "better": ("better", 2),
        "done": ("done", 0),
        "SSIM": ("ssim", 4),
        "ΔE2000": ("de2000", 2),
        **{f"p{p}": (f"de2000_p{p}", 1) for p in PERCENTILES if p != 90},
    }
    for name in columns:
        table.add_column(name, justify="right")
    for group, entry in summary.items():
        methods = [key for key in entry if key != "images"]
        for method in methods:
            first, last = method == methods[0], method == methods[-1]
            values = (entry[method][key] for key, _ in columns.values())
            cells = ["-" if v is None else f"{v:.{d}f}" for v, (_, d) in zip(values, columns.values(), strict=True)]
            table.add_row(
                group if first else "",
                str(entry["images"]) if first else "",
                method,
                *cells,
                end_section=last,
                style="bold" if method == MODEL else None,
            )
    console.print(table)
    console.print(
        "[dim]means over pictures; ratio: fMSE to the composite's, better: share of pictures improved, "
        "both where there is something to do; done: fMSE done to pictures that were right; p50 to p99: "
        "ΔE2000 of foreground pixels"
    )
