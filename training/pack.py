"""Pack training data into one small folder, to be carried to a machine that is lent for minutes.

    python -m training.pack --data PHOTOS MORE --subjects PEOPLE MATTES --looks looks.npz --bench BENCH --list val.txt \
      -o pack --most-mib 58

Photos are read down and written as WebP, masks as PNG; side and quality are the largest that keep the folder below
``--most-mib``. ``python -m training.timed pack`` trains from it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SinkError, SourceError
from edge_harmony.run.arguments import Parser, number
from edge_harmony.run.exit_code import exit_code
from training.data import list_photos, read_mask, read_rgb
from training.ihdata import Composites

SETTINGS = ((256, 80), (256, 65), (224, 65), (192, 65), (192, 50), (160, 50), (128, 50), (128, 30))  # side, quality
MIB = 1 << 20
SAMPLE = 120  # photos by which the size is foreseen


def encoded(photo: Path, mask: Path, side: int, quality: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photo as WebP and its mask as PNG, the shorter side at most ``side`` pixels."""
    image, region = read_rgb(photo), read_mask(mask)
    scale = side / min(image.shape[:2])
    if scale < 1:
        size = max(side, round(image.shape[1] * scale)), max(side, round(image.shape[0] * scale))
        image, region = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (image, region))
    picture = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    levels = region // 64 * 85  # four levels: soft edges stay soft and cost little
    return picture, cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]


def fitting(pairs: list[tuple[Path, Path]], room: float) -> tuple[int, int]:
    """The first of ``SETTINGS`` with which all photos take at most ``room`` bytes, foreseen from a sample.

    Raises:
        SinkError: none does.
    """
    sample = pairs[:: max(1, len(pairs) // SAMPLE)]
    for side, quality in SETTINGS:
        taken = sum(a.size + b.size for a, b in (encoded(*pair, side, quality) for pair in sample))
        if taken / len(sample) * len(pairs) * 1.02 <= room:
            return side, quality
    message = f"{len(pairs)} photos do not fit into {max(0.0, room) / MIB:.2f} MiB"
    raise SinkError(message, "give fewer photos or a larger --most-mib")


def copied(bench: Path, listing: Path, target: Path) -> Iterator[Path]:
    """Copy a benchmark's files; yields those written."""
    composites = Composites(bench, listing)
    for source in [*{p for i in composites for p in (i.composite, i.mask, i.real)}, composites.listing]:
        place = target / (source.relative_to(bench) if source.is_relative_to(bench) else source.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        yield place


def write(pairs: list[tuple[Path, Path]], target: Path, side: int, quality: int) -> int:
    """Write photos and masks by number; returns their bytes."""
    (target / "real_images").mkdir(parents=True)
    (target / "masks").mkdir()
    taken = 0
    for i, pair in enumerate(pairs):
        picture, mask = encoded(*pair, side, quality)
        (target / "real_images" / f"{i:05}.webp").write_bytes(picture.tobytes())
        (target / "masks" / f"{i:05}.png").write_bytes(mask.tobytes())
        taken += picture.size + mask.size
    return taken


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.pack", description=__doc__)
    p.add_argument("--data", type=Path, nargs="+", required=True, metavar="PHOTOS", help="as of training.train")
    p.add_argument("--subjects", type=Path, nargs="+", default=[], metavar="PHOTOS", help="as of training.train")
    p.add_argument("--looks", type=Path, metavar="NPZ", help="as of training.train")
    p.add_argument("--bench", type=Path, help="a benchmark to measure on over there")
    p.add_argument("--list", type=Path, help="list file of --bench")
    p.add_argument("--init", type=Path, metavar="FILE", help="weights to begin from")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder; must not exist")
    p.add_argument("--most-mib", type=number(0), default=58.0, help="its largest size (default: 58)")
    args = p.parse_args(argv)
    if (args.bench is None) != (args.list is None):
        p.error("give --bench and --list together")
    if args.output.exists():
        raise SinkError(f"{args.output} exists", "choose another -o, or remove it")
    data = [pair for root in args.data for pair in list_photos(root)]
    subjects = [pair for root in args.subjects for pair in list_photos(root)]
    part = args.output.with_name(args.output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        files = [(args.looks, "looks.npz"), (args.init, f"init{args.init.suffix}" if args.init else "")]
        for source, name in files:
            if source is not None:
                shutil.copyfile(source, part / name)
        if args.bench is not None:
            listed = list(copied(args.bench, args.list, part / "bench"))[-1]
            listed.rename(part / "bench" / "list.txt")
        taken = sum(f.stat().st_size for f in part.rglob("*") if f.is_file())
        side, quality = fitting(data + subjects, args.most_mib * MIB - taken)
        for pairs, name in ((data, "data"), (subjects, "subjects")):
            if pairs:
                taken += write(pairs, part / name, side, quality)
        part.rename(args.output)
    except FileNotFoundError as e:
        raise SourceError(f"{e.filename} does not exist", "check the paths given") from None
    except OSError as e:
        raise SinkError(f"cannot write to {part}: {e.strerror}", "free space, or choose another -o") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    count = len(data) + len(subjects)
    print(f"{args.output}: {count} photos of {side} pixels, quality {quality}, {taken / MIB:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
