"""Training data: composites made on the fly from photos with masks, or read from iHarmony4.

A sample is a dictionary of uint8 arrays at the training size S (``collate`` turns them into float tensors):

============== ============ ======================================================================
``real``       (S, S, 3)    RGB, the photograph: what the network should arrive at
``foreground`` (S, S, 3)    RGB, the disturbed photograph; only its masked part is ever shown
``mask``       (S, S)       the true mask, soft at its edges
``given``      (S, S)       the mask as the network gets it (grown, shrunk, blurred, with holes, or true)
============== ============ ======================================================================

Every sample depends on (seed, epoch, index) alone: the same with any number of workers, and after a resume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from edge_harmony.errors import SourceError
from training import augment

PHOTO_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png", ".bmp")
MIN_SHARE, MAX_SHARE = 0.005, 0.9  # of the crop that the foreground may take
CROP, ENLARGED = 0.55, 1.15  # a crop's sides take at least this share, but are enlarged by no more than this
MAX_ERROR = 0.1  # mean squared error (0..1) of a foreground beyond which its disturbance is weakened


@dataclass(frozen=True)
class AugmentConfig:
    """How composites are made; probabilities are of each sample."""

    transfers: float = 0.47  # colour transfer alone
    photographic: float = 0.3  # photographic changes alone
    both: float = 0.11  # a transfer, then a weak photographic change; the rest stays undisturbed
    borrowed: float = 0.2  # the region is another photo's subject: its colours cannot have been learned by heart
    clean_cut: float = 0.25  # no sliver of the subject's own surroundings is left to give the change away
    grade: float = 0.5  # weak photographic change of the whole photo first: more kinds of scene
    degrade: float = 0.1  # noise or JPEG on the foreground
    mask_errors: float = 0.5


def read_rgb(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(f"{path} is missing or no picture", "check the folder and its list")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_mask(path: Path) -> NDArray[np.uint8]:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise SourceError(f"{path} is missing or no picture", "every photo needs masks/NAME.png")
    return mask


def list_photos(root: Path) -> list[tuple[Path, Path]]:
    """Pairs of (photo, mask) under ``root``: ``real_images/NAME.*`` with ``masks/NAME.png``, sorted by name."""
    folder = root / "real_images"
    if not folder.is_dir():
        raise SourceError(
            f"{root} has no folder real_images", "photos go to real_images/NAME.*, masks to masks/NAME.png"
        )
    photos = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    pairs = [(p, root / "masks" / f"{p.stem}.png") for p in photos]
    missing = [mask for _, mask in pairs if not mask.exists()]
    if missing or not pairs:
        raise SourceError(
            f"{root}: {len(missing)} of {len(pairs)} photos have no mask"
            + (f", first {missing[0].name}" if missing else ""),
            "every photo in real_images needs a mask of the same name in masks, as PNG",
        )
    return pairs


def random_crop(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A random, perhaps mirrored crop that holds foreground and background, resized to a square.

    What runs reads pictures down, so that they are sharp: crops that had to be enlarged would teach it blur.

    ``image`` is (H, W, 3) or several such pictures side by side in the last axis. Returns float32 image (S, S, same)
    RGB 0..1 and mask (S, S) 0..1.
    """
    h, w = mask.shape
    y0, x0, y1, x1 = 0, 0, h, w
    least = [min(1.0, max(CROP, size / (ENLARGED * side))) for side in (h, w)]
    for _ in range(6):
        ch, cw = (round(side * rng.uniform(low, 1.0)) for side, low in zip((h, w), least, strict=True))
        ty, tx = int(rng.integers(0, h - ch + 1)), int(rng.integers(0, w - cw + 1))
        share = float(np.count_nonzero(mask[ty : ty + ch, tx : tx + cw] > 127)) / (ch * cw)
        if MIN_SHARE <= share <= MAX_SHARE:
            y0, x0, y1, x1 = ty, tx, ty + ch, tx + cw
            break
    image, mask = image[y0:y1, x0:x1], mask[y0:y1, x0:x1]
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    small = cv2.INTER_AREA if min(y1 - y0, x1 - x0) > size else cv2.INTER_LINEAR
    planes = np.split(image, range(3, image.shape[2], 3), 2)  # OpenCV 5 resizes at most four channels at once
    image = np.dstack([cv2.resize(np.ascontiguousarray(p), (size, size), interpolation=small) for p in planes])
    mask = cv2.resize(np.ascontiguousarray(mask), (size, size), interpolation=small)
    return from_bytes(image), from_bytes(mask)


