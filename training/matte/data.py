"""Training data for the matte: pictures with a teacher's alpha, and subjects cut out and put before other pictures.

- mattes: ``images/NAME.*`` with ``alpha/NAME.png``, the teacher's soft alpha;
- photos: ``real_images/NAME.*``;
- labels: a folder of the photos' alphas, NAME.png, and ``list.csv``, both from ``python -m training.matte.teacher``.
  Without it every photo is a background, whoever may be on it.

About every seventh matte (``held_out``) is never trained on, nor is any photo that shows the same.

A sample is two uint8 arrays at the training size S, ``picture`` (S, S, 4), RGB and a previous alpha, and ``alpha``
(S, S), the truth; it depends on (seed, position in the run, S) alone.
"""

from __future__ import annotations

import csv
import zlib
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

Image = NDArray[np.uint8]
Rng = np.random.Generator

HELD_OUT = 7  # one name in so many
SHORT_SIDE = 208  # pixels to which pictures are kept in memory
BLACK, WHITE = 0.12, 0.88  # a teacher's faint stains become 0, its almost solid bodies 1
NO_SUBJECT = 0.004  # share of a picture up to which its subject is none: fit for a background
LEAST, MOST = 0.02, 0.85  # share of a picture that a subject has
CLEAR, FAIR = 0.3, 0.8  # doubtful pixels for each pixel of subject: up to this a cut-out, up to this a picture
SAME = 12.0  # code values between two thumbnails up to which they show the same


@dataclass(frozen=True)
class MatteAugment:
    """How samples are made; probabilities are of each sample."""

    composite: float = 0.5  # a subject before another picture; the rest are pictures as they are
    second: float = 0.15  # of composites: two subjects
    empty: float = 0.08  # of the others: a picture without a subject
    people: float = 0.6  # of the subjects: one with a face, where the labels know
    previous_none: float = 0.45  # no previous alpha
    previous_wrong: float = 0.12  # one of something else; the rest are the truth, moved and damaged


@dataclass
class Picture:
    """A picture in memory: RGB (H, W, 3), alpha (H, W), and the cut-out's own colours where it is one."""

    name: str
    rgb: Image
    alpha: Image
    cutout: Image | None = None
    person: bool = False


def held_out(name: str) -> bool:
    """Whether the matte of this name is kept for evaluation: a fixed rule."""
    return zlib.crc32(name.encode()) % HELD_OUT == 0


def list_mattes(root: Path) -> list[tuple[str, Path, Path]]:
    """(name, picture, alpha) under ``root``, sorted by name.

    Raises:
        SourceError: no folder ``images``, or an alpha is missing.
    """
    folder = Path(root) / "images"
    if not folder.is_dir():
        raise SourceError(f"{root} has no folder images", "mattes go to images/NAME.* and alpha/NAME.png")
    pictures = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    found = [(p.stem, p, Path(root) / "alpha" / f"{p.stem}.png") for p in pictures]
    missing = [alpha.name for _, _, alpha in found if not alpha.exists()]
    if missing or not found:
        raise SourceError(f"{root}: {len(missing)} of {len(found)} alphas are missing", "write alpha/NAME.png for each")
    return found


def load(name: str, picture: Path, alpha: Path | None, short_side: int = SHORT_SIDE) -> Picture:
    """Read a picture and its alpha, shrunk to ``short_side``; without an alpha it has no subject."""
    rgb = read_rgb(picture)
    mask = np.zeros(rgb.shape[:2], np.uint8) if alpha is None else levels(read_mask(alpha), BLACK, WHITE)
    height, width = rgb.shape[:2]
    if mask.shape != (height, width):
        raise SourceError(f"{alpha} is {mask.shape}, its picture {rgb.shape[:2]}", "make both one size")
    shrink = short_side / min(height, width)
    if shrink < 1.0:
        size = (round(width * shrink), round(height * shrink))
        rgb, mask = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (rgb, mask))
    return Picture(name, rgb, mask)


