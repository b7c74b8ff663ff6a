"""Measure a matte: on pictures it was not trained on, on pictures without a person, and in motion.

::

    python -m training.matte.evaluate --people PEOPLE --portraits FACES --mattes MATTES --empty PHOTOS \\
        --clip foreground.mp4 mask.mp4 [--model person.onnx] [--variant fine] [--json figures.json] [--sheet sheet.jpg]

The matte runs as it does for users (``PersonMatte``: its view, its levels, its steadying, its way up to full size).
PEOPLE are folders of images/ with masks/ or alpha/, of which every fifth (seventh) is held out and measured; all of
FACES are. Figures are means over pictures (``training.matte.metrics``): IoU of the alphas at one half, the worst, and
the share of pictures below 0.85; MAD of alpha; gradient and connectivity errors in thousands. Of PHOTOS, on which
nobody may be, the share of the picture that is taken for somebody. Of a clip also dtSSD, with and without steadying.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.file import open_file
from edge_harmony.matte.onnx import OnnxMatte
from edge_harmony.matte.person import MODEL, VIEWS, PersonMatte
from edge_harmony.pixels.frame import Frame
from edge_harmony.pixels.over import over
from edge_harmony.run.arguments import Parser
from edge_harmony.run.exit_code import exit_code
from training.data import read_mask, read_rgb
from training.matte.metrics import FIGURES, dt_ssd, figures
from training.matte.pictures import LEAST, held_out, list_mattes, list_photos
from training.report import write_json

Alpha = NDArray[np.uint8]
Named = list[tuple[str, Path, Path]]
POOR = 0.85  # IoU below which a picture has gone wrong
COLUMNS = 6  # of a sheet
GROUNDS = ((0, 0, 0), (255, 255, 255), (60, 190, 40))  # behind the subjects of a sheet, BGR


def read_bgr(path: Path) -> Frame:
    """A picture as mattes take it, uint8 (H, W, 3) BGR."""
    return np.ascontiguousarray(read_rgb(path)[..., ::-1])


def evaluate_pictures(matte: OnnxMatte, named: Named) -> dict[str, float]:
    """Means over the pictures that show somebody."""
    rows = []
    for _, picture, alpha in named:
        frame, truth = read_bgr(picture), read_mask(alpha)
        if float((truth > 127).mean()) <= LEAST:
            continue
        matte.reset()
        found = matte(frame)
        rows.append(figures(found, truth))
    table = np.array(rows)
    means = {name: float(column.mean()) for name, column in zip(FIGURES, table.T, strict=True)}
    worst = {"worst": float(table[:, 0].min()), "poor": float((table[:, 0] < POOR).mean())}
    return {"pictures": len(table), **means, **worst}


def evaluate_empty(matte: OnnxMatte, pictures: list[Path]) -> dict[str, float]:
    """The share of each picture taken for somebody, where nobody is."""
    shares = []
    for picture in pictures:
        frame = read_bgr(picture)
        matte.reset()
        shares.append(float((matte(frame) > 127).mean()))
    return {
        "pictures": len(shares),
        "found": float(np.mean(shares)),
        "most": float(np.max(shares)),
        "above_1_percent": float((np.array(shares) > 0.01).mean()),
    }


def evaluate_clip(matte: OnnxMatte, foreground: Path, mask: Path) -> dict[str, float]:
    """Means over a clip, from its first frame on, the matte carrying its state from frame to frame."""
    matte.reset()
    before: tuple[Alpha, Alpha] | None = None
    rows, changes = [], []
    pictures, masks = open_file(foreground), open_file(mask)
    grey = getattr(masks, "masks", None)
    for shot, drawn in zip(pictures, masks if grey is None else grey(), strict=False):
        truth = drawn.alpha if drawn.alpha is not None else drawn.image_bgr[:, :, 1]
        found = matte(shot.image_bgr).copy()
        rows.append((*figures(found, truth), float(found.mean()), float(truth.mean())))
        if before is not None:
            changes.append(dt_ssd(found, before[0], truth, before[1]))
        before = (found, truth)
    pictures.close()
    masks.close()
    table = np.array(rows)
    off = (table[:, 4] - table[:, 5]) / table[:, 5].mean()
    return {
        "frames": len(table), "iou": float(table[:, 0].mean()), "worst": float(table[:, 0].min()),
        "mad": float(table[:, 1].mean()), "gradient": float(table[:, 2].mean()),
        "connectivity": float(table[:, 3].mean()), "dtssd": float(np.mean(changes)),
        "area_jitter": float(np.abs(np.diff(off)).mean()),
    }  # fmt: skip


def draw_sheet(path: Path, matte: OnnxMatte, named: Named, count: int = 24, height: int = 220) -> None:
    """Pictures, and what the matte cut out of them before black, white and green."""
    tiles = []
    for _, picture, _ in named[:: max(1, len(named) // count)][:count]:
        frame = read_bgr(picture)
        matte.reset()
        alpha = matte(frame)
        own = matte.foreground(frame, alpha)
        shown = [frame, *(over(own, alpha, np.full_like(frame, ground)) for ground in GROUNDS)]
        width = max(1, round(frame.shape[1] * height / frame.shape[0]))
        strip = np.hstack([cv2.resize(s, (width, height), interpolation=cv2.INTER_AREA) for s in shown])
        tiles.append(strip)
    widest = max(t.shape[1] for t in tiles)
    tiles = [cv2.copyMakeBorder(t, 2, 2, 2, widest - t.shape[1] + 2, cv2.BORDER_CONSTANT) for t in tiles]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(path), np.vstack(rows))


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.matte.evaluate", description=__doc__)
    p.add_argument("--model", type=Path, default=MODEL, help="default: the shipped one")
    p.add_argument("--variant", choices=tuple(VIEWS), default="usual", help="as person and person:fine")
    p.add_argument(
        "--people",
        "--mattes",
        dest="people",
        type=Path,
        nargs="+",
        default=[],
        metavar="PEOPLE",
        help="folders with images/ and masks/ or alpha/: the held-out ones are used",
    )
    p.add_argument("--portraits", type=Path, nargs="+", default=[], metavar="FACES", help="likewise, all are used")
    p.add_argument("--empty", type=Path, metavar="PHOTOS", help="folder with real_images/ on which nobody is")
    p.add_argument("--clip", type=Path, nargs=2, metavar=("FOREGROUND", "MASK"))
    p.add_argument("--json", type=Path, help="write the figures there")
    p.add_argument("--sheet", type=Path, help="draw 24 of the held-out people before three grounds")
    args = p.parse_args(argv)

    def opened(steady: float, estimate: bool = False) -> OnnxMatte:
        return PersonMatte(args.variant, steady=steady, estimate=estimate, model=args.model)

    results: dict[str, dict[str, Any]] = {}

    def say(name: str, values: dict[str, float]) -> None:
        results[name] = values
        print(f"{name}: " + "  ".join(f"{k} {v:.4g}" for k, v in values.items()), flush=True)

    held: dict[str, Named] = {root.name: [n for n in list_mattes(root) if held_out(n[2])] for root in args.people}
    for name, named in held.items():
        say(f"{name}, held out", evaluate_pictures(opened(0.0), named))
    for root in args.portraits:
        say(root.name, evaluate_pictures(opened(0.0), list_mattes(root)))
    if args.empty:
        say("nobody there", evaluate_empty(opened(0.0), list_photos(args.empty)))
    if args.clip:
        for steady in (0.0, 0.7):
            say(f"clip, steady {steady}", evaluate_clip(opened(steady), *args.clip))
    if args.sheet and held:
        draw_sheet(args.sheet, opened(0.0, estimate=True), next(iter(held.values())))
    if args.json:
        write_json(args.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
