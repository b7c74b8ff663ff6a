"""Build a TensorRT engine: choose the precision, prove its accuracy, build, and write engine and sidecar.

::

    python -m export.build_engine --fp16                                  # on the machine that will run it
    python -m export.build_engine --int8 --calibration SET                # quantized on a set from calibration.collect
    python -m export.build_engine --int8 --onnx base_int8.onnx            # a graph from calibration.quantize
    python -m export.build_engine --fp16 --target rtx --sm 86 -o m.engine # TensorRT-RTX, needs no GPU to build
    python -m export.build_engine --fp16 --graph frame -o frame.engine    # whole frames, for programs that embed it
    python -m export.build_engine --fp16 --size 1920x1080 -o hd.engine    # the same for one frame size: least memory

By default the *transform graph* is built, the network alone, which is what the commands run. The *frame graph*, uint8
frames in and out, from 480x270 to 3840x2160 and tuned for 1920x1080, is built where a frame size is named.

The precision lies in the graph (``export.precision``), so its accuracy is measured before anything is built: the
converted graph against FP32 in ONNX Runtime, at least 50 dB inside the foreground for FP16 and 40 dB for INT8, no
NaN, the background kept. Where the engine can run, on the GPU it is built for, it is then held to the same bound
itself. What fails is not saved without ``--force``; which of the two was compared is said, and kept in the sidecar.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from edge_harmony import contract
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.harmonize.load import MODEL_FOLDER, find_model
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine_sidecar import EngineSidecar
from edge_harmony.run.arguments import Parser, add_verbose, size, whole
from edge_harmony.run.exit_code import exit_code
from export import builder, frame_graph, model_file, precision, verify
from export.builder import BuildOptions, BuiltEngine, FrameSizes
from export.gate import Gate, Parity, find_reference
from export.model_file import GRAPH_FRAME, GRAPH_TRANSFORM, ModelInfo

DEFAULT_MODEL = MODEL_FOLDER / "base.onnx"
_DEFAULT_SIZES = FrameSizes((270, 480), (1080, 1920), (2160, 3840))

console = Console(stderr=True, highlight=False, soft_wrap=True)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m export.build_engine",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="\n".join((__doc__ or "").split("\n")[2:]),
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--precision", choices=("fp32", "fp16", "int8"), help="default: fp16")
    kind.add_argument("--fp16", action="store_const", const="fp16", dest="precision", help="half precision")
    kind.add_argument("--int8", action="store_const", const="int8", dest="precision", help="INT8 with FP16")
    model = parser.add_argument_group("model")
    model.add_argument(
        "--onnx",
        type=Path,
        default=DEFAULT_MODEL,
        metavar="FILE|NAME",
        help="the model, by file or by name; default: the package's own",
    )
    model.add_argument(
        "--graph",
        choices=(GRAPH_TRANSFORM, GRAPH_FRAME),
        help="default: transform, or frame where a frame size is named or --onnx is a frame graph",
    )
    model.add_argument(
        "--calibration",
        type=Path,
        metavar="SET",
        help="with --int8: quantize on this set first; the graph is kept beside the engine",
    )
    sizes = parser.add_argument_group("frame sizes (of the frame graph)")
    whole_frame = size(contract.MIN_FRAME_SIZE)
    sizes.add_argument("--size", type=whole_frame, metavar="WxH", help="one size alone: least memory, and CUDA graphs")
    sizes.add_argument(
        "--min", type=whole_frame, metavar="WxH", help="smallest (default: 480x270, at most the largest)"
    )
    sizes.add_argument(
        "--opt", type=whole_frame, metavar="WxH", help="to tune for (default: 1920x1080, if between the two)"
    )
    sizes.add_argument("--max", type=whole_frame, metavar="WxH", help="largest (default: 3840x2160)")
    how = parser.add_argument_group("building")
    how.add_argument("--target", choices=(builder.TENSORRT, builder.RTX), default=builder.TENSORRT)
    how.add_argument("--sm", type=capabilities, default=(), help="TensorRT-RTX: GPU generations, such as 86 or 86,89")
    how.add_argument("--workspace", type=whole(1), metavar="MB", help="memory that the builder's choices may take")
    how.add_argument("--timing-cache", type=Path, metavar="FILE", help="measurements kept between builds (TensorRT)")
    how.add_argument(
        "--optimization-level", type=whole(0, 5), metavar="0..5", help="0 builds quickest, 5 searches longest"
    )
    gate = parser.add_argument_group("accuracy")
    gate.add_argument("--frames", type=Path, metavar="DIR", help="composites with masks to measure on (default: ours)")
    gate.add_argument("--limit", type=whole(1), default=24, help="how many of DIR (default: 24)")
    gate.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="the FP32 graph, when --onnx is another (default: the one of its weights beside it or ours)",
    )
    gate.add_argument("--force", action="store_true", help="save the engine even when it misses the bound")
    add_verbose(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: MODEL_PRECISION.engine here")
    return parser


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: run(build_parser().parse_args(argv)))


def run(args: argparse.Namespace) -> None:
    """Everything between the arguments and the two files."""
    args.precision = args.precision or "fp16"
    args.onnx = find_model(args.onnx)
    source, source_info = model_file.load(args.onnx)
    output = args.output or Path(f"{args.onnx.stem}_{args.precision}.engine")
    args.graph = args.graph or _graph_asked_for(args, source_info)
    sizes = _sizes(args)
    options = BuildOptions(args.target, sizes, args.sm, args.workspace, args.timing_cache, args.optimization_level)
    _, gpu = builder.check(options, args.graph)
    model_file.check_writable(output)
    if args.calibration is not None:
        args.reference, args.onnx = args.reference or args.onnx, quantized(args, output)
        source, source_info = model_file.load(args.onnx)
    model = converted(source, source_info, args.graph, args.precision)
    gate = _gate(args, source, source_info)
    with console.status(f"comparing {args.precision} with fp32 in ONNX Runtime"):
        parity = gate.check_graph(model)
    with progress_bar() as report:
        engine = builder.build(model, options, report)
    for warning in engine.warnings:
        console.print(f"builder: {warning.strip()}", style="dim", markup=False)
    _save(args, output, engine, model_file.inspect(model), sizes, gate, parity)
    ceiling = "" if engine.activation_bytes is None else f", {engine.activation_bytes / 1e6:.0f} MB to run"
    console.print(
        f"{output}: {args.precision} {args.graph} engine for SM {', '.join(engine.sm)}, "
        f"{len(engine.data) / 1e6:.1f} MB{ceiling}, built in {engine.seconds:.1f} s",
        markup=False,
    )
    runs_here = gpu is not None and gpu.sm in engine.sm
    there = "" if runs_here else f"copy {output} and {engine_sidecar.path_of(output)} to a GPU of that kind, then "
    console.print(f"next: {there}edge-harmony benchmark --model {shlex.quote(str(output))}", markup=False)


def quantized(args: argparse.Namespace, output: Path) -> Path:
    """Quantize ``args.onnx`` on ``args.calibration`` into a file beside ``output``.

    Through its own command, because ``calibration`` builds on this package and not the other way round.

    Raises:
        ConfigError: another precision than INT8 is wanted, or there is such a file already.
        ModelError: quantizing failed; it has said why.
    """
    if args.precision != "int8":
        raise ConfigError("--calibration is for INT8", "add --int8, or leave it out")
    graph = output.with_name(f"{args.onnx.stem}_int8.onnx")
    if graph.exists():
        raise ConfigError(
            f"{graph} exists already, and would be written again",
            f"build from it, with --onnx {graph} in place of --calibration; or remove it, or name another folder by -o",
        )
    words = ["--onnx", str(args.onnx), "--data", str(args.calibration), "-o", str(graph)]
    if subprocess.run([sys.executable, "-m", "calibration.quantize", *words]).returncode != 0:
        raise ModelError(
            f"{args.onnx} could not be quantized on {args.calibration}, for the reason above",
            "make a set with python -m calibration.collect",
        )
    return graph


def converted(source: onnx.ModelProto, info: ModelInfo, graph: str, wanted: str) -> onnx.ModelProto:
    """The graph to build: of the kind and precision wanted.

    Raises:
        ConfigError: the source is of another precision, or a frame graph where the network alone is wanted.
        ModelError: INT8 is wanted of a graph that is not quantized.
    """
    if info.precision not in ("fp32", wanted):
        raise ConfigError(f"the graph is {info.precision}, not {wanted}", f"use --precision {info.precision}")
    if wanted == "int8" and info.precision != "int8":
        raise ModelError(
            "the graph is not quantized",
            "calibrate on your own footage: make a set with python -m calibration.collect and give it as --calibration",
        )
    if graph == GRAPH_TRANSFORM and info.graph == GRAPH_FRAME:
        raise ConfigError("a frame graph was given for --graph transform", "give the transform graph as --onnx")
    model = frame_graph.compose(source) if graph == GRAPH_FRAME and info.graph == GRAPH_TRANSFORM else source
    return model if wanted == "fp32" else precision.to_fp16(model)


def _gate(args: argparse.Namespace, source: onnx.ModelProto, info: ModelInfo) -> Gate:
    reference = find_reference(source, info, args.reference, args.onnx.parent, args.graph)
    scenes, words = verify.frames_for_gate(args.frames, args.limit)
    return Gate(reference, args.precision, scenes, words, args.force, lambda line: console.print(line, markup=False))


def _save(
    args: argparse.Namespace,
    output: Path,
    engine: BuiltEngine,
    info: ModelInfo,
    sizes: FrameSizes | None,
    gate: Gate,
    graph_parity: Parity,
) -> None:
    """Write engine and sidecar beside ``output``, let the engine prove itself there, and then give them their names."""
    sidecar = EngineSidecar(
        contract=contract.CONTRACT_VERSION,
        graph=info.graph,
        model=info.name,
        weights_sha256=info.weights_sha256,
        onnx=args.onnx.name,
        onnx_sha256=engine_sidecar.digest(args.onnx),
        precision=info.precision,
        target=args.target,
        min_size=sizes and _width_height(sizes.smallest),
        opt_size=sizes and _width_height(sizes.usual),
        max_size=sizes and _width_height(sizes.largest),
        **engine.facts(),
        rebuild=_command(args, output, sizes),
        parity=graph_parity,
    )
    with model_file.beside(output) as folder:
        path = folder / output.name
        path.write_bytes(engine.data)
        engine_sidecar.write(path, sidecar)
        with console.status("comparing the engine with fp32"):
            sidecar = replace(sidecar, parity=gate.check_engine(path, graph_parity))
        engine_sidecar.write(path, sidecar)
        engine_sidecar.path_of(path).replace(engine_sidecar.path_of(output))
        path.replace(output)


def _command(args: argparse.Namespace, output: Path, sizes: FrameSizes | None) -> str:
    """The command that builds the same engine again."""
    words = ["python", "-m", "export.build_engine", "--precision", args.precision, "--graph", args.graph]
    if args.onnx != DEFAULT_MODEL:
        words += ["--onnx", str(args.onnx)]
    if sizes is not None and sizes.static:
        words += ["--size", _words(sizes.usual)]
    elif sizes is not None and sizes != _DEFAULT_SIZES:
        words += ["--min", _words(sizes.smallest), "--opt", _words(sizes.usual), "--max", _words(sizes.largest)]
    if args.target != builder.TENSORRT:
        words += ["--target", args.target]
    if args.sm:
        words += ["--sm", ",".join(args.sm)]
    for option in ("workspace", "timing_cache", "optimization_level", "frames", "reference"):
        if getattr(args, option) is not None:
            words += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    return shlex.join([*words, *(["--force"] if args.force else []), "-o", str(output)])


@contextmanager
def progress_bar() -> Generator[builder.Progress]:
    """A bar for every phase that the builder is in, the outermost first."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    tasks: dict[str, TaskID] = {}
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:

        def report(phase: str, done: int, steps: int) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=steps)
            progress.update(tasks[phase], completed=done, visible=done < steps or len(tasks) == 1)

        yield report