def bounding_box(mask: NDArray[np.float32], least: int = 16) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask above 0, at least ``least`` of each: what lies outside is not shown."""
    box = []
    for axis, length in ((1, mask.shape[0]), (0, mask.shape[1])):
        held = np.flatnonzero(mask.any(axis))
        low, high = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, 0)
        low = max(0, min(low, length - least))
        box.append(slice(low, max(high, min(low + least, length))))
    return box[0], box[1]


def from_bytes(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.multiply(image, np.float32(1 / 255), dtype=np.float32)


def to_bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.clip(image, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


class PhotoComposites(Dataset):
    """Composites made on the fly from photos with masks.

    Args:
        root: folder with ``real_images/`` and ``masks/``.
        seed: of all randomness.
        config: what is done to the foregrounds.
        cache: keep decoded photos in memory (about 0.3 MB for each photo of 256 x 340).
    """

    def __init__(self, root: Path, seed: int = 0, config: AugmentConfig | None = None, cache: bool = False):
        self.pairs = list_photos(Path(root))
        self.seed, self.config = seed, config or AugmentConfig()
        self._cache: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.pairs)

    def photo(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        photo, mask = read_rgb(self.pairs[index][0]), read_mask(self.pairs[index][1])
        if photo.shape[:2] != mask.shape:
            raise SourceError(
                f"{self.pairs[index][1]} is {mask.shape}, its photo {photo.shape[:2]}", "make both one size"
            )
        if self._cache is not None:
            self._cache[index] = photo, mask
        return photo, mask

    def reference(self, rng: np.random.Generator) -> augment.Pixels:
        """Pixels of a region of another photo: its foreground, its background or all of it."""
        image, mask = self.photo(int(rng.integers(len(self.pairs))))
        region = (mask > 127, mask <= 127, np.ones_like(mask, bool))[rng.integers(3)]
        return from_bytes(augment.region_pixels(image, region, rng))

    def disturbed(self, real: augment.Image, mask: NDArray[np.float32], rng: np.random.Generator) -> augment.Image:
        """The picture (H, W, 3) as another camera, light or grading would have it; ``mask`` (H, W) is the subject."""
        c, foreground, kind = self.config, real, rng.random()
        if kind < c.transfers + c.both:
            source = augment.region_pixels(real, mask > 0.5, rng)
            foreground = augment.transfer(real, source, self.reference(rng), rng)
            if kind >= c.transfers:
                foreground = augment.photographic(foreground, rng, 0.5)
        elif kind < c.transfers + c.both + c.photographic:
            foreground = augment.photographic(real, rng, rng.uniform(0.5, 1.2))
        error = float(np.mean((foreground - real)[mask > 0.5] ** 2)) if (mask > 0.5).any() else 0.0
        if error > MAX_ERROR:  # what no one would composite must not rule the loss
            foreground = real + np.float32((MAX_ERROR / error) ** 0.5) * (foreground - real)
        return augment.degrade(foreground, rng) if rng.random() < c.degrade else foreground

    def __getitem__(self, key: tuple[int, int, int]) -> dict[str, NDArray[np.uint8]]:
        """The sample of (epoch, index, size in pixels)."""
        epoch, index, size = key
        rng = np.random.default_rng((self.seed, epoch, index))
        photo, region = self.photo(index)
        c = self.config
        if rng.random() < c.borrowed:
            other = self.photo(int(rng.integers(len(self.pairs))))[1]
            region = cv2.resize(other, region.shape[::-1], interpolation=cv2.INTER_LINEAR)
        real, mask = random_crop(photo, region, size, rng)
        if rng.random() < c.clean_cut:
            real, mask = augment.clean_cut(real, mask, rng)
        if rng.random() < c.grade:
            real = augment.photographic(real, rng, rng.uniform(0.2, 0.5))
        real = from_bytes(to_bytes(real))  # the truth is 8-bit, as photographs are
        foreground = real.copy()
        box = bounding_box(mask)
        foreground[box] = self.disturbed(real[box], mask[box], rng)
        given = augment.imperfect_mask(mask, rng) if rng.random() < c.mask_errors else mask
        return {
            "real": to_bytes(real), "foreground": to_bytes(foreground),
            "mask": to_bytes(mask), "given": to_bytes(given),
        }


class PairedComposites(Dataset):
    """Composites that exist already, in iHarmony4's layout, cropped and mirrored at random."""

    def __init__(self, bench: Path, listing: Path, seed: int = 0, mask_errors: float = 0.5):
        from training.ihdata import Composites

        self.items = list(Composites(bench, listing))
        self.seed, self.mask_errors = seed, mask_errors

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, int, int]) -> dict[str, NDArray[np.uint8]]:
        """The sample of (epoch, index, size in pixels)."""
        epoch, index, size = key
        rng = np.random.default_rng((self.seed, epoch, index))
        item = self.items[index]
        composite, real, mask = read_rgb(item.composite), read_rgb(item.real), read_mask(item.mask)
        if composite.shape != real.shape or mask.shape != real.shape[:2]:
            raise SourceError(
                f"{item.composite.name}: composite, mask and real image differ in size", "fix the data set"
            )
        both, cut = random_crop(np.concatenate((composite, real), 2), mask, size, rng)
        given = augment.imperfect_mask(cut, rng) if rng.random() < self.mask_errors else cut
        return {
            "real": to_bytes(both[..., 3:]), "foreground": to_bytes(both[..., :3]),
            "mask": to_bytes(cut), "given": to_bytes(given),
        }