class MatteSamples(Dataset):
    """Samples made on the fly; all pictures are kept in memory (0.2 MB each).

    Args:
        mattes: folder of pictures with their alphas.
        photos: folder with ``real_images``.
        labels: folder of the photos' alphas, NAME.png; photos without one serve as backgrounds.
        seed: of all randomness.
        config: how samples are made.
    """

    def __init__(
        self, mattes: Path, photos: Path, labels: Path | None = None, seed: int = 0,
        config: MatteAugment | None = None,
    ) -> None:
        self.seed, self.config = seed, config or MatteAugment()
        people = read_people(labels)
        named = list_mattes(mattes)
        kept = np.stack([_thumbnail(load(n, p, a).rgb) for n, p, a in named if held_out(n)])
        pictures = [load(n, p, a) for n, p, a in named if not held_out(n)]
        folder = Path(photos) / "real_images"
        if not folder.is_dir():
            raise SourceError(f"{photos} has no folder real_images", "photos go to real_images/NAME.*")
        for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES):
            alpha = None if labels is None else Path(labels) / f"{path.stem}.png"
            photo = load(path.stem, path, alpha if alpha is not None and alpha.exists() else None)
            if np.abs(kept - _thumbnail(photo.rgb)).mean((1, 2, 3)).min() > SAME:
                pictures.append(photo)
        self.backgrounds: list[Picture] = []
        self.subjects: list[Picture] = []  # clear enough to be cut out
        self.pictures: list[Picture] = []  # good enough to be shown with their alpha
        for p in pictures:
            p.person = p.name in people
            share = float((p.alpha > 127).mean())
            doubt = float(((p.alpha > 25) & (p.alpha < 230)).mean())
            if share + doubt < NO_SUBJECT:
                self.backgrounds.append(p)
            elif share > LEAST and doubt < FAIR * share:
                self.pictures.append(p)
                if share < MOST and doubt < CLEAR * share:
                    p.cutout = estimate_foreground(p.rgb, p.alpha)
                    self.subjects.append(p)
        if not self.backgrounds or not self.subjects:
            raise SourceError("no subjects or no backgrounds were found", "check the folders and their alphas")
        self.people = [p for p in self.subjects if p.person] or self.subjects

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
            matrix = _framing(chosen.rgb.shape[:2], size, rng)
            rgb, alpha = _warp(chosen.rgb, matrix, size), _warp(chosen.alpha, matrix, size)
        rgb = camera(rgb, rng)
        previous = self._previous(alpha, rng)
        return {"picture": np.dstack((rgb, previous)), "alpha": alpha}

    def _subject(self, rng: Rng) -> Picture:
        pool = self.people if rng.random() < self.config.people else self.subjects
        return pool[rng.integers(len(pool))]

    def _composite(self, size: int, rng: Rng) -> tuple[Image, Image]:
        back = self.backgrounds[rng.integers(len(self.backgrounds))]
        rgb = _warp(back.rgb, _framing(back.rgb.shape[:2], size, rng), size)
        if rng.random() < 0.35:  # out of focus
            rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.6, 3.0) * size / 192)
        if rng.random() < 0.6:
            rgb = colours(rgb, rng, 0.8)
        alpha = np.zeros((size, size), np.uint8)
        for _ in range(2 if rng.random() < self.config.second else 1):
            subject = self._subject(rng)
            assert subject.cutout is not None
            matrix = _placing(subject.alpha, size, rng)
            front, cover = _warp(subject.cutout, matrix, size), _warp(subject.alpha, matrix, size, zero=True)
            if rng.random() < 0.7:
                front = _towards(colours(front, rng, 0.8), cover, rgb, rng)
            if rng.random() < 0.2:  # it moves
                front, cover = _motion(front, cover, rng, size)
            weight = cover[..., None].astype(np.uint16)
            mixed = (front * weight + rgb * (255 - weight) + 127) // 255
            rgb, alpha = mixed.astype(np.uint8), np.maximum(alpha, cover)
        return rgb, alpha

    def _previous(self, alpha: Image, rng: Rng) -> Image:
        """An earlier frame's alpha as it may be: none, one of something else, or the truth, moved and damaged."""
        kind, c, size = rng.random(), self.config, len(alpha)
        if kind < c.previous_none:
            return np.zeros_like(alpha)
        if kind < c.previous_none + c.previous_wrong:
            other = self._subject(rng)
            return _warp(other.alpha, _placing(other.alpha, size, rng), size, zero=True)
        moved = alpha
        if rng.random() < 0.8:
            amount = rng.choice((0.01, 0.03, 0.08))
            matrix = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.normal(0, 60 * amount)),
                                             float(np.exp(rng.normal(0, amount))))
            matrix[:, 2] += rng.normal(0, amount * size, 2)
            moved = cv2.warpAffine(alpha, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
        for _ in range(rng.integers(0, 4)):  # pieces lost and pieces too many
            centre = tuple(int(v) for v in rng.integers(0, size, 2))
            axes = tuple(int(v) for v in rng.integers(2, size // 6, 2))
            moved = cv2.ellipse(moved.copy(), centre, axes, float(rng.uniform(0, 180)), 0, 360,
                                int(rng.integers(0, 2)) * 255, -1)
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


def _framing(size_hw: tuple[int, int], size: int, rng: Rng) -> NDArray[np.float64]:
    """A random crop of a picture, perhaps mirrored and a little turned, stretched by up to a quarter, to a square."""
    height, width = size_hw
    part = rng.uniform(0.6, 1.0) if rng.random() < 0.7 else 1.0
    stretch = np.exp(rng.uniform(-0.3, 0.3))
    crop_h = min(height, part * min(height, width) * stretch)
    crop_w = min(width, part * width) if rng.random() < 0.5 else min(width, part * min(height, width) / stretch)
    left, top = rng.uniform(0, width - crop_w), rng.uniform(0, height - crop_h)
    return _matrix((left + crop_w / 2, top + crop_h / 2), (size / 2, size / 2), size / crop_w, size / crop_h, rng)


def _placing(alpha: Image, size: int, rng: Rng) -> NDArray[np.float64]:
    """A subject somewhere in a square, of any size from a fifth of it up; standing on the lower edge or cut by it."""
    left, top, width, height = cv2.boundingRect(cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1])
    rows, columns = alpha.shape
    scale = size * rng.uniform(0.04, 1.3) ** 0.5 / max(width, height, 1)
    cut = top + height >= rows - 2  # what the picture cut off must not end in mid-air
    aside = left <= 1 or left + width >= columns - 2
    half = 0.5 * width * scale
    x = rng.uniform(0.2, 0.8) * size if not aside else (half if left <= 1 else size - half)
    bottom = size if cut or rng.random() < 0.3 else rng.uniform(0.6, 1.0) * size
    if cut:
        bottom += rng.uniform(0, 0.2) * height * scale
    y = bottom - 0.5 * height * scale
    turn = None if cut or aside else rng
    matrix = _matrix((left + width / 2, top + height / 2), (x, y), scale, scale * np.exp(rng.normal(0, 0.08)), turn)
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0.0, size - 1.0], [0.0, 1.0, 0.0], [0, 0, 1]]) @ np.vstack((matrix, [0, 0, 1]))
        matrix = matrix[:2]
    return matrix


def _matrix(
    source: tuple[float, float], target: tuple[float, float], scale_x: float, scale_y: float, rng: Rng | None
) -> NDArray[np.float64]:
    """2 x 3 map that scales, perhaps mirrors and turns a little, and brings ``source`` to ``target``."""
    angle = np.deg2rad(rng.normal(0, 6)) if rng is not None and rng.random() < 0.3 else 0.0
    flip = -1.0 if rng is not None and rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag((flip * scale_x, scale_y))
    return np.hstack((linear, (np.array(target) - linear @ np.array(source))[:, None]))


def _warp(image: Image, matrix: NDArray[np.float64], size: int, zero: bool = False) -> Image:
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 0.6:  # bilinear sampling alone would alias
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / shrink)
    border = cv2.BORDER_CONSTANT if zero else cv2.BORDER_REFLECT_101
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


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


def read_people(labels: Path | None) -> set[str]:
    """Names of the pictures on which the teacher found a face on the subject; none without its list."""
    path = None if labels is None else Path(labels) / "list.csv"
    if path is None or not path.exists():
        return set()
    with path.open(newline="") as f:
        return {row["name"] for row in csv.DictReader(f) if int(row["faces"]) > 0}
