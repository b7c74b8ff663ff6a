"""Device memory that engines need for one run, as TensorRT-RTX's builder reports it; builds them, needs no GPU.

    python benchmarks/engine_memory.py [--onnx FILE|NAME] [--sm 86]

Prints the table of docs/export.md. An INT8 graph needs what the FP16 one does: its rest is FP16.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from edge_harmony.harmonize.load import find_model  # noqa: E402
from edge_harmony.run.exit_code import exit_code  # noqa: E402
from export import builder, frame_graph, model_file, precision  # noqa: E402
from export.builder import RTX, BuildOptions, FrameSizes  # noqa: E402

FULL_HD, SMALLEST, LARGEST = (1080, 1920), (270, 480), (2160, 3840)
SIZES = {
    "the network alone": None,
    "frames of 1920x1080 alone": FrameSizes(FULL_HD, FULL_HD, FULL_HD),
    "frames up to 3840x2160": FrameSizes(SMALLEST, FULL_HD, LARGEST),
}


def run(args: argparse.Namespace) -> None:
    network, _ = model_file.load(find_model(args.onnx))
    frame = frame_graph.compose(network)
    print(f"| | {' | '.join(SIZES)} |\n|{' --- |' * (len(SIZES) + 1)}")
    for name, convert in (("FP32", lambda model: model), ("FP16, INT8", precision.to_fp16)):
        cells = []
        for sizes in SIZES.values():
            model = convert(network if sizes is None else frame)
            needed = builder.build(model, BuildOptions(RTX, sizes, (args.sm,))).activation_bytes
            cells.append("unknown" if needed is None else f"{needed / 1e6:.0f} MB")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--onnx", default=None, metavar="FILE|NAME", help="default: the model of the package")
    parser.add_argument("--sm", default="86", help="GPU generation (default: 86)")
    args = parser.parse_args()
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
