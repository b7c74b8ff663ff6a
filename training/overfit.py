"""Does a model know its training photos better than others? If so, more photos help, and longer training does not.

    python -m training.overfit --data PHOTOS --bench DIR --list FILE [--model MODEL.onnx | --checkpoint FILE]

The photos that it was trained on and the real pictures of a benchmark, whose composites are not used, are made into
composites in the same ways. Printed for both: by how many decibels the model lessens each foreground's squared error,
on average with its standard error, and the ratio of the mean squared errors. The gap between the decibels is what was
learned by heart.

The ways: a region is disturbed where it is, by colour transfers and by photographic changes, which its seam gives away;
a subject is cut out and set before another photo, one look on both being the truth; and a disturbed subject is set
before another part of its own photo, whose light is its own, without a seam. The last is the hardest: only what the
scene and the thing themselves look like tells what is wrong.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.run.arguments import Parser, whole
from edge_harmony.run.exit_code import exit_code
from training import cutouts
from training.data import AugmentConfig, PhotoComposites, bounding_box, from_bytes, to_bytes
from training.evaluate import Harmonize, Job, open_model, read_item
from training.ihdata import Composites
from training.metrics import squared_errors
from training.report import progress
from training.robustness import foreground_only, rgb

KINDS: Final = {
    "transfers": AugmentConfig(transfers=1.0, photographic=0.0, both=0.0, degrade=0.0),
    "photographic": AugmentConfig(transfers=0.0, photographic=1.0, both=0.0, degrade=0.0),
}
_CUT = AugmentConfig(cutouts=1.0, subjects=0.0, same=0.0, degrade=0.0, mask_errors=0.0)
CUT_OUT: Final = {"cut out, one look on both": _CUT, "cut out, in its own light": replace(_CUT, own=1.0)}
SIDE: Final = 256  # pixels of the cut-outs
LEAST: Final = 5.0  # added to squared errors (code values) in decibels: what is below is not seen


Triple: TypeAlias = tuple[int, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Gain:
    """What a model gained on a set of pictures: decibels with their standard error, and the ratio of mean errors."""

    pictures: int
    decibels: float
    deviation: float
    ratio: float


def measured(
    model: Harmonize,
    pictures: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    different: int,
    maker: PhotoComposites,
) -> Gain:
    """A model's gain on photographs that a maker of composites disturbs.

    Args:
        model: composite uint8 (H, W, 3) BGR and mask uint8 (H, W) to the harmonized picture.
        pictures: photographs uint8 (H, W, 3) RGB with their masks uint8 (H, W); may go round several times. Those
            without a foreground are left out.
        different: how many of them there are; what is gained on the same one again and again is no further evidence.
        maker: whose disturbances they get.
    """
    triples = []
    for i, (real, mask) in enumerate(pictures):
        if not (mask > 127).any():
            continue
        layer, alpha = from_bytes(real), from_bytes(mask)
        box = bounding_box(alpha)
        layer[box] = maker.disturbed(layer[box], alpha[box], np.random.default_rng(i))
        triples.append((i % different, foreground_only(real, mask, to_bytes(layer)), real, mask))
    return gained(model, triples)


def cut_outs(maker: PhotoComposites, count: int) -> Iterator[Triple]:
    """Composites of ``training.cutouts``, (photo, composite, truth, mask), of photos that allow one."""
    made = 0
    for i in range(20 * count):
        photo, rng = i % len(maker), np.random.default_rng((1, i))
        if maker.config.own and cutouts.without_subject(*maker.photo(photo)) is None:
            continue
        sample = maker.cut_out(photo, SIDE, rng)
        if sample is None or not (sample["mask"] > 0.5).any():
            continue
        alpha = sample["mask"][..., None]
        composite, real = (
            to_bytes((sample["background"] + alpha * (sample[name] - sample["background"])).astype(np.float32))
            for name in ("foreground", "real")
        )
        yield photo, composite, real, to_bytes(sample["mask"])
        made += 1
        if made == count:
            return


def gained(model: Harmonize, triples: Iterable[Triple]) -> Gain:
    """What a model gains on composites, (photo, composite, truth, mask); the mean is over photos."""
    before, after = [], []
    gains: dict[int, list[float]] = {}  # of each photo
    for photo, composite, real, mask in triples:
        result = rgb(model(rgb(composite), mask))
        before.append(squared_errors(composite, real, mask)[1])
        after.append(squared_errors(result, real, mask)[1])
        gains.setdefault(photo, []).append(10 * np.log10((before[-1] + LEAST) / (after[-1] + LEAST)))
    if not before:
        return Gain(0, 0.0, 0.0, 1.0)
    means = [np.mean(of_one) for of_one in gains.values()]
    return Gain(
        len(before),
        float(np.mean(means)),
        float(np.std(means) / len(means) ** 0.5),
        float(np.mean(after) / np.mean(before)),
    )


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.overfit", description=__doc__)
    p.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="PHOTOS", help="the photos that it was trained on"
    )
    p.add_argument("--looks", type=Path, metavar="NPZ", help="films and measured lights for the cut-outs")
    p.add_argument("--bench", type=Path, required=True, help="folder in iHarmony4's layout, of other photos")
    p.add_argument("--list", type=Path, required=True, help="list file of --bench")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="ONNX transform graph (default: the shipped model)")
    which.add_argument("--checkpoint", type=Path, help="checkpoint of a training run")
    p.add_argument("--rounds", type=whole(1), default=5, metavar="N", help="disturb every picture N times (default 5)")
    args = p.parse_args(argv)
    cv2.setNumThreads(1)
    model = open_model(Job(args.model, args.checkpoint, None, None))[0]
    others = list({item.real: item for item in Composites(args.bench, args.list)}.values())  # each photo once
    for kind, config in KINDS.items():
        maker = PhotoComposites(args.data, config=config)
        count = args.rounds * len(others)
        chosen = np.resize(np.random.default_rng(0).permutation(len(maker)), count)
        seen = (maker.photo(int(i)) for i in chosen)
        new = (read_item(others[i % len(others)], None)[1:] for i in range(count))
        gains = [
            measured(model, progress(source, count), different, maker)
            for source, different in ((seen, min(count, len(maker))), (new, len(others)))
        ]
        say(kind, gains)
    for kind, config in CUT_OUT.items():
        maker = PhotoComposites(args.data, config=config, looks=args.looks)
        new_maker = copy.copy(maker)
        new_maker.pairs = [(item.real, item.mask) for item in others]
        new_maker.ordinary = len(others)
        say(kind, [gained(model, cut_outs(one, args.rounds * len(others))) for one in (maker, new_maker)])
    return 0


def say(kind: str, gains: list[Gain]) -> None:
    """What was gained on photos seen and on new ones."""
    if not all(gain.pictures for gain in gains):
        print(f"{kind}: no photo has a subject for it, with room beside it")
        return
    for name, gain in zip(("seen", "new"), gains, strict=True):
        print(
            f"{kind}, photos {name}: {gain.decibels:+.2f} ± {gain.deviation:.2f} dB, "
            f"error left {gain.ratio:.3f} ({gain.pictures} composites)",
            flush=True,
        )
    gap = gains[0].decibels - gains[1].decibels
    print(f"{kind}, known by heart: {gap:+.2f} ± {np.hypot(gains[0].deviation, gains[1].deviation):.2f} dB", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
