"""Where a picture or a subject comes to lie in a sample: crops, and people of any size, turned, standing or cut off."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Rng = np.random.Generator


def framing(size_hw: tuple[int, int], size: int, rng: Rng) -> NDArray[np.float64]:
    """A random crop of a picture, perhaps mirrored and a little turned, stretched by up to a quarter, to a square."""
    height, width = size_hw
    part = rng.uniform(0.6, 1.0) if rng.random() < 0.7 else 1.0
    stretch = np.exp(rng.uniform(-0.3, 0.3))
    crop_h = min(height, part * min(height, width) * stretch)
    crop_w = min(width, part * width) if rng.random() < 0.5 else min(width, part * min(height, width) / stretch)
    left, top = rng.uniform(0, width - crop_w), rng.uniform(0, height - crop_h)
    turn = rng.normal(0, 6) if rng.random() < 0.3 else 0.0
    centre, middle = (left + crop_w / 2, top + crop_h / 2), (size / 2, size / 2)
    return _matrix(centre, middle, size / crop_w, size / crop_h, turn, rng.random() < 0.5)


def placing(
    alpha: Image,
    size: int,
    rng: Rng,
    upper: float = 0.0,
    most: float = 1.3,
    lean: float = 0.0,
    stretch: float = 1.0,
    cropped: bool = False,
) -> NDArray[np.float64]:
    """A subject somewhere in a square, of any size from a fifth of it up; standing on the lower edge or cut by it.

    ``upper`` is the share of tall subjects of which only the upper part is in the picture, as a webcam shows people;
    ``most`` bounds the subject's size; ``lean`` turns it by degrees, ``stretch`` makes it broader; ``cropped`` puts it
    anywhere, large, so that the picture's edges cut parts of it off.
    """
    left, top, width, height = cv2.boundingRect(cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1])
    rows, columns = alpha.shape
    scale = size * rng.uniform(0.04, most) ** 0.5 / max(width, height, 1)
    cut = top + height >= rows - 2  # what the picture cut off must not end in mid-air
    aside = left <= 1 or left + width >= columns - 2
    if cropped:
        scale *= rng.uniform(1.0, 1.8)
    bottom = size if cut or rng.random() < 0.3 else rng.uniform(0.6, 1.0) * size
    from_above = height > 1.5 * width and rng.random() < upper
    if from_above:
        seen = rng.uniform(0.13, 0.6)  # of its height
        scale = size * rng.uniform(0.55, 0.95) / (seen * height)
        bottom = size + (1 - seen) * height * scale
    elif cropped:
        bottom = rng.uniform(1.0 if cut else 0.75, 1.8) * size
    elif cut:
        bottom += rng.uniform(0, 0.2) * height * scale
    if cut:
        bottom += 0.5 * width * scale * abs(np.sin(np.deg2rad(lean)))
    half = 0.5 * width * scale * stretch
    places = (-0.1, 1.1) if cropped else (0.2, 0.8)
    x = rng.uniform(*places) * size if not aside else (half if left <= 1 else size - half)
    y = bottom - 0.5 * height * scale
    if aside:
        lean = 0.0
    stretched = scale * (1.0 if from_above else np.exp(rng.normal(0, 0.08)))
    matrix = _matrix((left + width / 2, top + height / 2), (x, y), scale * stretch, stretched, lean)
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0.0, size - 1.0], [0.0, 1.0, 0.0], [0, 0, 1]]) @ np.vstack((matrix, [0, 0, 1]))
        matrix = matrix[:2]
    return matrix


def touches(alpha: Image) -> bool:
    """Whether a picture's edge cuts its subject."""
    return max(int(edge.max()) for edge in (alpha[:2], alpha[-2:], alpha[:, :2], alpha[:, -2:])) > 127


def solidity(alpha: Image) -> float:
    """A subject's area as a share of its convex outline's: small where limbs lie away from the body."""
    binary = cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1]
    points = cv2.findNonZero(binary)
    outline = 0.0 if points is None else cv2.contourArea(cv2.convexHull(points))
    return float(cv2.countNonZero(binary)) / max(outline, 1.0)


def _matrix(
    source: tuple[float, float],
    target: tuple[float, float],
    scale_x: float,
    scale_y: float,
    turn: float,
    flip: bool = False,
) -> NDArray[np.float64]:
    """2 x 3 map that scales, perhaps mirrors, turns by degrees, and brings ``source`` to ``target``."""
    angle = np.deg2rad(turn)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turned @ np.diag((-scale_x if flip else scale_x, scale_y))
    return np.hstack((linear, (np.array(target) - linear @ np.array(source))[:, None]))


def warp(image: Image, matrix: NDArray[np.float64], size: int, zero: bool = False) -> Image:
    """What a map makes of a picture: (size, size), mirrored at its edges, or 0 beyond them; without aliasing."""
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 0.6:  # bilinear sampling alone would alias
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / shrink)
    border = cv2.BORDER_CONSTANT if zero else cv2.BORDER_REFLECT_101
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
