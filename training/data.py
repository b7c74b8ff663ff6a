"""Training data: composites made on the fly from photos with masks, or read from iHarmony4.

Two families. In the *classic* one a region of a photograph is disturbed, and the photograph is the truth. In the other,
*cut-outs*, a subject of one photograph stands before another: one look on both is the truth, the subject without it or
with a look of its own is the question. No seam tells anything there, and a subject's own colours are its own.

A sample is a dictionary of uint8 arrays at the training size S (``collate`` turns them into float tensors):

============== ============ ======================================================================
``real``       (S, S, 3)    RGB, the foreground as it should be: what the network should arrive at
``foreground`` (S, S, 3)    RGB, the foreground as it is given; only its masked part is ever shown
``background`` (S, S, 3)    RGB, what the foreground stands before; the photograph itself where nothing was cut out
``mask``       (S, S)       the true mask, soft at its edges
``given``      (S, S)       the mask as the network gets it (grown, shrunk, blurred, with holes, or true)
============== ============ ======================================================================

Every sample depends on (seed, epoch, index) alone: the same with any number of workers, and after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from edge_harmony.errors import ConfigError, SourceError
from training import augment, cutouts
from training.looks import Look, Looks, photographic_look, weakened
from training.settings import share

PHOTO_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png", ".bmp")
MIN_SHARE, MAX_SHARE = 0.005, 0.9  # of the crop that the foreground may take
CROP, ENLARGED = 0.55, 1.15  # a crop's sides take at least this share, but are enlarged by no more than this
MAX_ERROR = 0.1  # mean squared error (0..1) of a foreground beyond which its disturbance is weakened


@dataclass(frozen=True)
class AugmentConfig:
    """How composites are made; probabilities are of each sample."""

    cutouts: float = share(0.0)  # a subject of one photo before another; the others are classics
    subjects: float = share(0.5)  # of cut-outs: the subject is one of --subjects, where there are any
    same: float = share(0.25)  # of cut-outs: no look at all; the answer is to leave the subject alone
    own: float = share(0.0)  # of cut-outs: before another part of its own photo; it comes disturbed as classics do
    own_look: float = share(0.35)  # of cut-outs with a look: the subject comes with another look of its own
    close: float = share(0.0)  # of classics: the view is the closest of several, so that its subject is large
    looks: float = share(0.0)  # of classics: the photo has a look, which its foreground lacks, and no other disturbance
    films: float = share(0.4)  # of looks: a film's; --looks has them
    lights: float = share(0.2)  # of looks: a measured light's, likewise
    toned: float = share(0.0)  # of looks: made up as films and gradings are; the rest are photographic
    rims: float = share(0.15)  # of cut-outs: a rim of old surroundings stays on the subject
    transfers: float = share(0.47)  # colour transfer alone
    photographic: float = share(0.3)  # photographic changes alone
    both: float = share(0.11)  # a transfer, then a weak photographic change; the rest stays undisturbed
    borrowed: float = share(0.2)  # the region is another photo's subject: its colours cannot have been learned by heart
    clean_cut: float = share(0.25)  # no sliver of the subject's own surroundings is left to give the change away
    grade: float = share(0.5)  # weak photographic change of the whole photo first: more kinds of scene
    degrade: float = share(0.1)  # noise or JPEG on the foreground
    mask_errors: float = share(0.5)

    def __post_init__(self) -> None:
        for kinds in (("films", "lights", "toned"), ("transfers", "photographic", "both")):
            if sum(getattr(self, kind) for kind in kinds) > 1 + 1e-6:
                raise ConfigError(f"augment: {' + '.join(kinds)} is more than 1", "lower one of these shares")


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
    """Pairs of (photo, mask) under ``root``, sorted by name.

    ``real_images/NAME.*`` with ``masks/NAME.png``; the folders may be called ``images`` and ``alpha`` too.
    """
    folder = root / ("images" if (root / "images").is_dir() else "real_images")
    if not folder.is_dir():
        raise SourceError(
            f"{root} has no folder real_images", "photos go to real_images/NAME.*, masks to masks/NAME.png"
        )
    photos = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    masks = root / ("alpha" if (root / "alpha").is_dir() else "masks")
    pairs = [(p, masks / f"{p.stem}.png") for p in photos]
    missing = [mask for _, mask in pairs if not mask.exists()]
    if missing or not pairs:
        raise SourceError(
            f"{root}: {len(missing)} of {len(pairs)} photos have no mask"
            + (f", first {missing[0].name}" if missing else ""),
            "every photo in real_images needs a mask of the same name in masks, as PNG",
        )
    return pairs


def random_crop(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], size: int, rng: np.random.Generator, close: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A random, perhaps mirrored crop that holds foreground and background, resized to a square.

    What runs reads pictures down, so that they are sharp: crops that had to be enlarged would teach it blur.

    ``image`` is (H, W, 3) or several such pictures side by side in the last axis; ``close`` takes the crop of several
    in which the foreground is largest, instead of the first that will do. Returns float32 image (S, S, same) RGB 0..1
    and mask (S, S) 0..1.
    """
    h, w = mask.shape
    y0, x0, y1, x1 = 0, 0, h, w
    least = [min(1.0, max(CROP, size / (ENLARGED * side))) for side in (h, w)]
    largest = 0.0
    for _ in range(6):
        ch, cw = (round(side * rng.uniform(low, 1.0)) for side, low in zip((h, w), least, strict=True))
        ty, tx = int(rng.integers(0, h - ch + 1)), int(rng.integers(0, w - cw + 1))
        share = float(np.count_nonzero(mask[ty : ty + ch, tx : tx + cw] > 127)) / (ch * cw)
        if MIN_SHARE <= share <= MAX_SHARE and share > largest:
            y0, x0, y1, x1, largest = ty, tx, ty + ch, tx + cw, share
            if not close:
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


