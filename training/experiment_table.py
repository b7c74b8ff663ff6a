"""The table and the curves of a list of experiments."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import Any

from training.experiment_list import Experiment

COLUMNS = {"psnr": 2, "fmse": 0, "fmse_ratio": 3, "de2000": 2}  # figure: decimals


def write(out: Path, results: list[dict[str, Any]]) -> str:
    """Write table.csv (one line a run) and table.md (one line a row of the list); returns the latter's text."""
    with (out / "table.csv").open("w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["group", "name", "seed", "steps", "batch", *COLUMNS])
        for r in results:
            rows.writerow([r["group"], r["name"], r["seed"], r["steps"], r["batch"],
                           *(r["model"][key] for key in COLUMNS)])
    lines = ["| group | run | seeds | PSNR dB | fMSE | ratio | ΔE2000 |", "| --- | --- | --- | --- | --- | --- | --- |"]
    named: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in results:
        named.setdefault((r["group"], r["name"]), []).append(r)
    for (group, name), runs in named.items():
        cells = [mean_and_spread([r["model"][key] for r in runs], digits) for key, digits in COLUMNS.items()]
        lines.append(f"| {group} | {name} | {len(runs)} | {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    (out / "table.md").write_text(text)
    return text


def mean_and_spread(values: list[float], digits: int) -> str:
    """Mean, and half the range for more than one value."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.{digits}f}"


def draw_curves(out: Path, experiments: list[Experiment]) -> Path:
    """curves.png: foreground PSNR in training over samples, one panel a group, averaged over neighbouring rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = list(dict.fromkeys(e.group for e in experiments))
    figure, panels = pyplot.subplots(1, len(groups), figsize=(1 + 5 * len(groups), 4), squeeze=False, sharey=True)
    for panel, group in zip(panels[0], groups, strict=True):
        names = list(dict.fromkeys(e.name for e in experiments if e.group == group))
        for e in experiments:
            if e.group != group:
                continue
            with (out / e.folder / "log.csv").open(newline="") as f:
                rows = [(int(r["step"]) * e.config.batch, float(r["fg_psnr"])) for r in csv.DictReader(f)]
            near = max(1, len(rows) // 20)
            values = [statistics.fmean(v for _, v in rows[max(0, i - near) : i + 1]) for i in range(len(rows))]
            first = e.config.seed == min(x.config.seed for x in experiments if (x.group, x.name) == (group, e.name))
            panel.plot([s for s, _ in rows], values, color=f"C{names.index(e.name) % 10}",
                       label=e.name if first else None, linewidth=1.2)
        panel.set(title=group or "runs", xlabel="samples")
        panel.legend(fontsize=7)
    panels[0][0].set_ylabel("foreground PSNR in training, dB")
    figure.tight_layout()
    path = out / "curves.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
