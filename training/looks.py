"""Looks: what a light, a film, a camera or a grading does to all colours of a picture, applied alike to any of them.

A look is a function of colour alone (of place too where light falls from a side), so that one look on a subject and on
its background is what makes them belong together. Films and measured lights come from a file (``--looks``), the rest
from ``training.augment``. All work on float32 RGB (H, W, 3) in 0..1, gamma-encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SourceError
from training import augment
from training.augment import Image, Rng
from training.fusion import LUMA

Look = Callable[[Image], Image]

CELLS: Final = 64  # a side of the table by which a film is applied
KINDS: Final = ("film", "light", "toned", "photo")


def read_looks(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Films and lights of a file.

    Args:
        path: an ``.npz`` with ``film``, uint8 (F, N, N, N, 3), tables indexed by red, green and blue; and ``light``,
            float32 (L, 3, 11), polynomials on RGB 0..255 with the terms r g b rg rb gb r2 g2 b2 rgb 1 (Finlayson et
            al. 2015 without the roots).

    Raises:
        SourceError: missing, or of other contents.
    """
    hint = "give --looks an .npz with film (F, N, N, N, 3) uint8 and light (L, 3, 11) float32"
    try:
        with np.load(path) as held:
            film, light = held["film"], held["light"]
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist", hint) from None
    except (OSError, ValueError, KeyError, EOFError) as e:
        raise SourceError(f"{path} holds no looks: {e}", hint) from None
    cube = film.ndim == 5 and len(set(film.shape[1:4])) == 1 and film.shape[4] == 3
    if not cube or film.dtype != np.uint8 or light.shape[1:] != (3, 11):
        raise SourceError(f"{path} holds film {film.shape} {film.dtype} and light {light.shape}", hint)
    return film, light.astype(np.float32)


class Looks:
    """Random looks.

    Args:
        path: file of films and lights (see ``read_looks``); without one, looks are photographic alone.
        films, lights, toned: shares of these kinds; the rest is photographic.
    """

    def __init__(self, path: Path | None = None, films: float = 0.4, lights: float = 0.2, toned: float = 0.0) -> None:
        self.film, self.light = read_looks(path) if path else (None, None)
        self.shares = (films, lights, toned, max(0.0, 1.0 - films - lights - toned))
        self._tables: dict[int, NDArray[np.float16]] = {}

    def draw(self, rng: Rng) -> Look:
        """A look of a random kind; a tenth are two, one after the other."""
        first = self.one(rng)
        if rng.random() >= 0.1:
            return first
        second = weakened(self.one(rng), rng.uniform(0.3, 0.7))
        return lambda image: second(first(image))

    def one(self, rng: Rng) -> Look:
        kind = KINDS[rng.choice(len(KINDS), p=self.shares)]
        if kind == "film" and self.film is not None:
            return weakened(self.film_look(int(rng.integers(len(self.film)))), rng.uniform(0.5, 1.15))
        if kind == "light" and self.light is not None:
            strength = 1.0 if rng.random() < 0.5 else rng.uniform(0.3, 1.0)
            return weakened(light_look(self.light[rng.integers(len(self.light))]), strength)
        if kind == "toned":
            return toned_look(rng)
        return photographic_look(rng, rng.uniform(0.5, 1.2))

    def film_look(self, index: int) -> Look:
        """Film ``index``, by a finer table of what it adds to each colour: one read a pixel."""
        if index not in self._tables:
            assert self.film is not None
            side = self.film.shape[1]
            at = np.linspace(0, side - 1, CELLS)
            low = np.minimum(at.astype(np.intp), side - 2)
            weights = np.zeros((CELLS, side), np.float32)
            weights[np.arange(CELLS), low] = 1 - (at - low)
            weights[np.arange(CELLS), low + 1] = at - low
            fine = np.einsum(
                "ai,bj,ck,ijkd->abcd", weights, weights, weights, self.film[index] / np.float32(255), optimize=True
            )
            grid = np.linspace(0, 1, CELLS, dtype=np.float32)
            own = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1)
            self._tables[index] = (fine - own).reshape(-1, 3).astype(np.float16)
        table = self._tables[index]

        def apply(image: Image) -> Image:
            cell = (image * (CELLS - 1) + 0.5).astype(np.int32)
            return image + table[(cell[..., 0] * CELLS + cell[..., 1]) * CELLS + cell[..., 2]]

        return apply


def light_look(terms: NDArray[np.float32]) -> Look:
    """A measured light, (3, 11); see ``read_looks``."""
    scale = np.float32(255) ** (np.array([1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 0], np.float32) - 1)
    matrix = np.ascontiguousarray((terms * scale).T)  # for RGB 0..1

    def apply(image: Image) -> Image:
        r, g, b = (image[..., c] for c in range(3))
        powers = np.stack((r, g, b, r * g, r * b, g * b, r * r, g * g, b * b, r * g * b, np.ones_like(r)), -1)
        return powers.reshape(-1, 11).dot(matrix).reshape(image.shape)

    return apply


def photographic_look(rng: Rng, amount: float) -> Look:
    """A chain of photographic changes, the same one however often it is applied."""
    seed = int(rng.integers(2**62))
    return lambda image: augment.photographic(image, np.random.default_rng(seed), amount)


def toned_look(rng: Rng) -> Look:
    """What films and gradings have in common, made up anew each time, so that no table of films is learned by heart:
    more or less colour (now and then next to none, as in a sepia print), colours that lean into each other, lifted
    blacks, softened whites, a curve, and tints of shadows, middle and highlights."""
    luma = np.array(LUMA, np.float32)
    saturation = rng.uniform(0.0, 0.5) if rng.random() < 0.25 else rng.uniform(0.6, 1.4)
    grey = np.outer(luma, np.ones(3))  # rows are what comes in, columns what goes out
    matrix = grey + saturation * (np.eye(3) - grey)
    lean = rng.normal(0.0, 0.06, (3, 3))
    matrix = (matrix @ (np.eye(3) + lean - np.diag(lean.sum(0)))).astype(np.float32)  # grey stays grey
    x = np.linspace(0.0, 1.0, 256)
    lift, drop = (abs(rng.normal(0.0, 0.07)) for _ in range(2))
    curve = x + lift * (1 - x) ** 3 - drop * x**3 - rng.normal(0.0, 0.05) * np.sin(2 * np.pi * x)
    curve += rng.normal(0.0, 0.06) * 4 * x * (1 - x)
    tints = rng.normal(0.0, (0.06, 0.04, 0.06), (3, 3)) * (2.0 if rng.random() < 0.2 else 1.0)  # of channel and place
    tints -= 0.7 * luma @ tints  # mostly tint, little brightness
    places = np.stack(((1 - x) ** 2, 4 * x * (1 - x) * 0.5, x**2))
    curves = np.maximum.accumulate(np.clip(curve + tints @ places, 0.0, 1.0), 1).astype(np.float32)  # (3, 256)

    def apply(image: Image) -> Image:
        mixed = np.clip(image.reshape(-1, 3) @ matrix, 0.0, 1.0)
        place = (mixed * 255 + 0.5).astype(np.intp)
        return np.stack([curves[c][place[:, c]] for c in range(3)], -1).reshape(image.shape)

    return apply


def weakened(look: Look, strength: float) -> Look:
    """``strength`` of a look's way from the picture as it is; clipped to 0..1."""
    share = np.float32(strength)
    return lambda image: np.clip(image + share * (look(image) - image), 0.0, 1.0).astype(np.float32)
