"""Contact sheets of a model's results, to be looked at: composite, result, truth, side by side.

    python -m training.sheet --bench DIR --list FILE -o sheet.png                     # 24 pictures, evenly spread
    python -m training.sheet --bench DIR --list FILE -o worst.png --worst 10          # those with the largest error
    python -m training.sheet --bench DIR --list FILE -o sheet.png --checkpoint RUN/last.safetensors

Each row names its picture with fMSE before and after.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.run.arguments import Parser, whole
from edge_harmony.run.exit_code import exit_code
from edge_harmony.sinks.picture import write_picture
from training.evaluate import Harmonize, Job, open_model, read_item
from training.ihdata import Composites, Item
from training.metrics import measure
from training.report import progress

TILE: Final = (200, 267)  # height and width of one picture on the sheet
TEXT: Final = 18  # pixels of height for a row's title


def tile(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture fitted into ``TILE`` on black."""
    scale = min(TILE[0] / image_bgr.shape[0], TILE[1] / image_bgr.shape[1])
    small = cv2.resize(image_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[: TILE[0], : TILE[1]]
    out = np.zeros((*TILE, 3), np.uint8)
    out[: small.shape[0], : small.shape[1]] = small
    return out


def row(item: Item, model: Harmonize) -> tuple[float, NDArray[np.uint8]]:
    """The foreground's error after harmonizing, and one row of the sheet."""
    composite, real, mask = read_item(item, None)
    composite_bgr, real_bgr = (np.ascontiguousarray(p[..., ::-1]) for p in (composite, real))
    result_bgr = model(composite_bgr, mask)
    before = measure(composite, real, mask)[0].fmse
    after = measure(np.ascontiguousarray(result_bgr[..., ::-1]), real, mask)[0].fmse
    outline = composite_bgr.copy()
    contours = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    cv2.drawContours(outline, contours, -1, (255, 255, 255), 1)
    pictures = np.hstack([tile(p) for p in (outline, composite_bgr, result_bgr, real_bgr)])
    title = np.zeros((TEXT, pictures.shape[1], 3), np.uint8)
    text = f"{item.composite.name}   fMSE {before:.0f} -> {after:.0f}"
    cv2.putText(title, text, (4, TEXT - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (220, 220, 220), 1, cv2.LINE_AA)
    return after, np.vstack([title, pictures])


def sheet(rows: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Rows set in columns, uint8 BGR."""
    blank = np.zeros_like(rows[0])
    filled = rows + [blank] * (-len(rows) % columns)
    length = len(filled) // columns
    return np.hstack([np.vstack(filled[i * length : (i + 1) * length]) for i in range(columns)])


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.sheet", description=__doc__)
    p.add_argument("--bench", type=Path, required=True, help="folder with composite_images/, masks/, real_images/")
    p.add_argument("--list", type=Path, required=True, help="list file, in the bench or anywhere")
    p.add_argument("-o", "--output", type=Path, required=True, help="the sheet, .png or .jpg")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="ONNX transform graph (default: the shipped model)")
    which.add_argument("--checkpoint", type=Path, help="checkpoint of a training run")
    p.add_argument("--worst", type=whole(1), metavar="N", help="the N pictures with the largest fMSE instead")
    p.add_argument("--count", type=whole(1), default=24, metavar="N", help="pictures on the sheet (default 24)")
    args = p.parse_args(argv)
    items = list(Composites(args.bench, args.list))
    if not args.worst:
        items = items[:: max(1, len(items) // args.count)][: args.count]
    model = open_model(Job(args.model, args.checkpoint, None, None))[0]
    rows = [row(item, model) for item in progress(items, len(items))]
    if args.worst:
        rows = sorted(rows, key=lambda r: -r[0])[: args.worst]
    write_picture(args.output, sheet([picture for _, picture in rows], 1 if len(rows) < 8 else 2), overwrite=True)
    print(f"{args.output}: {len(rows)} pictures; subject's outline, composite, result, truth")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
