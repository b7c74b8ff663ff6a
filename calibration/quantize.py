"""Quantize a model to INT8 on a calibration set, and leave in floating point what INT8 would hurt.

::

    python -m calibration.quantize --onnx edge_harmony/models/base.onnx --data SET -o base_int8.onnx
    python -m export.build_engine --int8 --onnx base_int8.onnx --reference edge_harmony/models/base.onnx

The convolutions of the network get Q/DQ pairs at their inputs and weights (``export.precision.to_int8``); the
full-resolution steps never do. Each layer is first quantized alone and its loss printed: decibels inside the
foreground of the harmonized result, against FP32. The worst layers then stay in floating point until the whole graph
holds ``--bound-db``. The loss is measured on samples that the ranges were not measured on.

Only the quantized layers are INT8 in the file, the rest is FP32: ``export.build_engine --int8`` (or
``export.precision --fp16``) turns the rest into FP16.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from calibration import sensitivity
from calibration.ranges import DEFAULT_METHOD, METHODS, measure_ranges
from calibration.sensitivity import LayerLoss, Loss, Reference
from calibration.shards import CalibrationSet, open_set
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.run.arguments import Parser, add_verbose, number, whole
from edge_harmony.run.exit_code import exit_code
from export import model_file
from export.precision import convolutions, to_fp16

BOUND_DB: Final = 40.0
MEASURED: Final = 24  # samples that losses are measured on
FEWEST_RANGES: Final = 16  # samples that ranges are measured on before any are set aside

META_METHOD: Final = "edge_harmony.calibration_method"
META_SAMPLES: Final = "edge_harmony.calibration_samples"  # number in the set
META_INT8: Final = "edge_harmony.int8_layers"  # names, with spaces between
META_FLOAT: Final = "edge_harmony.float_layers"  # convolutions that could have been quantized but are not
META_LOSS: Final = "edge_harmony.int8_db"  # of INT8 with FP16 against FP32, on the calibration set

progress_console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Quantized:
    """What quantizing gave."""

    model: onnx.ModelProto  # INT8 layers, the rest FP32
    layers: list[LayerLoss]  # what each costs alone, worst first
    kept: list[str]  # layers left in floating point for the bound, worst first
    loss: Loss  # of ``model``
    half_loss: Loss  # with the rest in FP16, as it is built


def quantize(
    model: onnx.ModelProto,
    data: CalibrationSet,
    method: str = DEFAULT_METHOD,
    bound_db: float = BOUND_DB,
    keep: Sequence[str] = (),
    measured: int = MEASURED,
    threads: int = 1,
    start: Callable[[str, int], Callable[[], None]] = lambda phase, steps: lambda: None,
) -> Quantized:
    """Quantize a transform graph.

    Args:
        model: the FP32 transform graph.
        data: the calibration set.
        method: of ``calibration.ranges``.
        bound_db: the least loss allowed, in dB inside the foreground, of the INT8 graph whose rest is FP16.
        keep: names of layers, or patterns such as ``encoder.stem*``, that stay in floating point.
        measured: number of samples that losses are measured on.
        threads: for the network.
        start: called when a phase starts, with its name and number of steps; returns what is called after each.

    Raises:
        ModelError: not an FP32 transform graph, or the bound cannot be held.
        ConfigError: an unknown method, or a pattern that fits no layer.
        SourceError: the set is damaged.
    """
    data.verify()
    names = [site.node for site in convolutions(model)]
    skip = _matching(keep, names)
    for_loss, for_ranges = split(data, measured)
    passes = 1 if method == "minmax" else 2
    advance = start(f"ranges, {method}", passes * len(for_ranges))
    ranges = measure_ranges(model, lambda: data.select(for_ranges), method, threads, advance)
    reference = Reference(model, data.select(for_loss), threads)
    advance = start("loss of each layer", len(names) - len(skip))
    layers = sensitivity.layer_losses(model, ranges, reference, skip, advance)
    bound = bound_db
    while True:
        tried = start("leaving the worst out", len(layers))
        made, kept, loss = sensitivity.keep_worst_in_float(
            model, ranges, reference, layers, skip, bound, lambda count, loss, tried=tried: tried()
        )
        half_loss = reference.loss(to_fp16(made))
        if half_loss.db >= bound_db:
            break
        bound = loss.db + 0.1  # FP16 took what was left: one layer more
    left = {*skip, *kept}
    more = {
        model_file.META_CALIBRATION: data.digest,
        META_METHOD: method,
        META_SAMPLES: str(data.count),
        META_INT8: " ".join(name for name in names if name not in left),
        META_FLOAT: " ".join(name for name in names if name in left),
        META_LOSS: f"{min(half_loss.db, 999.0):.2f}",
    }
    model_file.stamp(made, model_file.inspect(made), more)
    return Quantized(made, layers, kept, loss, half_loss)


def split(data: CalibrationSet, measured: int) -> tuple[list[int], list[int]]:
    """Samples to measure losses on, spread over the set, and those to measure ranges on: the others, if enough."""
    for_loss = data.spread(min(measured, max(1, data.count // 3)))
    others = sorted(set(range(data.count)) - set(for_loss))
    return for_loss, others if len(others) >= FEWEST_RANGES else list(range(data.count))


def _matching(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        fitting = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not fitting:
            raise ConfigError(f"{pattern} fits no layer that can be quantized", f"layers are named as {names[0]}")
        found += [name for name in fitting if name not in found]
    return found


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m calibration.quantize",
        description=__doc__,
    )
    parser.add_argument("--onnx", type=Path, required=True, help="the FP32 transform graph, such as base.onnx")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="from python -m calibration.collect")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="ONNX", help="the INT8 graph")
    parser.add_argument("--method", choices=METHODS, default=DEFAULT_METHOD, help=f"default: {DEFAULT_METHOD}")
    parser.add_argument(
        "--bound-db", type=number(-1e3, 1e3), default=BOUND_DB, metavar="DB",
        help=f"least accuracy inside the foreground, against FP32 (default: {BOUND_DB:g})",
    )  # fmt: skip
    parser.add_argument(
        "--keep-fp16", nargs="+", default=[], metavar="NAME",
        help="layers to leave in floating point in any case; patterns such as 'encoder.stem*' are understood",
    )  # fmt: skip
    parser.add_argument(
        "--measure", type=whole(1), default=MEASURED, help=f"samples to measure on (default: {MEASURED})"
    )
    parser.add_argument("--threads", type=whole(1, 1024), default=1, help="for the network (default: 1)")
    add_verbose(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: run(build_parser().parse_args(argv)))


def run(args: argparse.Namespace) -> None:
    """Everything between the arguments and the file."""
    if args.output.exists() and args.output.samefile(args.onnx):
        raise ConfigError(f"{args.output} is the FP32 graph itself", "name another file after -o")
    model, info = model_file.load(args.onnx)
    if (info.graph, info.precision) != (model_file.GRAPH_TRANSFORM, "fp32"):
        raise ModelError(
            f"{args.onnx} is a {info.precision} {info.graph} graph", "give the FP32 transform graph, such as base.onnx"
        )
    data = open_set(args.data)
    with _progress() as start:
        result = quantize(
            model, data, args.method, args.bound_db, args.keep_fp16, args.measure, args.threads, start
        )  # fmt: skip
    model_file.save(result.model, args.output)
    report(result)
    count = len(result.layers) - len(result.kept)
    print(
        f"{args.output}: {count} layers INT8, {len(result.kept)} left in floating point for the bound; "
        f"with FP16 {result.half_loss.db:.1f} dB inside the foreground (worst sample {result.half_loss.worst_db:.1f}); "
        f"{args.method} over {data.count} samples, SHA-256 {data.digest[:16]}"
    )


def report(result: Quantized) -> None:
    """Print what each layer costs when it alone is quantized."""
    print("loss of each layer quantized alone, in dB inside the foreground against FP32 (mean, worst sample):")
    for layer in result.layers:
        note = "  left in floating point" if layer.site.node in result.kept else ""
        print(f"  {layer.loss.db:6.1f} {layer.loss.worst_db:6.1f}  {layer.site.node}{note}")
    idle = [layer.site.node for layer in result.layers if layer.loss.mean_squared_error == 0]
    if idle:
        progress_console.print(
            f"warning: {len(idle)} of {len(result.layers)} layers have no influence on the result, such as {idle[0]}: "
            "what they feed is dead (a ReLU that never opens); the model is badly trained",
            markup=False,
        )


@contextmanager
def _progress() -> Generator[Callable[[str, int], Callable[[], None]]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not progress_console.is_terminal
    with Progress(*columns, console=progress_console, transient=True, disable=hidden) as bar:

        def start(phase: str, steps: int) -> Callable[[], None]:
            task = bar.add_task(phase, total=steps)
            return lambda: bar.update(task, advance=1)

        yield start


if __name__ == "__main__":
    sys.exit(main())
