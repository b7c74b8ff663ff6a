"""Quantize the person matte to INT8 on footage, and leave in floating point what INT8 would hurt.

::

    python -m calibration.matte --source talk.mp4 -o person_int8.onnx
    python -m calibration.matte --source photos/ --source '*.mp4' --size 512 -o person_int8.onnx
    python -m export.matte_engine --int8 --onnx person_int8.onnx

The matte runs on the footage as it does for users, with its previous alpha; what its network is shown is kept, evenly
over all of it. On three quarters of that the largest magnitude that each convolution reads is measured, and a quarter
more is left for what was not seen. On the rest INT8 (with FP16 beside it, as it will be built) is held against FP32:
layers stay in floating point, the one that costs most first, until the alphas differ by no more than ``--bound`` on
average. The file runs in ONNX Runtime on a CPU too (``--matte person_int8.onnx``).
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.quantize import META_FLOAT, META_INT8, META_METHOD, META_SAMPLES
from edge_harmony.capture import open_source
from edge_harmony.errors import ConfigError, ModelError, SourceError
from edge_harmony.matte.person import MODEL, PersonMatte
from edge_harmony.run.arguments import Parser, add_verbose, number, whole
from edge_harmony.run.exit_code import exit_code
from export import matte_precision, model_file
from export.runtime import session

HEADROOM: Final = 1.25  # of the largest magnitude that was seen
SMALLEST: Final = 2.0**-10
BOUND: Final = 0.01  # mean difference of alpha, of 1, against FP32
COUNT: Final = 48  # pictures kept
META_LOSS: Final = "edge_harmony.int8_alpha"  # that difference, reached

Picture = NDArray[np.float32]


class Watched(PersonMatte):
    """The person matte, which remembers what its network was shown last."""

    shown: Picture | None = None

    def _run(self, outputs: list[str], feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.shown = feeds[matte_precision.INPUT]
        return super()._run(outputs, feeds)


def shown_on(sources: Sequence[str], model: Path, size: int, count: int = COUNT) -> list[Picture]:
    """What the network is shown on footage: float32 (1, 4, h, w) each, evenly over every source.

    Raises:
        SourceError: a source cannot be read, or none has a frame. MatteError: the model cannot be opened.
    """
    kept: list[Picture] = []
    for path in (path for spec in sources for path in _named(spec)):
        matte, opened = Watched(size=size, model=model, estimate=False), open_source(path)
        pictures, every = [], 1
        try:
            for index, frame in enumerate(opened):
                matte(frame.image_bgr)
                assert matte.shown is not None
                if index % every == 0:
                    pictures.append(matte.shown.copy())
                if len(pictures) >= 2 * count:  # keep every second, so that memory does not grow
                    pictures, every = pictures[::2], 2 * every
        finally:
            opened.close()
            matte.close()
        kept += pictures
    if not kept:
        raise SourceError(f"{', '.join(sources)}: there is no frame", "name a video, a picture or a folder of them")
    return [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, min(count, len(kept))).round().astype(int))]


def _named(spec: str) -> list[str]:
    """The files that a source means: a folder's pictures one by one, for they may differ in size."""
    if Path(spec).is_dir():
        return sorted(str(path) for path in Path(spec).iterdir() if path.is_file() and path.name[0] != ".")
    return sorted(glob.glob(spec)) or [spec]


def measure_ranges(model: onnx.ModelProto, pictures: Sequence[Picture]) -> dict[str, float]:
    """The largest magnitude of every tensor that a convolution reads, and a quarter more."""
    tensors = sorted(set(matte_precision.convolutions(model).values()) - {matte_precision.INPUT})
    watched = onnx.ModelProto.FromString(model.SerializeToString())
    for name in tensors:
        watched.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    run = session(watched)
    peaks = dict.fromkeys(tensors, 0.0)
    for picture in pictures:
        for name, values in zip(tensors, run.run(tensors, {matte_precision.INPUT: picture}), strict=True):
            peaks[name] = max(peaks[name], float(np.abs(np.asarray(values)).max()))
    bad = [name for name, peak in peaks.items() if not np.isfinite(peak)]
    if bad:
        raise ModelError(f"the network gives NaN or infinity at {bad[0]}", "train or export it again")
    return {name: max(HEADROOM * peak, SMALLEST) for name, peak in peaks.items()} | {matte_precision.INPUT: 1.0}


def quantize(
    model: onnx.ModelProto, pictures: Sequence[Picture], bound: float = BOUND, steps: int = 8
) -> tuple[onnx.ModelProto, float, list[str]]:
    """Quantize; see above.

    Args:
        model: of ``matte_precision.load``.
        pictures: of ``shown_on``, at least 4.
        bound: mean difference of alpha, of 1.
        steps: how often more layers are left in floating point, an eighth of them each time.

    Returns:
        The graph (INT8 and FP32), the difference reached, and the layers left in floating point.

    Raises:
        ConfigError: too few pictures. ModelError: the bound cannot be held.
    """
    if len(pictures) < 4:
        raise ConfigError(f"{len(pictures)} pictures are too few to calibrate on", "give more footage")
    judged, seen = list(pictures[::4]), [p for i, p in enumerate(pictures) if i % 4]
    ranges = measure_ranges(model, seen)
    expected = matte_precision.alphas(model, judged)
    sites = list(matte_precision.convolutions(model))

    def loss(skip: Sequence[str]) -> float:
        made = matte_precision.to_fp16(matte_precision.to_int8(model, ranges, skip))
        return matte_precision.difference(matte_precision.alphas(made, judged), expected)

    kept: list[str] = []
    reached = loss(kept)
    if reached > bound:  # what each costs alone says which go first
        alone = {site: loss([other for other in sites if other != site]) for site in sites}
        order = sorted(sites, key=lambda site: -alone[site])
        for step in range(1, steps):
            kept = order[: step * len(sites) // steps]
            reached = loss(kept)
            if reached <= bound:
                break
        else:
            raise ModelError(
                f"INT8 changes alpha by {reached:.4f} on average, the bound is {bound:g}",
                "calibrate on more footage, or use FP16",
            )
    more: Mapping[str, str] = {
        META_METHOD: "minmax", META_SAMPLES: str(len(pictures)), META_LOSS: f"{reached:.5f}",
        META_INT8: " ".join(s for s in sites if s not in kept), META_FLOAT: " ".join(kept),
    }  # fmt: skip
    return matte_precision.to_int8(model, ranges, kept, more), reached, kept


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m calibration.matte", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--onnx", type=Path, default=MODEL, metavar="FILE", help="the matte (default: the shipped one)")
    parser.add_argument(
        "--source", action="append", required=True, help="video, picture, folder or pattern; repeatable"
    )
    parser.add_argument("--size", type=whole(64, 768), default=288, help="longest side of what the network sees (288)")
    parser.add_argument("--count", type=whole(8, 1000), default=COUNT, help=f"pictures that are kept ({COUNT})")
    parser.add_argument(
        "--bound", type=number(0, 1), default=BOUND, help=f"mean difference of alpha allowed ({BOUND:g})"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    add_verbose(parser)
    args = parser.parse_args(argv)

    def work() -> None:
        model_file.check_writable(args.output)
        model = matte_precision.load(args.onnx)
        pictures = shown_on(args.source, args.onnx, args.size, args.count)
        made, reached, kept = quantize(model, pictures, args.bound)
        model_file.save(made, args.output)
        of = len(matte_precision.convolutions(model))
        taken = f"{of - len(kept)} of {of} convolutions in INT8"
        print(f"{args.output}: {taken}, alpha within {reached:.4f} of FP32 on average")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
