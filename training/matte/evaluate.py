"""Measure a matte: against its teacher on pictures it was not trained on, and against a real matte in motion.

::

    python -m training.matte.evaluate --mattes MATTES --clip foreground.mp4 mask.mp4 [--model person.onnx]
    python -m training.matte.evaluate --photos PHOTOS --labels LABELS

The matte runs as it does for users (``PersonMatte``: its view, its levels, its steadying, its way up to full size).
Figures: IoU of the alphas at one half; MAE of alpha; for a clip also how much the area and the alpha change from frame
to frame where the true matte does not (``jitter``), with and without steadying, so that pumping has a number.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.file import open_file
from edge_harmony.matte.onnx import OnnxMatte
from edge_harmony.matte.person import MODEL, PersonMatte
from edge_harmony.run.arguments import Parser
from edge_harmony.run.exit_code import exit_code
from training.data import PHOTO_SUFFIXES
from training.matte.data import LEAST, held_out, list_mattes, read_people

Alpha = NDArray[np.uint8]


def iou(found: Alpha, truth: Alpha) -> float:
    """Intersection over union of two alphas at one half; 1 when both are empty."""
    a, b = found > 127, truth > 127
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def evaluate_pictures(matte: OnnxMatte, named: list[tuple[str, Path, Path]]) -> dict[str, list[float]]:
    """IoU and MAE of each picture with a subject, and the share of subject found where there is none."""
    figures: dict[str, list[float]] = {"iou": [], "mae": [], "false": []}
    for _, picture, alpha in named:
        frame, truth = cv2.imread(str(picture)), cv2.imread(str(alpha), cv2.IMREAD_GRAYSCALE)
        matte.reset()
        found = matte(frame)
        if float((truth > 127).mean()) > LEAST:
            figures["iou"].append(iou(found, truth))
            figures["mae"].append(float(cv2.absdiff(found, truth).mean()) / 255.0)
        elif float((truth > 25).mean()) < 0.01:
            figures["false"].append(float((found > 127).mean()))
    return figures


def evaluate_clip(matte: OnnxMatte, foreground: Path, mask: Path) -> dict[str, float]:
    """Figures over a clip, from its first frame on, the matte carrying its state from frame to frame."""
    matte.reset()
    before: tuple[Alpha, Alpha] | None = None
    ious, errors, areas, jitters = [], [], [], []
    pictures, masks = open_file(foreground), open_file(mask)
    grey = getattr(masks, "masks", None)
    for shot, drawn in zip(pictures, masks if grey is None else grey(), strict=False):
        truth = drawn.alpha if drawn.alpha is not None else drawn.image_bgr[:, :, 1]
        found = matte(shot.image_bgr).copy()
        ious.append(iou(found, truth))
        errors.append(float(cv2.absdiff(found, truth).mean()) / 255.0)
        areas.append((float(found.mean()), float(truth.mean())))
        if before is not None:  # change of alpha where the true one did not change
            still = cv2.absdiff(truth, before[1]) < 2
            jitters.append(float(cv2.absdiff(found, before[0])[still].mean()) / 255.0)
        before = (found, truth)
    pictures.close()
    masks.close()
    area = np.array(areas) / np.mean([a[1] for a in areas])
    off = area[:, 0] - area[:, 1]
    return {
        "iou": float(np.mean(ious)), "worst_iou": float(np.min(ious)), "mae": float(np.mean(errors)),
        "area_jitter": float(np.abs(np.diff(off)).mean()), "still_jitter": float(np.mean(jitters)),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    p = Parser(prog="python -m training.matte.evaluate", description=__doc__)
    p.add_argument("--model", type=Path, default=MODEL, help="default: the shipped one")
    p.add_argument("--mattes", type=Path, help="folder with images/ and alpha/: the held-out ones are used")
    p.add_argument("--photos", type=Path, help="folder with real_images/, with --labels: all are used")
    p.add_argument("--labels", type=Path, help="the photos' alphas, from training.matte.teacher")
    p.add_argument("--clip", type=Path, nargs=2, metavar=("FOREGROUND", "MASK"))
    args = p.parse_args(argv)

    def opened(steady: float) -> OnnxMatte:
        return PersonMatte(steady=steady, estimate=False, model=args.model)

    sets: dict[str, list[tuple[str, Path, Path]]] = {}
    if args.mattes:
        sets["held-out mattes"] = [n for n in list_mattes(args.mattes) if held_out(n[0])]
        people = read_people(args.labels)
        if people:
            sets["of these, with faces"] = [n for n in sets["held-out mattes"] if n[0] in people]
    if args.photos and args.labels:
        files = sorted(f for f in (args.photos / "real_images").iterdir() if f.suffix.lower() in PHOTO_SUFFIXES)
        photos = [(f.stem, f, args.labels / f"{f.stem}.png") for f in files]
        people = read_people(args.labels)
        sets["photos"], sets["photos with faces"] = photos, [n for n in photos if n[0] in people]
    for name, named in sets.items():
        figures = evaluate_pictures(opened(0.0), named)
        line = "  ".join(f"{key} {np.mean(v):.4f} ({len(v)})" for key, v in figures.items() if v)
        print(f"{name}: {line}")
    if args.clip:
        for steady in (0.0, 0.7):
            figures = evaluate_clip(opened(steady), *args.clip)
            print(f"clip, steady {steady}: " + "  ".join(f"{key} {value:.4f}" for key, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
