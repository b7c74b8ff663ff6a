"""Training data for the matte: people with their alpha, and people cut out and put before other pictures.

- mattes: ``images/NAME.*`` with ``masks/NAME.png``, people's masks as somebody drew them, or with ``alpha/NAME.png``, a
  teacher's soft alpha of whatever stands out;
- photos: ``real_images/NAME.*`` or ``unlabelled/NAME.*``;
- labels: a folder of the photos' alphas, NAME.png, and ``list.csv``, both from ``python -m training.matte.teacher``.
  A photo without a label is a background, whoever may be on it.

Every fifth drawn mask and every seventh matte of a teacher (``held_out``) are never trained on, nor is any photo that
shows the same. A subject is a person where a mask was drawn or a face was found; a teacher's other subjects, animals
and things, are what must *not* be found, and stand in front of people now and then.

A sample is two uint8 arrays at the training size S, ``picture`` (S, S, 4), RGB and a previous alpha, and ``alpha``
(S, S), the truth; it depends on (seed, position in the run, S) alone.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from edge_harmony.errors import SourceError
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.matte.refine import levels
from training.data import PHOTO_SUFFIXES, read_mask, read_rgb
from training.matte.placing import framing, placing, solidity, touches, warp
from training.matte.poses import bend, read_poses, stretch_arms
from training.settings import share

Image = NDArray[np.uint8]
Rng = np.random.Generator

HELD_OUT = {"masks": 5, "alpha": 7}  # one name in so many, of drawn masks and of a teacher's alphas
SHORT_SIDE = 288  # pixels to which pictures are kept in memory
AGREED = 0.85  # IoU of two teachers from which their label counts
BLACK, WHITE = 0.12, 0.88  # a teacher's faint stains become 0, its almost solid bodies 1
NO_SUBJECT = 0.004  # share of a picture up to which its subject is none: fit for a background
LEAST, MOST = 0.02, 0.85  # share of a picture that a subject has
CLEAR, FAIR = 0.3, 0.8  # doubtful pixels for each pixel of subject: up to this a cut-out, up to this a picture
SPREAD = 0.62  # share of its convex outline up to which a subject's limbs lie away from it
SAME = 12.0  # code values between two thumbnails up to which they show the same


@dataclass(frozen=True)
class MatteAugment:
    """How samples are made; probabilities are of each sample."""

    composite: float = share(0.5)  # a subject before another picture; the rest are pictures as they are
    second: float = share(0.3)  # of composites: another person, and again
    upper: float = share(0.35)  # of tall subjects: cut by the picture's lower edge, as a webcam shows people
    cropped: float = share(0.2)  # of subjects: anywhere and large, so that the picture's edges cut limbs off
    arms: float = share(0.3)  # of people whose joints are known: their arms held elsewhere
    leaning: float = share(0.25)  # of subjects: turned by some tens of degrees
    lying: float = share(0.06)  # of whole subjects: turned by a quarter
    bent: float = share(0.25)  # of subjects: bent by a smooth field
    stretched: float = share(0.4)  # of subjects: made broader or narrower
    occluder: float = share(0.12)  # of composites: a thing in front of the subject
    nobody: float = share(0.08)  # of composites: things, and no person
    empty: float = share(0.15)  # of the others: a picture without a person
    drawn: float = share(0.6)  # of the subjects: one whose mask was drawn, where there are any
    spread: float = share(0.15)  # of the subjects: one whose limbs lie away from the body
    dark: float = share(0.12)  # low light, with its noise
    previous_none: float = share(0.45)  # no previous alpha
    previous_wrong: float = share(0.12)  # one of something else; the rest are the truth, moved and damaged


@dataclass
class Picture:
    """A picture in memory: RGB (H, W, 3), alpha (H, W), and the cut-out's own colours where it is one."""

    name: str
    rgb: Image
    alpha: Image
    cutout: Image | None = None
    drawn: bool = False
    joints: NDArray[np.float32] | None = None  # see training.matte.poses


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


