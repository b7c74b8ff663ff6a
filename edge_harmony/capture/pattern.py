"""A synthetic subject that moves before a still scene, with exact alpha: ``test:``."""

from __future__ import annotations

import difflib
import itertools
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.options import CaptureOptions
from edge_harmony.capture.pace import Paced
from edge_harmony.capture.source import Source, TimedFrame, rate_words
from edge_harmony.contract import MIN_FRAME_SIZE
from edge_harmony.errors import ConfigError
from edge_harmony.pixels.colour import parse_colour
from edge_harmony.pixels.synthetic import ellipse_distance
from edge_harmony.run.arguments import parse_size

_SPEC: Final = re.compile(r"test:(\d+x\d+)?(?:@([\d./]+))?,?(.*)", re.IGNORECASE)
_SIZE_HW: Final = (720, 1280)
_RATE: Final = Fraction(30)
_PERIOD_S: Final = 6.0  # the subject is where it was after so long
_FLAGS: Final = ("still", "empty")


@dataclass(frozen=True)
class Scene:
    """What the pattern shows.

    Attributes:
        frames: how many there are; 0 goes on for ever.
        seed: of the scene behind the subject, and of the noise.
        noise: standard deviation of the sensor's noise, in code values.
        screen: a colour as ``#rrggbb`` instead of the scene, for chroma keying.
        still: the subject does not move.
        empty: no subject at all: the clean plate of the same scene.
    """

    frames: int = 0
    seed: int = 0
    noise: float = 0.0
    screen: str = ""
    still: bool = False
    empty: bool = False