class EpochSampler(Sampler):
    """Endless (epoch, index, size) keys in an order that depends on the seed alone, split over ranks, from any start.

    Args:
        length: of the data set.
        seed: of the order.
        size_at: side in pixels of the samples at a given position in the run (counted over all ranks).
        start: how many samples, over all ranks, have been used before.
        rank, ranks: this process and how many there are.
    """

    def __init__(
        self, length: int, seed: int, size_at: Callable[[int], int], start: int = 0, rank: int = 0, ranks: int = 1
    ) -> None:
        self.length, self.seed, self.size_at = length, seed, size_at
        self.start, self.rank, self.ranks = start, rank, ranks

    def __iter__(self):
        position = self.start + self.rank
        epoch, order = -1, np.empty(0, np.int64)
        while True:
            if position // self.length != epoch:
                epoch = position // self.length
                order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
            yield epoch, int(order[position % self.length]), self.size_at(position)
            position += self.ranks


def collate(samples: list[dict[str, NDArray[np.uint8]]]) -> dict[str, Tensor]:
    """A batch of uint8 tensors: images (N, 3, S, S) RGB, masks (N, 1, S, S)."""
    batch = {}
    for name in samples[0]:
        stacked = torch.from_numpy(np.stack([s[name] for s in samples]))
        batch[name] = stacked.permute(0, 3, 1, 2) if stacked.ndim == 4 else stacked[:, None]
    return batch


def to_float(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A collated batch to float32 0..1 on a device, with ``composite`` added: foreground over real."""
    out = {name: t.to(device, non_blocking=True).float() / 255 for name, t in batch.items()}
    out["composite"] = out["real"] + out["mask"] * (out["foreground"] - out["real"])
    return out