class MatteSamples(Dataset):
    """Samples made on the fly; all pictures are kept in memory (0.4 MB each).

    Args:
        mattes: folders of pictures with their alphas.
        photos: folders of photos.
        labels: folder of the photos' alphas, NAME.png, with its list; photos without one serve as backgrounds.
        seed: of all randomness.
        config: how samples are made.
    """

    def __init__(
        self,
        mattes: Sequence[Path],
        photos: Sequence[Path],
        labels: Path | None = None,
        seed: int = 0,
        config: MatteAugment | None = None,
    ) -> None:
        self.seed, self.config = seed, config or MatteAugment()
        known, poses = read_labels(labels), read_poses(labels)
        named = [entry for root in mattes for entry in list_mattes(root)]
        kept = np.stack([_thumbnail(load(n, p, a).rgb) for n, p, a in named if held_out(a)])
        pictures = [load(n, p, a) for n, p, a in named if not held_out(a)]
        teachers_own = len(pictures)
        for path in (p for root in photos for p in list_photos(root)):
            alpha = None if labels is None else Path(labels) / f"{path.stem}.png"
            photo = load(path.stem, path, alpha if alpha is not None and alpha.exists() else None)
            if np.abs(kept - _thumbnail(photo.rgb)).mean((1, 2, 3)).min() > SAME:
                pictures.append(photo)
        self.backgrounds: list[Picture] = []  # nobody is there; things may be
        self.subjects: list[Picture] = []  # clear enough to be cut out
        self.pictures: list[Picture] = []  # good enough to be shown with their alpha
        self.things: list[Picture] = []  # a teacher's subjects that are no people, cut out
        for i, p in enumerate(pictures):
            label, p.joints = known.get(p.name, Label()), poses.get(p.name)
            covered = float((p.alpha > 127).mean())
            doubt = float(((p.alpha > 25) & (p.alpha < 230)).mean())
            if covered + doubt < NO_SUBJECT:
                if not label.faces:
                    self.backgrounds.append(p)
            elif label.agreement < AGREED or covered < LEAST or doubt > FAIR * covered:
                continue  # it says nothing
            elif p.drawn or label.faces or not known:
                self.pictures.append(p)
                if covered < MOST and doubt < CLEAR * covered:
                    p.cutout = estimate_foreground(p.rgb, p.alpha)
                    self.subjects.append(p)
            elif i < teachers_own and doubt < CLEAR * covered:  # of photos, people without a face may be among them
                p.cutout = estimate_foreground(p.rgb, p.alpha)
                self.things.append(p)
                self.backgrounds.append(Picture(p.name, p.rgb, np.zeros_like(p.alpha)))
        if not self.backgrounds or not self.subjects:
            raise SourceError("no subjects or no backgrounds were found", "check the folders and their alphas")
        self.drawn = [p for p in self.subjects if p.drawn] or self.subjects
        self.spread = [p for p in self.subjects if solidity(p.alpha) < SPREAD] or self.subjects

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Image]:
        """The sample of (position in the run, size in pixels)."""
        position, size = key
        rng = np.random.default_rng((self.seed, position))
        c = self.config
        if rng.random() < c.composite:
            rgb, alpha = self._composite(size, rng)
        else:
            kind = rng.random()
            if kind < c.empty:
                chosen = self.backgrounds[rng.integers(len(self.backgrounds))]
            elif kind < 0.5:
                chosen = self.pictures[rng.integers(len(self.pictures))]
            else:  # those with a clear subject are seen more often: they are what the matte is for
                chosen = self._subject(rng)
            matrix = framing(chosen.rgb.shape[:2], size, rng)
            rgb, alpha = warp(chosen.rgb, matrix, size), warp(chosen.alpha, matrix, size)
        if rng.random() < c.dark:
            rgb = low_light(rgb, rng)
        rgb = camera(rgb, rng)
        previous = self._previous(alpha, rng)
        return {"picture": np.dstack((rgb, previous)), "alpha": alpha}

    def _subject(self, rng: Rng) -> Picture:
        if rng.random() < self.config.spread:
            pool = self.spread
        else:
            pool = self.drawn if rng.random() < self.config.drawn else self.subjects
        return pool[rng.integers(len(pool))]

    def _composite(self, size: int, rng: Rng) -> tuple[Image, Image]:
        c = self.config
        back = self.backgrounds[rng.integers(len(self.backgrounds))]
        rgb = warp(back.rgb, framing(back.rgb.shape[:2], size, rng), size)
        if rng.random() < 0.35:  # out of focus
            rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.6, 3.0) * size / 192)
        if rng.random() < 0.6:
            rgb = colours(rgb, rng, 0.8)
        alpha = np.zeros((size, size), np.uint8)
        count = 1 + int(rng.random() < c.second) + int(rng.random() < c.second * c.second)
        nobody = bool(self.things) and rng.random() < c.nobody
        layers = [(self._subject(rng), False) for _ in range(0 if nobody else count)]
        if self.things and (nobody or rng.random() < c.occluder):
            layers += [(self.things[rng.integers(len(self.things))], True) for _ in range(count if nobody else 1)]
        for layer, thing in layers:
            assert layer.cutout is not None
            front, cover = layer.cutout, layer.alpha
            if thing:
                matrix = placing(cover, size, rng, most=1.0 if nobody else 0.35)
            else:
                if layer.joints is not None and rng.random() < c.arms:
                    front, cover = stretch_arms(front, cover, layer.joints, rng)
                if rng.random() < c.lying and not touches(cover):
                    turn = cv2.ROTATE_90_CLOCKWISE if rng.random() < 0.5 else cv2.ROTATE_90_COUNTERCLOCKWISE
                    front, cover = cv2.rotate(front, turn), cv2.rotate(cover, turn)
                lean = rng.normal(0, 18) if rng.random() < c.leaning else 0.0
                stretch = float(np.exp(rng.normal(0, 0.16))) if rng.random() < c.stretched else 1.0
                matrix = placing(cover, size, rng, c.upper, 1.3, lean, stretch, rng.random() < c.cropped)
            front, cover = warp(front, matrix, size), warp(cover, matrix, size, zero=True)
            if not thing and rng.random() < c.bent:
                front, cover = bend(front, cover, rng)
            if rng.random() < 0.7:
                front = _towards(colours(front, rng, 0.8), cover, rgb, rng)
            if rng.random() < 0.2:  # it moves
                front, cover = _motion(front, cover, rng, size)
            weight = cover[..., None].astype(np.uint16)
            mixed = (front * weight + rgb * (255 - weight) + 127) // 255
            rgb = mixed.astype(np.uint8)
            hidden = (alpha.astype(np.uint16) * (255 - cover) + 127) // 255
            alpha = hidden.astype(np.uint8) if thing else np.maximum(alpha, cover)
        return rgb, alpha

    def _previous(self, alpha: Image, rng: Rng) -> Image:
        """An earlier frame's alpha as it may be: none, one of something else, or the truth, moved and damaged."""
        kind, c, size = rng.random(), self.config, len(alpha)
        if kind < c.previous_none:
            return np.zeros_like(alpha)
        if kind < c.previous_none + c.previous_wrong:
            other = self._subject(rng)
            return warp(other.alpha, placing(other.alpha, size, rng, self.config.upper), size, zero=True)
        moved = alpha
        if rng.random() < 0.8:
            amount = rng.choice((0.01, 0.03, 0.08))
            matrix = cv2.getRotationMatrix2D(
                (size / 2, size / 2), float(rng.normal(0, 60 * amount)), float(np.exp(rng.normal(0, amount)))
            )
            matrix[:, 2] += rng.normal(0, amount * size, 2)
            moved = cv2.warpAffine(alpha, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
        for _ in range(rng.integers(0, 4)):  # pieces lost and pieces too many
            centre = tuple(int(v) for v in rng.integers(0, size, 2))
            axes = tuple(int(v) for v in rng.integers(2, size // 6, 2))
            moved = cv2.ellipse(
                moved.copy(), centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(0, 2)) * 255, -1
            )
        if rng.random() < 0.3:
            moved = (cv2.dilate if rng.random() < 0.5 else cv2.erode)(moved, np.ones((3, 3), np.uint8), iterations=2)
        if rng.random() < 0.5:
            moved = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.5, 3.0))
        return moved


