"""Disturbances that turn a photograph into a composite whose foreground does not match.

Two families, because what a network learns from one it does not know of the other: *colour transfers* move the
foreground's colours towards a region of another photograph (as iHarmony4 was made), *photographic changes* do what
another camera, light or grading would have done. All work on float32 RGB in 0..1, gamma-encoded, take their
randomness from the generator they are given, and return values clipped to 0..1.

Sources: Reinhard et al. 2001 (Lab statistics); Pitié & Kokaram 2007 (linear Monge-Kantorovich map); Pitié et al. 2007
(iterative distribution transfer).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # (H, W, 3) RGB 0..1
Pixels = NDArray[np.float32]  # (N, 3) RGB 0..1
Rng = np.random.Generator

SAMPLE = 2048  # pixels that statistics are taken from


def region_pixels(image: NDArray, region: NDArray[np.bool_], rng: Rng) -> NDArray:
    """At most ``SAMPLE`` random pixels of a region, (N, 3)."""
    held = np.flatnonzero(region)
    if len(held) > SAMPLE:
        held = held[rng.integers(0, len(held), SAMPLE)]
    return image.reshape(-1, image.shape[-1])[held]


# --- colour transfers: (image, its foreground's pixels, the reference's pixels) -> image


def transfer_reinhard(image: Image, source: Pixels, reference: Pixels, rng: Rng) -> Image:
    """Match mean and standard deviation of each Lab channel."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    a = cv2.cvtColor(source[None], cv2.COLOR_RGB2LAB)[0]
    b = cv2.cvtColor(reference[None], cv2.COLOR_RGB2LAB)[0]
    gain = np.clip(b.std(0) / (a.std(0) + 1e-3), 0.2, 4.0)
    return cv2.cvtColor((lab - a.mean(0)) * gain + b.mean(0), cv2.COLOR_LAB2RGB)


