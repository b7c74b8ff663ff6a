"""Frames to measure parity on: synthetic ones with the statistics of photographs, and folders of real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.pairing import list_composites
from edge_harmony.errors import SourceError

VARIED_SIZES = ((256, 256), (270, 480), (361, 479), (720, 1280), (583, 301), (64, 64))  # (H, W)
SMALL_SIZES = ((256, 256), (193, 341), (360, 240), (128, 128))


@dataclass(frozen=True)
class Scene:
    """One frame's inputs: uint8 (H, W, 3) BGR foreground and background, uint8 (H, W) alpha."""

    name: str
    foreground_bgr: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    background_bgr: NDArray[np.uint8]


def synthetic_scene(size_hw: tuple[int, int], seed: int) -> Scene:
    """A foreground and a background of different light, and a soft-edged subject of 1 to 60 % of the frame.

    Amplitudes fall with frequency as in photographs (1/f, after Field 1987), channels are correlated, and both
    pictures reach black and white, so that clamping and rounding are exercised.
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    centre_y, centre_x = rng.uniform(0.3, 0.7, 2) * size_hw
    radii = rng.uniform(0.08, 0.45, 2) * size_hw
    wobble = 0.15 * _one_over_f(size_hw, rng)
    distance = np.hypot((y - centre_y) / radii[0], (x - centre_x) / radii[1]) + wobble
    softness = rng.uniform(0.01, 0.15)
    alpha = np.clip((1 - distance) / softness + 0.5, 0, 1) * 255
    pictures = [_picture(size_hw, rng) for _ in range(2)]
    return Scene(f"synthetic {width}x{height} #{seed}", pictures[0], alpha.round().astype(np.uint8), pictures[1])


def synthetic_scenes(sizes: tuple[tuple[int, int], ...] = VARIED_SIZES, seed: int = 1) -> Iterator[Scene]:
    """Scenes of the given sizes; every third one is an existing composite (foreground and background alike)."""
    for i, size_hw in enumerate(sizes):
        scene = synthetic_scene(size_hw, seed + i)
        if i % 3 == 2:
            cover = scene.alpha[..., None] / np.float32(255)
            composite = scene.foreground_bgr * cover + scene.background_bgr * (1 - cover)
            rounded = composite.round().astype(np.uint8)
            scene = Scene(f"{scene.name} composite", rounded, scene.alpha, rounded)
        yield scene


def fitted(scene: Scene, smallest: tuple[int, ...], largest: tuple[int, ...]) -> Scene:
    """The scene at the nearest size (H, W), side by side, that an engine takes; the same object where it fits."""
    size_hw = tuple(min(max(n, low), high) for low, n, high in zip(smallest, scene.alpha.shape, largest, strict=True))
    if size_hw == scene.alpha.shape:
        return scene
    smaller = size_hw[0] < scene.alpha.shape[0] or size_hw[1] < scene.alpha.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    parts = [
        np.asarray(cv2.resize(part, size_hw[::-1], interpolation=how), np.uint8)
        for part in (scene.foreground_bgr, scene.alpha, scene.background_bgr)
    ]
    return Scene(f"{scene.name} at {size_hw[1]}x{size_hw[0]}", parts[0], parts[1], parts[2])


def folder_scenes(folder: str | Path, limit: int | None = None) -> Iterator[Scene]:
    """Composites with their masks: ``composite_images/`` and ``masks/`` as iHarmony4 names them, or pairs
    ``NAME.jpg`` and ``NAME_mask.png`` side by side. Spread evenly over the folder when ``limit`` is given.

    Raises:
        SourceError: no such folder, no pairs in it, or a picture that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder", "give a folder of composites with masks")
    pairs = list(list_composites(folder).items())
    if limit is not None and limit < len(pairs):
        pairs = [pairs[i * len(pairs) // limit] for i in range(limit)]
    for composite_path, mask_path in pairs:
        composite = cv2.imread(str(composite_path), cv2.IMREAD_COLOR)
        mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
        for path, image in ((composite_path, composite), (mask_path, mask)):
            if image is None:
                raise SourceError(f"{path} cannot be read as a picture", "remove it or replace it")
        if composite.shape[:2] != mask.shape:
            raise SourceError(f"{mask_path} has another size than its composite", "remove the pair or mend it")
        yield Scene(composite_path.name, composite, mask, composite)


def _one_over_f(size_hw: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """A random field of zero mean and unit deviation whose amplitude falls as 1 / frequency."""
    height, width = (cv2.getOptimalDFTSize(side) for side in size_hw)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width)
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / np.maximum(frequency, 1.0)
    field = np.fft.irfft2(spectrum, s=(height, width))[: size_hw[0], : size_hw[1]]
    return ((field - field.mean()) / field.std()).astype(np.float32)


def _picture(size_hw: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    light = _one_over_f(size_hw, rng)
    channels = [0.85 * light + 0.4 * _one_over_f(size_hw, rng) for _ in range(3)]
    centre, contrast = rng.uniform(70, 180, 3), rng.uniform(25, 70)
    values = np.stack([c * contrast + m for c, m in zip(channels, centre, strict=True)], axis=-1)
    return np.clip(values.round(), 0, 255).astype(np.uint8)