class RunSampler(Sampler):
    """Endless (position, size) keys from any start."""

    def __init__(self, size_at, start: int = 0) -> None:
        self.size_at, self.start = size_at, start

    def __iter__(self):
        position = self.start
        while True:
            yield position, self.size_at(position)
            position += 1


def to_float(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch of ``torch.utils.data.default_collate`` to float32 0..1, (N, 4, S, S) and (N, 1, S, S)."""
    picture = batch["picture"].to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
    return {"picture": picture, "alpha": batch["alpha"].to(device, non_blocking=True)[:, None].float() / 255}


def colours(rgb: Image, rng: Rng, amount: float = 1.0) -> Image:
    """Another exposure, white balance, contrast and saturation, by one table and one matrix."""
    codes = np.linspace(0.0, 1.0, 256)[:, None]
    gains = np.exp(rng.normal(0, 0.25 * amount) + rng.normal(0, 0.08 * amount, 3))
    curve = np.clip(codes * gains, 0.0, 1.0) ** np.exp(rng.normal(0, 0.2 * amount))
    curve = np.clip((curve - 0.5) * np.exp(rng.normal(0, 0.15 * amount)) + 0.5 + rng.normal(0, 0.02 * amount), 0, 1)
    rgb = cv2.LUT(rgb, (curve * 255 + 0.5).astype(np.uint8)[:, None])
    saturation = 0.0 if rng.random() < 0.04 else float(np.exp(rng.normal(0, 0.3 * amount)))
    grey = np.array([0.299, 0.587, 0.114])
    return cv2.transform(rgb, saturation * np.eye(3) + (1 - saturation) * np.tile(grey, (3, 1)))


def camera(rgb: Image, rng: Rng) -> Image:
    """What a camera and a codec do to the whole picture: colours, blur, noise, JPEG."""
    if rng.random() < 0.7:
        rgb = colours(rgb, rng, 0.7)
    if rng.random() < 0.2:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.3:
        noise = np.empty(rgb.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, (0,) * 3, (float(rng.uniform(1, 10)),) * 3)
        rgb = cv2.add(rgb, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.25:
        quality = int(rng.integers(35, 90))
        rgb = cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return rgb


def low_light(rgb: Image, rng: Rng) -> Image:
    """A dim room: little light, much noise, the shadows lifted again as cameras do."""
    gain = float(rng.uniform(0.08, 0.45))
    noise = np.empty(rgb.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    cv2.randn(noise, (0,) * 3, (float(rng.uniform(1, 6)),) * 3)
    dim = cv2.add((rgb * gain).astype(np.uint8), noise, dtype=cv2.CV_8U)
    return cv2.convertScaleAbs(dim, alpha=min(1.0, float(rng.uniform(0.4, 1.0)) / gain))


def _towards(front: Image, cover: Image, back: Image, rng: Rng) -> Image:
    """Some of the way to the background's mean colour: a bad composite must not be what tells the subject."""
    if not cover.any():
        return front
    goal, own = np.array(cv2.mean(back)[:3]), np.array(cv2.mean(front, cover)[:3])
    shift = (goal - own) * rng.uniform(0.0, 0.7)
    return cv2.add(front, np.broadcast_to(shift.astype(np.float32), front.shape), dtype=cv2.CV_8U)


def _motion(front: Image, cover: Image, rng: Rng, size: int) -> tuple[Image, Image]:
    """Blur along a line: premultiplied, so that colours do not bleed."""
    length = int(rng.integers(3, max(4, size // 14)))
    kernel = cv2.warpAffine(
        cv2.line(np.zeros((length, length), np.float32), (0, length // 2), (length - 1, length // 2), 1.0),
        cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1.0),
        (length, length),
    )
    kernel /= max(float(kernel.sum()), 1e-6)
    blurred = cv2.filter2D(cover, -1, kernel)
    return cv2.filter2D(front, -1, kernel), blurred


def _thumbnail(rgb: Image) -> NDArray[np.float32]:
    return cv2.resize(rgb, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32)


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