def _graph_asked_for(args: argparse.Namespace, info: ModelInfo) -> str:
    names_size = any(getattr(args, name) is not None for name in ("size", "min", "opt", "max"))
    return GRAPH_FRAME if names_size or info.graph == GRAPH_FRAME else GRAPH_TRANSFORM


def _sizes(args: argparse.Namespace) -> FrameSizes | None:
    given = [name for name in ("min", "opt", "max") if getattr(args, name) is not None]
    if args.graph == GRAPH_TRANSFORM:
        if args.size or given:
            raise ConfigError(
                "the transform graph has one size, its own", "leave out --size, --min, --opt and --max, or --graph"
            )
        return None
    if args.size and given:
        raise ConfigError(f"--size and --{given[0]} exclude each other", "give --size, or --min, --opt and --max")
    if args.size:
        return FrameSizes(args.size, args.size, args.size)
    known = [size for size in (args.min, args.opt, args.max) if size is not None]
    smallest = args.min or _each(min, _DEFAULT_SIZES.smallest, *known)
    largest = args.max or _each(max, _DEFAULT_SIZES.largest, *known)
    usual = args.opt or _each(max, smallest, _each(min, _DEFAULT_SIZES.usual, largest))
    return FrameSizes(smallest, usual, largest)


def _each(choose: Callable[..., int], *sizes: tuple[int, int]) -> tuple[int, int]:
    """The smallest or largest of some sizes (H, W), each dimension by itself."""
    height, width = (choose(lengths) for lengths in zip(*sizes, strict=True))
    return height, width


def _width_height(size_hw: tuple[int, int]) -> tuple[int, int]:
    return size_hw[1], size_hw[0]


def _words(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]}x{size_hw[0]}"


def capabilities(text: str) -> tuple[str, ...]:
    """``86``, ``8.6``, ``sm_86`` or several with commas, to ("86", ...)."""
    names = tuple(part.strip().lower().removeprefix("sm").lstrip("_").replace(".", "") for part in text.split(","))
    if not all(re.fullmatch(r"\d{2,3}", name) for name in names):
        raise argparse.ArgumentTypeError(f"{text!r} names no GPU generation: write it as 86, or 86,89")
    return names


if __name__ == "__main__":
    sys.exit(main())
