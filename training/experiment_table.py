"""The table and the curves of a list of experiments."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import Any

from training.experiment_list import Experiment

# figure: its name in the table, decimals
COLUMNS = {
    "psnr": ("PSNR dB", 2),
    "fmse": ("fMSE", 0),
    "fmse_ratio": ("ratio", 3),
    "better": ("better", 2),
    "done": ("done", 0),
}


def write(out: Path, results: list[dict[str, Any]]) -> str:
    """Write table.csv (one line a run) and table.md (one line a row of the list); returns the latter's text."""
    columns = [
        (bench, key)
        for bench, figures in results[0]["benches"].items()
        for key in COLUMNS
        if figures["model"][key] is not None
    ]
    several = len(results[0]["benches"]) > 1
    names = [f"{bench}: {COLUMNS[key][0]}" if several else COLUMNS[key][0] for bench, key in columns]
    with (out / "table.csv").open("w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["group", "name", "seed", "steps", "batch", *names])
        for r in results:
            rows.writerow(
                [
                    r["group"],
                    r["name"],
                    r["seed"],
                    r["steps"],
                    r["batch"],
                    *(r["benches"][bench]["model"][key] for bench, key in columns),
                ]
            )
    lines = [f"| {' | '.join(['group', 'run', 'seeds', *names])} |", "| --- " * (3 + len(names)) + "|"]
    named: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in results:
        named.setdefault((r["group"], r["name"]), []).append(r)
    for (group, name), runs in named.items():
        cells = [
            mean_and_spread([r["benches"][bench]["model"][key] for r in runs], COLUMNS[key][1])
            for bench, key in columns
        ]
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
            panel.plot(
                [s for s, _ in rows],
                values,
                color=f"C{names.index(e.name) % 10}",
                label=e.name if first else None,
                linewidth=1.2,
            )
        panel.set(title=group or "runs", xlabel="samples")
        panel.legend(fontsize=7)
    panels[0][0].set_ylabel("foreground PSNR in training, dB")
    figure.tight_layout()
    path = out / "curves.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
