"""The pictures that the matte is trained on: found, read, and told apart by what each is fit for.

- mattes: ``images/NAME.*`` with ``masks/NAME.png``, people's masks as somebody drew them, or with ``alpha/NAME.png``, a
  teacher's soft alpha of whatever stands out;
- photos: ``real_images/NAME.*`` or ``unlabelled/NAME.*``;
- labels: a folder of the photos' alphas, NAME.png, and ``list.csv``, both from ``python -m training.matte.teacher``.
  A photo without a label is a background, whoever may be on it.

Every fifth drawn mask and every seventh matte of a teacher (``held_out``) are never trained on, nor is any photo that
shows the same. A subject is a person where a mask was drawn or a face was found; a teacher's other subjects, animals
and things, are what must *not* be found, and stand in front of people now and then.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SourceError
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.refine import levels
from training.data import PHOTO_SUFFIXES, read_mask, read_rgb
from training.matte.poses import read_poses

Image = NDArray[np.uint8]

HELD_OUT = {"masks": 5, "alpha": 7}  # one name in so many, of drawn masks and of a teacher's alphas
SHORT_SIDE = 288  # pixels to which pictures are kept in memory
AGREED = 0.85  # IoU of two teachers from which their label counts
BLACK, WHITE = 0.12, 0.88  # a teacher's faint stains become 0, its almost solid bodies 1
NO_SUBJECT = 0.004  # share of a picture up to which its subject is none: fit for a background
LEAST, MOST = 0.02, 0.85  # share of a picture that a subject has
CLEAR, FAIR = 0.3, 0.8  # doubtful pixels for each pixel of subject: up to this a cut-out, up to this a picture
SAME = 12.0  # code values between two thumbnails up to which they show the same


@dataclass
class Picture:
    """A picture in memory: RGB (H, W, 3), alpha (H, W), and the cut-out's own colours where it is one."""

    name: str
    rgb: Image
    alpha: Image
    cutout: Image | None = None
    drawn: bool = False
    joints: NDArray[np.float32] | None = None  # see training.matte.poses


@dataclass
class Pictures:
    """All that samples are made of, by what it is fit for; a picture may be in several lists."""

    backgrounds: list[Picture] = field(default_factory=list)  # nobody is there; things may be
    subjects: list[Picture] = field(default_factory=list)  # clear enough to be cut out
    shown: list[Picture] = field(default_factory=list)  # good enough to be shown with their alpha
    things: list[Picture] = field(default_factory=list)  # a teacher's subjects that are no people, cut out


def collect(mattes: Sequence[Path], photos: Sequence[Path], labels: Path | None = None) -> Pictures:
    """Read all pictures and tell what each is fit for; they stay in memory (0.4 MB each).

    Args:
        mattes: folders of pictures with their alphas.
        photos: folders of photos.
        labels: folder of the photos' alphas, NAME.png, with its list; photos without one serve as backgrounds.

    Raises:
        SourceError: a folder has not what it should have, or there are no subjects or no backgrounds.
    """
    known, poses = read_labels(labels), read_poses(labels)
    named = [entry for root in mattes for entry in list_mattes(root)]
    kept = np.array([_thumbnail(load(n, p, a).rgb) for n, p, a in named if held_out(a)]).reshape(-1, 12, 12, 3)
    pictures = [load(n, p, a) for n, p, a in named if not held_out(a)]
    teachers_own = len(pictures)
    for path in (p for root in photos for p in list_photos(root)):
        alpha = None if labels is None else Path(labels) / f"{path.stem}.png"
        photo = load(path.stem, path, alpha if alpha is not None and alpha.exists() else None)
        if np.abs(kept - _thumbnail(photo.rgb)).mean((1, 2, 3)).min(initial=np.inf) > SAME:
            pictures.append(photo)
    found = Pictures()
    for i, p in enumerate(pictures):
        label, p.joints = known.get(p.name, Label()), poses.get(p.name)
        covered = float((p.alpha > 127).mean())
        doubt = float(((p.alpha > 25) & (p.alpha < 230)).mean())
        if covered + doubt < NO_SUBJECT:
            if not label.faces:
                found.backgrounds.append(p)
        elif label.agreement < AGREED or covered < LEAST or doubt > FAIR * covered:
            continue  # it says nothing
        elif p.drawn or label.faces or not known:
            found.shown.append(p)
            if covered < MOST and doubt < CLEAR * covered:
                p.cutout = estimate_foreground(p.rgb, p.alpha)
                found.subjects.append(p)
        elif i < teachers_own and doubt < CLEAR * covered:  # of photos, people without a face may be among them
            p.cutout = estimate_foreground(p.rgb, p.alpha)
            found.things.append(p)
            found.backgrounds.append(Picture(p.name, p.rgb, np.zeros_like(p.alpha)))
    if not found.backgrounds or not found.subjects:
        raise SourceError("no subjects or no backgrounds were found", "check the folders and their alphas")
    return found