class Pattern(Source):
    """A figure, head and shoulders, that sways before a scene; every frame follows from its number alone.

    With F the figure's colours, B the scene and α the frame's ``alpha``, the picture is F·α + B·(1 - α), rounded, to
    the bit; noise is added after that. Frames are made as fast as they are asked for.
    """

    has_alpha = True

    def __init__(self, size_hw: tuple[int, int] = _SIZE_HW, rate: Fraction = _RATE, scene: Scene | None = None) -> None:
        """Paint what stays the same.

        Args:
            size_hw: height and width of the frames.
            rate: frames a second, exact.
            scene: what to show.

        Raises:
            ConfigError: too small, or a value out of range.
        """
        self.scene = scene or Scene()
        if min(size_hw) < MIN_FRAME_SIZE or max(size_hw) > 16384:
            raise ConfigError(
                f"test: of {size_hw[1]}x{size_hw[0]} is not possible",
                f"both sides from {MIN_FRAME_SIZE} to 16384 pixels, as test:1280x720",
            )
        if not 0 < rate <= 1000 or self.scene.frames < 0 or not 0 <= self.scene.noise <= 64:
            raise ConfigError("test: has a value out of range", "rate 1 to 1000, frames from 0, noise 0 to 64")
        self.name = "test pattern"
        self.size_hw = size_hw
        self.rate, self.time_base = rate, 1 / rate
        self.frame_count = self.scene.frames or None
        self.background_bgr = _paint_background(size_hw, self.scene)
        self._colours, self._alpha = _paint_figure(size_hw)
        self._noise = _paint_noise(size_hw, self.scene) if self.scene.noise else None

    def __iter__(self) -> Iterator[TimedFrame]:
        for index in range(self.scene.frames) if self.scene.frames else itertools.count():
            captured_s = time.monotonic()
            image, alpha = self.draw(index)
            yield TimedFrame(image, index, self.time_base, index, alpha, 1, captured_s=captured_s)

    def draw(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """TimedFrame number ``index``: uint8 (H, W, 3) BGR and its alpha uint8 (H, W), both new arrays."""
        height, width = self.size_hw
        image = self.background_bgr.copy()
        alpha = np.zeros((height, width), np.uint8)
        if not self.scene.empty:
            matrix, (top, bottom, left, right) = self._place(index)
            shape = (right - left, bottom - top)
            colours = cv2.warpAffine(
                self._colours, matrix, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            cover = cv2.warpAffine(self._alpha, matrix, shape, flags=cv2.INTER_LINEAR, borderValue=0)
            box = image[top:bottom, left:right]
            _composite(box, colours.astype(np.uint8, copy=False), cover.astype(np.uint8, copy=False))
            alpha[top:bottom, left:right] = cover
        if self._noise is not None:
            dy, dx = (int(v) for v in np.random.default_rng([self.scene.seed, index]).integers(0, _TILE, 2))
            noise = self._noise[dy : dy + height, dx : dx + width]
            image = cv2.add(image, noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)
        return image, alpha

    def times(self) -> list[Fraction] | None:
        """The presentation time of every frame, in seconds; None without an end."""
        return [index * self.time_base for index in range(self.scene.frames)] if self.scene.frames else None

    def describe(self) -> str:
        """Size, rate and length."""
        height, width = self.size_hw
        length = f"{self.scene.frames} frames" if self.scene.frames else "without end"
        return f"{self.name}: {width}x{height}, {rate_words(self.rate)} frames a second, {length}"

    def _place(self, index: int) -> tuple[NDArray[np.float64], tuple[int, int, int, int]]:
        """The matrix from the figure's picture to its box in the frame, and the box (top, bottom, left, right)."""
        height, width = self.size_hw
        turn = 0.0 if self.scene.still else 2 * math.pi * index / (_PERIOD_S * float(self.rate))
        x = width * (0.5 + 0.22 * math.sin(turn))
        y = height * (1.08 + 0.02 * math.sin(2 * turn + 0.7))  # of the figure's foot, below the frame's edge
        lean = math.radians(4.0 * math.sin(turn + math.pi / 2))
        rows, columns = self._alpha.shape
        reach = math.hypot(rows, columns / 2) + 2
        left, right = max(0, int(x - columns / 2 - rows * 0.08) - 2), min(width, int(x + columns / 2 + rows * 0.08) + 2)
        top, bottom = max(0, int(y - reach)), height
        cos, sin = math.cos(lean), math.sin(lean)
        matrix = np.array(
            [
                [cos, -sin, x - left - cos * columns / 2 + sin * rows],
                [sin, cos, y - top - sin * columns / 2 - cos * rows],
            ]
        )
        return matrix, (top, bottom, left, right)


def open_pattern(spec: str, options: CaptureOptions) -> Source:
    """Open ``test:[WxH][@RATE][,NAME=VALUE ...]``, with the names of ``Scene``.

    A pattern without end is live, at its own speed. One with ``frames`` is like a file: as fast as it is read, unless
    ``options.realtime``. Size and rate that the text leaves out come from ``options``, else 1280x720 at 30.

    Raises:
        ConfigError: an option that there is not, or a value out of range.
    """
    match = _SPEC.fullmatch(spec.strip())
    assert match is not None, "the caller looks for test:"
    size_hw = parse_size(match[1]) if match[1] else options.size_hw or _SIZE_HW
    try:
        rate = Fraction(match[2]) if match[2] else options.rate or _RATE
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"{spec}: {match[2]} is not a rate", "write 30 or 30000/1001 after the @") from None
    scene = Scene(**dict(_parse_option(spec, part) for part in match[3].split(",") if part))
    pattern = Pattern(size_hw, rate, scene)
    return pattern if scene.frames and not options.realtime else Paced(pattern)


def _parse_option(spec: str, text: str) -> tuple[str, Any]:
    name, equals, value = text.strip().partition("=")
    kinds = {field.name: type(field.default) for field in fields(Scene)}
    if name not in kinds:
        near = difflib.get_close_matches(name, kinds, 1)
        hint = (
            f"did you mean {near[0]}?" if near else f"known are {', '.join(kinds)}; the size comes first: test:1280x720"
        )
        raise ConfigError(f"{spec}: test: has no option {name!r}", hint)
    if name in _FLAGS:
        if equals:
            raise ConfigError(f"{spec}: {name} takes no value", f"write just {name}")
        return name, True
    if name == "screen":
        parse_colour(value)
        return name, value
    try:
        return name, kinds[name](value)
    except ValueError:
        raise ConfigError(f"{spec}: {name}={value} is not a number", f"write it as {name}=100") from None


def _composite(background: NDArray[np.uint8], colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    """Lay ``colours`` over ``background``, in place: exact, and only the edge is computed."""
    cv2.copyTo(colours, cv2.compare(alpha, 255, cv2.CMP_EQ), background)
    edge = cv2.findNonZero(cv2.inRange(alpha, np.array(1), np.array(254)))
    if edge is None:
        return
    columns, rows = edge.reshape(-1, 2).T  # (N, 1, 2) in OpenCV 4, (N, 2) in 5
    share = alpha[rows, columns].astype(np.int32)[:, None]
    mixed = colours[rows, columns] * share + background[rows, columns] * (255 - share)
    background[rows, columns] = (mixed + 127) // 255


_TILE: Final = 64  # the noise picture is larger than the frame by this, and laid over it at another place every frame


def _paint_noise(size_hw: tuple[int, int], scene: Scene) -> NDArray[np.int16]:
    shape = (size_hw[0] + _TILE, size_hw[1] + _TILE, 3)
    values = np.random.default_rng(scene.seed).standard_normal(shape, np.float32) * scene.noise
    return np.rint(values).astype(np.int16)


def _paint_background(size_hw: tuple[int, int], scene: Scene) -> NDArray[np.uint8]:
    height, width = size_hw
    if scene.screen:
        return np.full((height, width, 3), parse_colour(scene.screen), np.uint8)
    rng = np.random.default_rng(scene.seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / height
    wall = np.array([120, 128, 118], np.float32) + 50 * (0.5 - y)[..., None]
    image = wall * np.array([0.92, 1.0, 1.04], np.float32)
    for _ in range(9):  # shelves, pictures, lamps: out of focus
        cx, cy, rx, ry = rng.uniform((0, 0, 0.04, 0.04), (width / height, 0.9, 0.22, 0.22))
        colour = rng.uniform(30, 225, 3).astype(np.float32)
        soft = np.clip(4.0 * (1.0 - np.maximum(abs(x - cx) / rx, abs(y - cy) / ry)), 0, 1)[..., None]
        image += soft * 0.75 * (colour - image)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _paint_figure(size_hw: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Colours (h, w, 3), that go on beyond the edge, and coverage (h, w) of the figure standing upright."""
    unit = min(size_hw[0], size_hw[1] * 1.1) * 0.9  # the figure's height, in pixels
    rows, columns = round(unit * 1.08), round(unit * 0.86)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = (x + 0.5 - columns / 2) / unit, (y + 0.5 - (rows - unit)) / unit
    head = ellipse_distance(x, y - 0.21, 0.155, 0.2)
    neck = np.maximum(abs(x) - 0.07, abs(y - 0.42) - 0.12)
    body = ellipse_distance(x, y - 1.0, 0.39, 0.52)
    distance = np.minimum(np.minimum(head, neck), body) * unit
    alpha = np.clip(0.5 - distance, 0, 1)

    light = (1.0 - 0.45 * np.clip(x / 0.4 + 0.3, 0, 1))[..., None]  # from the left
    skin = np.array([120, 158, 214], np.float32) * light
    stripes = (np.sin(2 * np.pi * (y * 9 + 0.15 * np.cos(x * 7))) > 0)[..., None]
    shirt = np.where(stripes, np.array([60, 64, 178], np.float32), np.array([205, 210, 214], np.float32)) * light
    hair = np.array([28, 42, 64], np.float32) * light
    colours = np.where((body < np.minimum(head, neck))[..., None], shirt, skin)
    colours = np.where(((head < 0.02) & (y < 0.15 + 0.06 * np.sin(18 * x)))[..., None], hair, colours)
    for side in (-1, 1):
        eye = ellipse_distance(x - side * 0.06, y - 0.21, 0.02, 0.012)
        colours = np.where((eye < 0)[..., None], np.array([30, 30, 40], np.float32), colours)
    mouth = ellipse_distance(x, y - 0.31, 0.05, 0.012)
    colours = np.where((mouth < 0)[..., None], np.array([70, 70, 160], np.float32), colours)
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8), np.rint(alpha * 255).astype(np.uint8)