def transfer_mkl(image: Image, source: Pixels, reference: Pixels, rng: Rng) -> Image:
    """The linear map that carries one Gaussian to the other with least displacement."""
    identity = 1e-4 * np.eye(3)
    cov_a = np.cov(source, rowvar=False) + identity
    cov_b = np.cov(reference, rowvar=False) + identity
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(values) @ vectors.T
    inverse = vectors / np.sqrt(values) @ vectors.T
    values, vectors = np.linalg.eigh(root @ cov_b @ root)
    matrix = inverse @ (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T @ inverse
    return ((image - source.mean(0)) @ matrix.T.astype(np.float32) + reference.mean(0)).astype(np.float32)


def quantiles(values: NDArray, levels: int) -> NDArray:
    """Equally spaced quantiles from the least value to the greatest, without interpolation: (levels,)."""
    ordered = np.sort(values)
    return ordered[np.linspace(0, len(ordered) - 1, levels).round().astype(np.intp)]


def match_quantiles(values: NDArray, source: NDArray, reference: NDArray, levels: int = 96) -> NDArray:
    """The monotone map that gives ``source`` the distribution of ``reference``, applied to ``values``."""
    a = np.maximum.accumulate(quantiles(source, levels) + np.arange(levels) * 1e-7)
    b = quantiles(reference, levels)
    out = np.interp(values, a, b)
    below, above = values < a[0], values > a[-1]
    out[below] += values[below] - a[0]
    out[above] += values[above] - a[-1]
    return out.astype(np.float32)


def transfer_histogram(image: Image, source: Pixels, reference: Pixels, rng: Rng) -> Image:
    """Match the histogram of each YCbCr channel."""
    ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    a = cv2.cvtColor(source[None], cv2.COLOR_RGB2YCrCb)[0]
    b = cv2.cvtColor(reference[None], cv2.COLOR_RGB2YCrCb)[0]
    matched = np.stack([match_quantiles(ycc[..., c], a[:, c], b[:, c]) for c in range(3)], -1)
    return cv2.cvtColor(matched, cv2.COLOR_YCrCb2RGB)


def transfer_idt(image: Image, source: Pixels, reference: Pixels, rng: Rng, rounds: int = 4) -> Image:
    """Match one-dimensional marginals along random orthogonal axes, several times."""
    flat, a = image.reshape(-1, 3), source
    for _ in range(rounds):
        axes = np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
        x, y, z = flat @ axes, a @ axes, reference @ axes
        flat = np.stack([match_quantiles(x[:, c], y[:, c], z[:, c], 48) for c in range(3)], -1) @ axes.T
        a = np.stack([match_quantiles(y[:, c], y[:, c], z[:, c], 48) for c in range(3)], -1) @ axes.T
    return flat.reshape(image.shape)


TRANSFERS = (transfer_reinhard, transfer_mkl, transfer_histogram, transfer_idt)


# --- photographic changes: (image) -> image


def exposure(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """Stops of exposure, in linear light."""
    gain = np.float32(2.0 ** rng.uniform(-1.3 * amount, 1.1 * amount))
    return (np.minimum(np.power(np.maximum(image, 0), 2.2) * gain, 1.0) ** np.float32(1 / 2.2)).astype(np.float32)


def white_balance(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """Warmer or cooler, greener or more magenta."""
    warm, tint = rng.normal(0.0, 0.16 * amount), rng.normal(0.0, 0.07 * amount)
    gains = np.exp(np.array([warm, -tint, -warm], np.float32) + np.float32(tint / 3))
    return image * gains


def contrast(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """About a random pivot."""
    pivot = np.float32(rng.uniform(0.3, 0.6))
    return (image - pivot) * np.float32(np.exp(rng.normal(0.0, 0.28 * amount))) + pivot


def saturation(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """Towards or away from grey; now and then all the way to grey."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]
    gain = rng.uniform(0.0, 0.3) if rng.random() < 0.1 * amount else np.exp(rng.normal(0.0, 0.4 * amount))
    return grey + (image - grey) * np.float32(gain)


def hue(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """A small rotation about the grey axis."""
    angle = rng.normal(0.0, 0.15 * amount)
    axis = np.full(3, 3**-0.5)
    matrix = cv2.Rodrigues(axis * angle)[0].astype(np.float32)
    return image @ matrix.T


def tone_curve(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """A smooth monotone curve for all channels, and a weaker one for each (a film look)."""
    at = np.linspace(0.0, 1.0, 6)
    grid = np.linspace(0.0, 1.0, 1024)
    level = (image * np.float32(1023) + np.float32(0.5)).astype(np.int16)
    common = np.exp(rng.normal(0.0, 0.45 * amount, 5))
    out = np.empty_like(image)
    lift, top = rng.uniform(0.0, 0.12 * amount), 1.0 - rng.uniform(0.0, 0.1 * amount)
    for c in range(3):
        steps = common * np.exp(rng.normal(0.0, 0.18 * amount, 5))
        knots = np.concatenate(([0.0], np.cumsum(steps) / steps.sum()))
        curve = cv2.GaussianBlur(np.interp(grid, at, knots)[None], (0, 0), 48, borderType=cv2.BORDER_REPLICATE)[0]
        out[..., c] = (lift + (top - lift) * curve).astype(np.float32)[level[..., c]]
    return out


def haze(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """A veil of air light of nearly neutral colour."""
    veil = np.float32(rng.uniform(0.05, 0.45) * amount)
    air = np.float32(rng.uniform(0.55, 0.95)) * (1 + rng.normal(0.0, 0.05, 3)).astype(np.float32)
    return image * (1 - veil) + air * veil


def side_light(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """Light that varies across the subject: a linear ramp of coloured gain."""
    h, w = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
    ramp = (np.cos(angle) * x + np.sin(angle) * y)[..., None]
    colour = (rng.normal(0.0, 0.25 * amount) + rng.normal(0.0, 0.05 * amount, 3)).astype(np.float32)
    return (image * np.exp(ramp * colour)).astype(np.float32)


PHOTOGRAPHIC = (exposure, white_balance, contrast, saturation, hue, tone_curve, haze, side_light)
PHOTOGRAPHIC_ODDS = np.array([0.45, 0.45, 0.35, 0.35, 0.12, 0.4, 0.15, 0.15])


def photographic(image: Image, rng: Rng, amount: float = 1.0) -> Image:
    """A random chain of photographic changes, at least one; ``amount`` scales their strength."""
    chosen = np.flatnonzero(rng.random(len(PHOTOGRAPHIC)) < PHOTOGRAPHIC_ODDS)
    if not len(chosen):
        chosen = rng.integers(0, len(PHOTOGRAPHIC), 1)
    for i in rng.permutation(chosen):
        image = np.clip(PHOTOGRAPHIC[i](image, rng, amount), 0.0, 1.0).astype(np.float32)
    return image


def transfer(image: Image, source: Pixels, reference: Pixels, rng: Rng) -> Image:
    """A random colour transfer, at random strength."""
    if len(source) < 16 or len(reference) < 16:
        return image
    moved = TRANSFERS[rng.integers(len(TRANSFERS))](image, source, reference, rng)
    strength = np.float32(1.0 if rng.random() < 0.6 else rng.uniform(0.4, 1.0))
    return np.clip(image + strength * (moved - image), 0.0, 1.0).astype(np.float32)


# --- what cameras, codecs and mattes do


def degrade(image: Image, rng: Rng) -> Image:
    """Sensor noise or JPEG blocks on the foreground, as footage has."""
    if rng.random() < 0.5:
        return np.clip(image + rng.normal(0.0, rng.uniform(0.005, 0.03), image.shape), 0, 1).astype(np.float32)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
    code = cv2.imencode(".jpg", (image * 255 + 0.5).astype(np.uint8), quality)[1]
    return np.multiply(cv2.imdecode(code, cv2.IMREAD_COLOR), np.float32(1 / 255), dtype=np.float32)


def clean_cut(image: Image, mask: NDArray[np.float32], rng: Rng) -> tuple[Image, NDArray[np.float32]]:
    """A picture whose subject seems to be cut out with care and set before other surroundings, and its alpha.

    A mask drawn on a photograph holds a sliver of what lay around the subject, or leaves a sliver of the subject out.
    A composite made with it gives away how it was changed: part of one thing on both sides of the seam. Nothing does
    so where a subject comes from elsewhere, so here the rim goes: the subject shrinks a little, and a band around it
    becomes what lies further out, with texture from somewhere else in the picture.

    Args:
        image: float32 (S, S, 3), 0..1.
        mask: float32 (S, S), 0..1.
        rng: of how much goes.

    Returns:
        Picture and alpha like those given; the same ones where too little of the subject or of the rest would be left.
    """
    size = mask.shape[0]
    reach = int(rng.integers(1, max(2, size // 48) + 1))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inner, outer = cv2.erode(mask, disc), cv2.dilate(mask, disc, iterations=2)
    if inner.mean() < 0.004 or outer.mean() > 0.9:
        return image, mask
    rest = 1.0 - outer

    def smoothed(picture: NDArray[np.float32]) -> NDArray[np.float32]:  # at a quarter of the size
        small = cv2.resize(picture, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(small, (0, 0), reach)

    def enlarged(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)

    seen = image * rest[..., None]
    mean = seen.mean((0, 1)) / rest.mean()
    around = enlarged((smoothed(seen) + 1e-3 * mean) / (smoothed(rest)[..., None] + 1e-3))
    fine = image - enlarged(smoothed(image))
    texture = np.roll(fine, tuple(int(v) for v in rng.integers(size // 4, 3 * size // 4, 2)), (0, 1))
    band = cv2.GaussianBlur(outer, (0, 0), 0.5 * reach)[..., None]
    behind = image + band * (np.clip(around + texture, 0.0, 1.0) - image)
    alpha = cv2.GaussianBlur(inner, (0, 0), rng.uniform(0.4, 1.0))
    return (behind + alpha[..., None] * (image - behind)).astype(np.float32), alpha


def imperfect_mask(mask: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """What a matting method would have given: grown, shrunk, blurred, shifted, with holes. float32 (H, W), 0..1."""
    size = mask.shape[0]
    for _ in range(rng.integers(1, 3)):
        reach = int(rng.integers(1, max(2, size // 32) + 1))
        kind = rng.integers(5)
        if kind < 2:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
            mask = (cv2.dilate if kind == 0 else cv2.erode)(mask, kernel)
        elif kind == 2:
            mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 1.0) * reach)
        elif kind == 3:
            move = rng.integers(-reach, reach + 1, 2)
            shift = np.array([[1, 0, move[0]], [0, 1, move[1]]], np.float32)
            mask = cv2.warpAffine(mask, shift, mask.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        else:
            mask = mask.copy()
            for _ in range(rng.integers(1, 4)):
                centre = rng.integers(0, size, 2)
                cv2.circle(mask, (int(centre[0]), int(centre[1])), reach * 2, 0.0, -1)
    return np.clip(mask, 0.0, 1.0).astype(np.float32)
