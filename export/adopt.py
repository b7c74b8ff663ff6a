"""Take over an engine that another tool built, trtexec or Polygraphy: run it, measure it, and write its sidecar.

::

    trtexec --onnx=base_fp16.onnx --stronglyTyped --saveEngine=mine.engine
    python -m export.adopt mine.engine --onnx base_fp16.onnx

The engine must run here, on the GPU it was built on, and hold the bound of its precision against FP32, as one of
``export.build_engine`` does; the engine itself is left as it is. From then on every command finds it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from edge_harmony import contract
from edge_harmony.errors import ModelError
from edge_harmony.gpu.device import open_device
from edge_harmony.harmonize.load import find_model
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.engine import load_tensorrt
from edge_harmony.harmonize.tensorrt.engine_sidecar import EngineSidecar
from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer
from edge_harmony.run.arguments import Parser, add_verbose, whole
from edge_harmony.run.exit_code import exit_code
from export import builder, model_file, verify
from export.gate import Gate, find_reference


def run(args: argparse.Namespace) -> None:
    args.onnx = find_model(args.onnx)
    source, info = model_file.load(args.onnx)
    precision = args.precision or info.precision
    if not args.engine.is_file():
        raise ModelError(f"{args.engine} does not exist", "name an engine that trtexec or polygraphy saved")
    gpu = open_device().gpu
    graph = args.graph or info.graph
    rebuild = ["python", "-m", "export.build_engine", "--precision", precision, "--graph", graph]
    sidecar = EngineSidecar(
        contract=contract.CONTRACT_VERSION,
        graph=graph,
        model=info.name,
        weights_sha256=info.weights_sha256,
        onnx=args.onnx.name,
        onnx_sha256=engine_sidecar.digest(args.onnx),
        precision=precision,
        target=args.target,
        builder_version=load_tensorrt(args.target).__version__,  # no other version deserializes it
        sm=(gpu.sm,),
        gpu=gpu.name,
        cuda=gpu.cuda_version,
        min_size=None,
        opt_size=None,
        max_size=None,
        engine_sha256=engine_sidecar.digest(args.engine),
        engine_bytes=args.engine.stat().st_size,
        activation_bytes=None,
        rebuild=shlex.join([*rebuild, "--onnx", str(args.onnx), "-o", str(args.engine)]),
    )
    reference = find_reference(source, info, args.reference, args.onnx.parent, graph)
    scenes, words = verify.frames_for_gate(args.frames, args.limit)
    gate = Gate(reference, precision, scenes, words, force=False, say=print)
    with model_file.beside(args.engine) as folder:
        trial = folder / args.engine.name
        _same_file(args.engine, trial)
        engine_sidecar.write(trial, sidecar)
        with TensorRtHarmonizer(trial) as harmonizer:
            sizes = harmonizer.size_range
        if sizes is not None:
            (low, high) = ((width, height) for height, width in sizes)
            sidecar = replace(sidecar, min_size=low, max_size=high)
        parity = gate.check_engine(trial, {"compared": "nothing", "passed": True})
    if parity["compared"] != "engine":
        raise ModelError(f"{args.engine} was not run: {parity['engine_not_run']}", "adopt it on the GPU that it is for")
    engine_sidecar.write(args.engine, replace(sidecar, parity=parity))
    print(f"{engine_sidecar.path_of(args.engine)}: {precision} {graph} engine of {info.name}, adopted")
    print(f"next: edge-harmony benchmark --model {shlex.quote(str(args.engine))}")


def _same_file(source: Path, target: Path) -> None:
    """Without copying it where the disk allows."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(
        prog="python -m export.adopt",
        description=__doc__,
    )
    parser.add_argument("engine", type=Path, help="the engine")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE|NAME", help="the graph it was built from")
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), help="where the builder changed it (default: the graph's)"
    )
    parser.add_argument("--graph", choices=("transform", "frame"), help="default: the graph's kind")
    parser.add_argument("--target", choices=(builder.TENSORRT, builder.RTX), default=builder.TENSORRT)
    parser.add_argument("--reference", type=Path, metavar="FILE", help="the FP32 graph (default: found by its weights)")
    parser.add_argument("--frames", type=Path, metavar="DIR", help="composites with masks (default: ours)")
    parser.add_argument("--limit", type=whole(1), default=24, help="how many of DIR (default: 24)")
    add_verbose(parser)
    args = parser.parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