def held_out(alpha: Path) -> bool:
    """Whether a picture is kept for evaluation: a fixed rule on its alpha's name and folder."""
    return zlib.crc32(alpha.stem.encode()) % HELD_OUT[alpha.parent.name] == 0


def list_mattes(root: Path) -> list[tuple[str, Path, Path]]:
    """(name, picture, alpha) under ``root``, sorted by name; the alpha lies in ``masks`` if it was drawn, or ``alpha``.

    Raises:
        SourceError: no folder ``images``, or an alpha is missing.
    """
    folder = Path(root) / "images"
    if not folder.is_dir():
        raise SourceError(f"{root} has no folder images", "mattes go to images/NAME.* and masks or alpha/NAME.png")
    kind = "masks" if (Path(root) / "masks").is_dir() else "alpha"
    pictures = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    found = [(p.stem, p, Path(root) / kind / f"{p.stem}.png") for p in pictures]
    missing = [alpha.name for _, _, alpha in found if not alpha.exists()]
    if missing or not found:
        raise SourceError(
            f"{root}: {len(missing)} of {len(found)} alphas are missing", f"write {kind}/NAME.png for each"
        )
    return found


def list_photos(root: Path) -> list[Path]:
    """Pictures of ``real_images`` or ``unlabelled`` under ``root``, sorted by name."""
    folders = [Path(root) / name for name in ("real_images", "unlabelled") if (Path(root) / name).is_dir()]
    if not folders:
        raise SourceError(f"{root} has no folder real_images", "photos go to real_images/NAME.* or unlabelled/NAME.*")
    return sorted(p for folder in folders for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)


def load(name: str, picture: Path, alpha: Path | None, short_side: int = SHORT_SIDE) -> Picture:
    """Read a picture and its alpha, shrunk to ``short_side``; without an alpha it has no subject.

    A drawn mask is hard, and its line runs a little outside of what it goes round: it is drawn in by half a pixel and
    softened, so that what is taught is not a rim of the old background.
    """
    rgb = read_rgb(picture)
    mask = np.zeros(rgb.shape[:2], np.uint8) if alpha is None else levels(read_mask(alpha), BLACK, WHITE)
    drawn = alpha is not None and alpha.parent.name == "masks"
    if drawn:
        mask = levels(cv2.GaussianBlur(mask, (0, 0), 1.0), 0.3, 1.0)
    height, width = rgb.shape[:2]
    if mask.shape != (height, width):
        raise SourceError(f"{alpha} is {mask.shape}, its picture {rgb.shape[:2]}", "make both one size")
    shrink = short_side / min(height, width)
    if shrink < 1.0:
        size = (round(width * shrink), round(height * shrink))
        rgb, mask = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (rgb, mask))
    return Picture(name, rgb, mask, drawn=drawn)


@dataclass(frozen=True)
class Label:
    """What the teachers said of a picture."""

    faces: int = 0
    agreement: float = 1.0


def read_labels(labels: Path | None) -> dict[str, Label]:
    """The teachers' list by name; empty without one."""
    path = None if labels is None else Path(labels) / "list.csv"
    if path is None or not path.exists():
        return {}
    with path.open(newline="") as f:
        return {row["name"]: Label(int(row["faces"]), float(row.get("agreement") or 1)) for row in csv.DictReader(f)}


def _thumbnail(rgb: Image) -> NDArray[np.float32]:
    return cv2.resize(rgb, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32)
