"""Build a TensorRT engine of the person matte's network, for programs that run it on a GPU.

::

    python -m export.matte_engine --fp16                                   # on the machine that will run it
    python -m export.matte_engine --int8 --onnx person_int8.onnx           # from python -m calibration.matte
    python -m export.matte_engine --fp16 --size 512x288 --target rtx --sm 86 -o fine.engine   # needs no GPU to build

An engine is for one size of what the network sees: 288x160 is ``person`` on 16:9, 512x288 ``person:fine``. Its tensors
are those of the ONNX file, ``picture`` float32 (1, 4, h, w), RGB 0..1 and the alpha found before, and ``alpha`` float32
(1, 1, h, w). Before anything is built the graph is held against FP32 in ONNX Runtime, on pictures made here: alpha may
differ by 0.002 on average for FP16 and by 0.02 for INT8. The commands of the package run the matte on the CPU;
docs/tensorrt.md says what a program of one's own does around the engine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

from edge_harmony import contract
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.harmonize.load import MODEL_FOLDER
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine_sidecar import EngineSidecar
from edge_harmony.run.arguments import Parser, add_verbose, size
from edge_harmony.run.exit_code import exit_code
from export import builder, matte_precision, model_file
from export.build_engine import capabilities, console, progress_bar
from export.builder import BuildOptions

BOUNDS = {"fp16": 0.002, "int8": 0.02}  # mean difference of alpha, of 1
_FIGURES = 4  # pictures made here


def pictures(size_hw: tuple[int, int]) -> list[np.ndarray]:
    """Bodies of plain shapes before noise, with and without an alpha from before: float32 (1, 4, h, w) each."""
    height, width = size_hw
    rows, columns = np.indices(size_hw)
    made = []
    for seed in range(_FIGURES):
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.4, 0.6) * height
        head = np.hypot(columns - x, rows - y + 0.2 * height) < 0.12 * height
        body = (np.abs(columns - x) < 0.16 * height) & (rows > y - 0.1 * height)
        alpha = (head | body).astype(np.float32)
        rgb = rng.uniform(0, 0.5, (3, 1, 1)) + 0.3 * rng.random((3, *size_hw)) + alpha * rng.uniform(0, 0.5, (3, 1, 1))
        made.append(np.concatenate((rgb.clip(0, 1), alpha[None] * (seed % 2)))[None].astype(np.float32))
    return made


def measure(model: onnx.ModelProto, reference: onnx.ModelProto, shown: list[np.ndarray]) -> float:
    """Mean difference of alpha between two graphs, of 1; infinite where one is not finite."""
    return matte_precision.difference(*(matte_precision.alphas(graph, shown) for graph in (model, reference)))


def converted(source: onnx.ModelProto, wanted: str) -> onnx.ModelProto:
    """The graph to build.

    Raises:
        ConfigError: INT8 is wanted of a graph that is not quantized, or another precision of one that is.
    """
    is_int8 = model_file.properties(source).get(model_file.META_PRECISION) == "int8"
    if is_int8 != (wanted == "int8"):
        raise ConfigError(
            f"the graph is {'INT8' if is_int8 else 'not quantized'}, {wanted} is wanted",
            "use --int8" if is_int8 else "quantize it on footage: python -m calibration.matte --source CLIP -o FILE",
        )
    return source if wanted == "fp32" else matte_precision.to_fp16(source)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m export.matte_engine", description=(__doc__ or "").split("\n\n")[0])
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--fp32", action="store_const", const="fp32", dest="precision")
    kind.add_argument("--fp16", action="store_const", const="fp16", dest="precision", help="half precision (default)")
    kind.add_argument("--int8", action="store_const", const="int8", dest="precision", help="INT8 with FP16")
    parser.add_argument("--onnx", type=Path, default=MODEL_FOLDER / "person.onnx", metavar="FILE")
    parser.add_argument("--reference", type=Path, default=MODEL_FOLDER / "person.onnx", help="the FP32 graph of --int8")
    parser.add_argument("--size", type=size(), default="288x160", metavar="WxH", help="what the network sees (288x160)")
    parser.add_argument("--target", choices=(builder.TENSORRT, builder.RTX), default=builder.TENSORRT)
    parser.add_argument(
        "--sm", type=capabilities, default=(), help="TensorRT-RTX: GPU generations, such as 86 or 86,89"
    )
    parser.add_argument("--force", action="store_true", help="save the engine even when it misses the bound")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: MODEL_PRECISION.engine here")
    add_verbose(parser)
    args = parser.parse_args(argv)
    args.precision = args.precision or "fp16"

    def work() -> None:
        output = args.output or Path(f"{args.onnx.stem}_{args.precision}.engine")
        source = matte_precision.load(args.onnx)
        reference = matte_precision.load(args.reference) if args.precision == "int8" else source
        model = matte_precision.of_size(converted(source, args.precision), args.size)
        options = BuildOptions(args.target, None, args.sm)
        found = builder.check(options, model_file.GRAPH_TRANSFORM)
        model_file.check_writable(output)
        parity: dict[str, object] = {"compared": "nothing", "passed": True}
        if args.precision != "fp32":
            off, bound = measure(model, reference, pictures(args.size)), BOUNDS[args.precision]
            console.print(f"graph: alpha differs from FP32 by {off:.5f} on average, at most {bound:g} is allowed")
            if off > bound and not args.force:
                raise ModelError(
                    f"the {args.precision} graph misses the bound", "calibrate on more footage, or --force"
                )
            parity = {"compared": "graph", "alpha": round(off, 6), "bound": bound, "passed": off <= bound}
        with progress_bar() as report:
            engine = builder.build_checked(model, options, found, report)
        meta = model_file.properties(source)
        height, width = args.size
        sidecar = EngineSidecar(
            contract=contract.CONTRACT_VERSION, graph=matte_precision.GRAPH, model=meta.get(contract.META_MODEL, ""),
            weights_sha256=meta.get(contract.META_WEIGHTS, ""), onnx=args.onnx.name,
            onnx_sha256=engine_sidecar.digest(args.onnx), precision=args.precision, target=args.target,
            min_size=(width, height), opt_size=(width, height), max_size=(width, height), **engine.facts(),
            rebuild=f"python -m export.matte_engine --{args.precision} --onnx {args.onnx} --size {width}x{height}",
            parity=parity,
        )  # fmt: skip
        with model_file.beside(output) as folder:
            path = folder / output.name
            path.write_bytes(engine.data)
            engine_sidecar.write(path, sidecar)
            engine_sidecar.path_of(path).replace(engine_sidecar.path_of(output))
            path.replace(output)
        console.print(
            f"{output}: {args.precision} matte engine for SM {', '.join(engine.sm)}, "
            f"{len(engine.data) / 1e6:.1f} MB, built in {engine.seconds:.1f} s", markup=False,
        )  # fmt: skip

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