def foreground_error(one: augment.Image, two: augment.Image, mask: NDArray[np.float32]) -> float:
    """Mean squared difference (0..1) of two pictures over a mask."""
    inside = mask > 0.5
    return float(np.mean((one - two)[inside] ** 2)) if inside.any() else 0.0


class PhotoComposites(Dataset):
    """Composites made on the fly from photos with masks.

    Args:
        roots: folders with ``real_images/`` and ``masks/``, or one.
        seed: of all randomness.
        config: how composites are made.
        cache: keep decoded photos in memory (about 0.3 MB for each photo of 256 x 340).
        subjects: folders laid out alike whose masks are whole subjects, such as people: cut out more often.
        looks: file of films and measured lights (see ``training.looks``).
    """

    def __init__(
        self,
        roots: Path | Sequence[Path],
        seed: int = 0,
        config: AugmentConfig | None = None,
        cache: bool = False,
        subjects: Sequence[Path] = (),
        looks: Path | None = None,
    ) -> None:
        places = [roots] if isinstance(roots, Path) else roots
        self.pairs = [pair for root in places for pair in list_photos(root)]
        self.ordinary = len(self.pairs)
        self.pairs += [pair for root in subjects for pair in list_photos(root)]
        self.seed, self.config = seed, config or AugmentConfig()
        self.looks = Looks(looks, self.config.films, self.config.lights, self.config.toned)
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

    def any_photo(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return self.photo(int(rng.integers(len(self.pairs))))

    def reference(self, rng: np.random.Generator) -> augment.Pixels:
        """Pixels of a region of another photo: its foreground, its background or all of it."""
        image, mask = self.any_photo(rng)
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
        error = foreground_error(foreground, real, mask)
        if error > MAX_ERROR:  # what no one would composite must not rule the loss
            foreground = real + np.float32((MAX_ERROR / error) ** 0.5) * (foreground - real)
        return foreground

    def classic(self, index: int, size: int, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """A region of a photo, disturbed: layers and true mask of a sample."""
        photo, region = self.photo(index)
        c = self.config
        if rng.random() < c.borrowed:
            region = cv2.resize(self.any_photo(rng)[1], region.shape[::-1], interpolation=cv2.INTER_LINEAR)
        plain, mask = random_crop(photo, region, size, rng, bool(c.close) and rng.random() < c.close)
        if rng.random() < c.clean_cut:
            plain, mask = augment.clean_cut(plain, mask, rng)
        if c.looks and rng.random() < c.looks:
            look = self.bounded(self.looks.draw(rng), plain, mask)
            real = from_bytes(to_bytes(look(plain)))
            return {"real": real, "foreground": plain, "background": real, "mask": mask}
        real = photographic_look(rng, rng.uniform(0.2, 0.5))(plain) if rng.random() < c.grade else plain
        real = from_bytes(to_bytes(real))  # the truth is 8-bit, as photographs are
        foreground = real.copy()
        box = bounding_box(mask)
        foreground[box] = self.disturbed(real[box], mask[box], rng)
        return {"real": real, "foreground": foreground, "background": real, "mask": mask}

    def cut_out(self, index: int, size: int, rng: np.random.Generator) -> dict[str, NDArray[np.float32]] | None:
        """A subject before another photo: layers and true mask of a sample; None where there is no subject."""
        c, special = self.config, len(self.pairs) - self.ordinary
        if special and rng.random() < c.subjects:
            index = self.ordinary + int(rng.integers(special))
        aspect = cutouts.ASPECTS[rng.integers(len(cutouts.ASPECTS))]
        placed = cutouts.place(*self.photo(index), size, aspect, rng)
        if placed is None:
            return None
        piece = cutouts.without_subject(*self.photo(index)) if c.own and rng.random() < c.own else None
        behind = cutouts.background_view(self.any_photo(rng)[0] if piece is None else piece, size, aspect, rng)
        layer, mask = placed
        if rng.random() >= c.rims:
            mask = cutouts.clean_rim(mask, rng)
        subject, background = from_bytes(layer), from_bytes(behind)
        if piece is not None:
            return self.in_own_light(subject, background, mask, rng)
        if rng.random() < c.same:
            return {"real": subject, "foreground": subject, "background": background, "mask": mask}
        look = self.bounded(self.looks.draw(rng), subject, mask)
        given = subject
        if rng.random() < c.own_look:
            given = self.bounded(self.looks.draw(rng), subject, mask)(subject)
        return {"real": look(subject), "foreground": given, "background": look(background), "mask": mask}

    def in_own_light(
        self, subject: augment.Image, background: augment.Image, mask: NDArray[np.float32], rng: np.random.Generator
    ) -> dict[str, NDArray[np.float32]]:
        """A subject before another part of its own photo, whose light is its own: disturbed, and right as it was."""
        if rng.random() < self.config.grade:
            look = photographic_look(rng, rng.uniform(0.2, 0.5))
            subject, background = look(subject), look(background)
        given, box = subject.copy(), bounding_box(mask)
        given[box] = self.disturbed(subject[box], mask[box], rng)
        return {"real": subject, "foreground": given, "background": background, "mask": mask}

    def bounded(self, look: Look, plain: augment.Image, mask: NDArray[np.float32]) -> Look:
        """The look, weakened where it would change the foreground beyond what anyone would composite."""
        error = foreground_error(look(plain), plain, mask)
        return weakened(look, (MAX_ERROR / error) ** 0.5) if error > MAX_ERROR else look

    def __getitem__(self, key: tuple[int, int, int]) -> dict[str, NDArray[np.uint8]]:
        """The sample of (epoch, index, size in pixels)."""
        epoch, index, size = key
        rng = np.random.default_rng((self.seed, epoch, index))
        c = self.config
        made = self.cut_out(index, size, rng) if c.cutouts and rng.random() < c.cutouts else None
        made = made or self.classic(index, size, rng)
        if rng.random() < c.degrade:
            made["foreground"] = augment.degrade(made["foreground"], rng)
        made["given"] = augment.imperfect_mask(made["mask"], rng) if rng.random() < c.mask_errors else made["mask"]
        return {name: to_bytes(layer) for name, layer in made.items()}


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
            "real": to_bytes(both[..., 3:]),
            "foreground": to_bytes(both[..., :3]),
            "background": to_bytes(both[..., 3:]),
            "mask": to_bytes(cut),
            "given": to_bytes(given),
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


def over(foreground: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """The foreground before the background."""
    return background + mask * (foreground - background)


def to_float(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A collated batch to float32 0..1 on a device, with ``composite`` added: foreground over background."""
    out = {name: t.to(device, non_blocking=True).float() / 255 for name, t in batch.items()}
    out["composite"] = over(out["foreground"], out["background"], out["mask"])
    return out
