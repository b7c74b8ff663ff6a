"""Samples for the matte, made on the fly: people as they were photographed, and cut out before other pictures.

A sample is two uint8 arrays at the training size S, ``picture`` (S, S, 4), RGB and a previous alpha, and ``alpha``
(S, S), the truth; it depends on (seed, position in the run, S) alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from training.fusion import LUMA
from training.matte.pictures import Image, Picture, Pictures
from training.matte.placing import framing, placing, solidity, touches, warp
from training.matte.poses import bend, stretch_arms
from training.settings import share

Rng = np.random.Generator

SPREAD = 0.62  # share of its convex outline up to which a subject's limbs lie away from it


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


class MatteSamples(Dataset):
    """Samples made on the fly.

    Args:
        found: what they are made of.
        seed: of all randomness.
        config: how they are made.
    """

    def __init__(self, found: Pictures, seed: int = 0, config: MatteAugment | None = None) -> None:
        self.found, self.seed, self.config = found, seed, config or MatteAugment()
        self.drawn = [p for p in found.subjects if p.drawn] or found.subjects
        self.spread = [p for p in found.subjects if solidity(p.alpha) < SPREAD] or found.subjects

    def __len__(self) -> int:
        return len(self.found.shown)

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
                chosen = self.found.backgrounds[rng.integers(len(self.found.backgrounds))]
            elif kind < 0.5:
                chosen = self.found.shown[rng.integers(len(self.found.shown))]
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
            pool = self.drawn if rng.random() < self.config.drawn else self.found.subjects
        return pool[rng.integers(len(pool))]

    def _composite(self, size: int, rng: Rng) -> tuple[Image, Image]:
        c, things, backgrounds = self.config, self.found.things, self.found.backgrounds
        back = backgrounds[rng.integers(len(backgrounds))]
        rgb = warp(back.rgb, framing(back.rgb.shape[:2], size, rng), size)
        if rng.random() < 0.35:  # out of focus
            rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.6, 3.0) * size / 192)
        if rng.random() < 0.6:
            rgb = colours(rgb, rng, 0.8)
        alpha = np.zeros((size, size), np.uint8)
        count = 1 + int(rng.random() < c.second) + int(rng.random() < c.second * c.second)
        nobody = bool(things) and rng.random() < c.nobody
        layers = [(self._subject(rng), False) for _ in range(0 if nobody else count)]
        if things and (nobody or rng.random() < c.occluder):
            layers += [(things[rng.integers(len(things))], True) for _ in range(count if nobody else 1)]
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
    grey = np.array(LUMA)
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
