"""Draw the generator as it is built: every stage with its channels, its size and its share of the cost.

python -m training.draw -o docs/images/architecture.png [--config training/configs/nano.toml]
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_harmony.contract import WORKING_SIZE
from edge_harmony.run.arguments import Parser
from edge_harmony.run.exit_code import exit_code
from training.config import read_config
from training.generator import FusionGenerator, GeneratorConfig, count_macs

KINDS = {"style": "style", "stem": "encoder", "enc": "encoder", "dec": "decoder", "head": "head"}
COLOURS = {"encoder": "#2f6f8f", "decoder": "#b5651d", "style": "#5a8f4e", "head": "#7a4a8f"}


def traced(model: FusionGenerator) -> dict[str, tuple[tuple[int, ...], float]]:
    """For each drawn part: shape of what it puts out (C, H, W), and its millions of multiply-accumulates."""
    parts: dict[str, nn.Module] = {"stem": model.encoder.stem}
    parts |= {f"enc {i + 1}": stage for i, stage in enumerate(model.encoder.stages)}
    parts |= {f"dec {model.first + i + 1}": stage for i, stage in enumerate(model.decoder)}
    if model.style is not None:
        parts["style code"] = model.style
    parts["head"] = model.head
    shapes: dict[str, tuple[int, ...]] = {}
    cost: dict[str, float] = dict.fromkeys(parts, 0.0)
    handles = []
    for name, part in parts.items():

        def keep(_module: nn.Module, _inputs: Any, output: torch.Tensor, name: str = name) -> None:
            shapes[name] = tuple(output.shape[1:])

        handles.append(part.register_forward_hook(keep))
        for module in part.modules():
            if isinstance(module, nn.Conv2d):

                def count(m: nn.Module, _inputs: Any, output: torch.Tensor, name: str = name) -> None:
                    cost[name] += output[0, 0].numel() * sum(p.numel() for p in m.parameters() if p.ndim == 4) / 1e6

                handles.append(module.register_forward_hook(count))
    with torch.no_grad():
        model(torch.zeros(1, 3, WORKING_SIZE, WORKING_SIZE), torch.zeros(1, 1, WORKING_SIZE, WORKING_SIZE))
    for handle in handles:
        handle.remove()
    return {name: (shapes[name], cost[name]) for name in parts}


def draw(config: GeneratorConfig, path: Path) -> None:
    """Write the figure as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    model = FusionGenerator(config).eval()
    parts = traced(model)
    total = count_macs(model)
    figure, axes = pyplot.subplots(figsize=(10, 6))
    stages = len(config.widths)
    rows = {"stem": 0.0} | {f"enc {i + 1}": i + 1.0 for i in range(stages)}
    places = {name: (0.0, -row) for name, row in rows.items()}
    places |= {name: (2.0, -rows["enc" + name[3:]]) for name in parts if name.startswith("dec")}
    places |= {"style code": (1.0, -(stages + 1.0)), "head": (3.0, -rows[f"enc {model.first + 1}"])}

    def arrow(a: tuple[float, float], b: tuple[float, float], colour: str = "#555555", bend: float = 0.0) -> None:
        axes.add_patch(
            FancyArrowPatch(
                a,
                b,
                arrowstyle="-|>",
                mutation_scale=10,
                color=colour,
                lw=1.1,
                connectionstyle=f"arc3,rad={bend}",
                shrinkA=2,
                shrinkB=2,
            )
        )

    half_w, half_h = 0.36, 0.28
    for name, (x, y) in places.items():
        (channels, *size), macs = parts[name]
        kind = next(k for start, k in KINDS.items() if name.startswith(start))
        axes.add_patch(
            FancyBboxPatch(
                (x - half_w, y - half_h),
                2 * half_w,
                2 * half_h,
                fc=COLOURS[kind],
                ec="none",
                boxstyle="round,pad=0.02",
                alpha=0.92,
            )
        )
        sizes = f"{channels} x {size[0]} x {size[1]}" if size[0] > 1 else f"{channels} values"
        axes.text(x, y, f"{name}\n{sizes}\n{macs:.1f} M MAC", color="white", ha="center", va="center", fontsize=9)
    order = sorted(rows, key=lambda name: rows[name])
    for a, b in pairwise(order):
        arrow((0, places[a][1] - half_h), (0, places[b][1] + half_h))
    decoders = [name for name in places if name.startswith("dec")][::-1]  # deepest first
    arrow((half_w, -float(stages)), (2.0 - 0.2, places[decoders[0]][1] - half_h), bend=0.25)
    for a, b in pairwise(decoders):
        arrow((2, places[a][1] + half_h), (2, places[b][1] - half_h))
    for name in decoders:
        arrow((half_w, places[name][1]), (2 - half_w, places[name][1]))
        arrow((1 + half_w, -(stages + 1.0) + 0.1), (2 + half_w * 0.9, places[name][1] - half_h), COLOURS["style"], 0.3)
    for i in range(stages):
        arrow((-half_w, -(i + 1.0)), (1 - half_w, -(stages + 1.0)), COLOURS["style"], 0.35)
    arrow((2 + half_w, places["head"][1]), (3 - half_w, places["head"][1]))
    view = f"composite and mask\n4 x {WORKING_SIZE} x {WORKING_SIZE}"
    axes.text(0, 0.75, view, ha="center", va="center", fontsize=9)
    arrow((0, 0.55), (0, half_h))
    axes.text(
        3,
        places["head"][1] - 0.62,
        "3 x 4 colour maps,\ninterpolated and applied\nto the frame at its size",
        ha="center",
        va="center",
        fontsize=9,
    )
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    axes.set_title(
        f"{parameters:.2f} million parameters, {2 * total / 1e9:.2f} GFLOP; green: external style fusion,"
        " from the encoder's\nstatistics of background and foreground to every decoder stage",
        fontsize=10,
    )
    axes.set(xlim=(-0.95, 3.6), ylim=(-(stages + 1.6), 1.1))
    axes.axis("off")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.draw", description=__doc__)
    p.add_argument("-o", "--output", type=Path, required=True, help="PNG")
    p.add_argument("--config", type=Path, help="training configuration (default: base's)")
    args = p.parse_args(argv)
    draw(read_config(args.config, {}).generator, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
