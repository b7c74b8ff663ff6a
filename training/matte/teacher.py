"""The teacher: MediaPipe's selfie segmentation gives photos soft alphas, and its face detector says who is a person.

::

    python -m venv teacher && teacher/bin/pip install mediapipe==0.10.21
    teacher/bin/python -m training.matte.teacher --photos PHOTOS --mattes MATTES --out LABELS

Both models (Apache-2.0) are inside that wheel; nothing is downloaded when this runs. The wheel pins old versions of
NumPy and OpenCV, so it gets an environment of its own: this file imports none of ours. LABELS gets NAME.png for every
photo, the alpha averaged over the photo and its mirror image, and list.csv with a row for every photo and matte.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import cv2
import numpy as np

SUFFIXES = (".webp", ".jpg", ".jpeg", ".png", ".bmp")
FIELDS = ("name", "subject_share", "doubtful_share", "faces")


class Teacher:
    """MediaPipe's models, as their wheel gives them."""

    def __init__(self) -> None:
        os.environ.setdefault("GLOG_minloglevel", "3")
        import mediapipe  # pyright: ignore[reportMissingImports]

        solutions = mediapipe.solutions
        self.segmenter = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)  # the general model
        self.finders = [
            solutions.face_detection.FaceDetection(model_selection=k, min_detection_confidence=0.6) for k in (0, 1)
        ]

    def alpha(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB to uint8 (H, W)."""
        plain = self.segmenter.process(rgb).segmentation_mask
        mirrored = self.segmenter.process(np.ascontiguousarray(rgb[:, ::-1])).segmentation_mask[:, ::-1]
        return ((plain + mirrored) * 127.5 + 0.5).astype(np.uint8)

    def faces(self, rgb: np.ndarray, alpha: np.ndarray) -> int:
        """How many faces there are, at most, whose middle is on the subject."""
        found = 0
        for finder in self.finders:
            on_subject = 0
            for face in finder.process(rgb).detections or ():
                box = face.location_data.relative_bounding_box
                x, y = (box.xmin + box.width / 2) * alpha.shape[1], (box.ymin + box.height / 2) * alpha.shape[0]
                inside = 0 <= x < alpha.shape[1] and 0 <= y < alpha.shape[0]
                on_subject += int(inside and alpha[int(y), int(x)] > 127)
            found = max(found, on_subject)
        return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.matte.teacher", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder with real_images/: gets alphas")
    parser.add_argument("--mattes", type=Path, help="folder with images/ and alpha/: only rows of the list are added")
    parser.add_argument("--out", type=Path, required=True, help="folder for the alphas and list.csv")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    teacher, rows = Teacher(), []
    folders = [args.photos / "real_images", *([args.mattes / "images"] if args.mattes else [])]
    for path in (p for folder in folders for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES):
        rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        if path.parent.name == "real_images":
            alpha = teacher.alpha(rgb)
            cv2.imwrite(str(args.out / f"{path.stem}.png"), alpha)
        else:
            alpha = cv2.imread(str(args.mattes / "alpha" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        doubtful = float(((alpha > 25) & (alpha < 230)).mean())
        rows.append((path.stem, f"{(alpha > 127).mean():.4f}", f"{doubtful:.4f}", teacher.faces(rgb, alpha)))
    with (args.out / "list.csv").open("w", newline="") as f:
        csv.writer(f).writerows([FIELDS, *rows])


if __name__ == "__main__":
    main()
