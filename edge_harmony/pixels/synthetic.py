"""Pictures that need no file, with an exact alpha: the one maker, for ``test:``, ``benchmark``, scripts and tests."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.pixels.over import over

Item = tuple[Frame, Alpha, Frame]  # subject, alpha, background

_MOST_FRAMES: Final = 12  # different ones; then they come again
_MEMORY: Final = 192 << 20  # bytes that they may take
_SOFT_EDGE: Final = 1.5  # pixels over which the alpha rises, at 1080 rows
_HALF_AXES: Final = (0.17, 0.32)  # of the ellipse, as shares of the frame's width and height


def ellipse_distance(x: NDArray[Any], y: NDArray[Any], rx: float, ry: float) -> NDArray[Any]:
    """How far places lie outside an ellipse round 0, negative inside: exact for a circle, else to the first order at
    its edge. ``x`` and ``y`` are floating point and broadcast; their type is the result's.
    """
    inner = np.sqrt((x / rx) ** 2 + (y / ry) ** 2)
    steep = np.sqrt((x / rx**2) ** 2 + (y / ry**2) ** 2)
    centre = steep < 1e-6
    return np.where(centre, -min(rx, ry), inner * (inner - 1.0) / np.where(centre, 1.0, steep)).astype(inner.dtype)


def soft_ellipse(
    size_hw: tuple[int, int], radii_xy: tuple[float, float], centre_xy: tuple[float, float], soft: float
) -> Alpha:
    """The alpha of an ellipse whose edge rises over ``soft`` pixels: uint8 (H, W). Whole places are pixels' centres."""
    height, width = size_hw
    x = np.arange(width, dtype=np.float32)[None] - np.float32(centre_xy[0])
    y = np.arange(height, dtype=np.float32)[:, None] - np.float32(centre_xy[1])
    cover = np.clip(0.5 - ellipse_distance(x, y, *radii_xy) / np.float32(soft), 0, 1)
    return np.floor(cover * 255 + 0.5).astype(np.uint8)


class SyntheticClip:
    """An ellipse with a shaded surface on its way round the frame, lit otherwise than the background.

    Its alpha is computed, not estimated: 0 outside, 255 inside, and a soft edge of constant width between them. Every
    frame is made when the clip is, so that reading it costs nothing. The background has grain, the subject has none.

    Args:
        size_hw: height and width of the frames.
        coverage: which share of the frame is subject, up to 1; None for a sixth.
        count: how many different frames; None for a dozen, or as many as fit into 192 MB.
        moves: whether the background moves too, so that no frame's is the last one's.

    Attributes:
        background_bgr: uint8 (H, W, 3), read-only.
    """

    def __init__(
        self, size_hw: tuple[int, int], coverage: float | None = None, count: int | None = None, moves: bool = False
    ) -> None:
        self.size_hw = size_hw
        height, width = size_hw
        count = count or int(min(_MOST_FRAMES, max(2, _MEMORY // (4 * height * width))))
        half_axes = _HALF_AXES if coverage is None else ((coverage / np.pi) ** 0.5,) * 2
        self.background_bgr = _background(height, width)
        self._frames = [_frame(height, width, index / count, half_axes, coverage == 1) for index in range(count)]
        step = max(width // 32, 1) if moves else 0
        self._backgrounds = [np.roll(self.background_bgr, index * step, 1) for index in range(count if moves else 1)]
        for picture in (self.background_bgr, *self._backgrounds):
            picture.setflags(write=moves)

    @property
    def clip_bytes(self) -> int:
        """The memory that the frames take."""
        return sum(picture.nbytes for pair in self._frames for picture in pair) + sum(
            picture.nbytes for picture in self._backgrounds
        )

    def frames(self, count: int) -> Iterator[Item]:
        """``count`` frames: uint8 (H, W, 3) BGR of the subject, straight, its uint8 (H, W) alpha, the background."""
        pairs = zip(cycle(self._frames), cycle(self._backgrounds), strict=False)
        for (frame, alpha), background in islice(pairs, count):
            yield frame, alpha, background


def _background(height: int, width: int) -> Frame:
    """A warm sky over a dark ground, with grain."""
    rng = np.random.default_rng(0)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    along = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    sky, ground = np.array([70, 130, 215], np.float32), np.array([35, 45, 60], np.float32)
    smooth = sky + (ground - sky) * down + 18 * along
    grain = rng.normal(0, 4, (height // 2 + 1, width // 2 + 1, 3)).astype(np.float32)
    smooth += cv2.resize(grain, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def _frame(height: int, width: int, phase: float, half_axes: tuple[float, float], full: bool) -> tuple[Frame, Alpha]:
    """The subject at a point of its way, on which it stays in the frame; 0 and 1 are the same point."""
    angle = 2 * np.pi * phase
    along, down = (min(sway, max(0.0, 0.5 - half)) for sway, half in zip((0.2, 0.1), half_axes, strict=True))
    centre = width * (0.5 + along * np.cos(angle)) - 0.5, height * (0.5 + down * np.sin(angle)) - 0.5
    radii = half_axes[0] * width, half_axes[1] * height
    cover = soft_ellipse((height, width), radii, centre, _SOFT_EDGE * height / 1080)
    if full:
        cover[:] = 255
    x = (np.arange(width, dtype=np.float32)[None] - np.float32(centre[0])) / np.float32(radii[0])
    y = (np.arange(height, dtype=np.float32)[:, None] - np.float32(centre[1])) / np.float32(radii[1])
    light = np.clip(0.75 - 0.25 * x - 0.3 * y, 0, 1)[..., None]  # from the upper left, and cold: it does not belong
    texture = (12 * np.sin(40 * x) * np.sin(40 * y))[..., None]
    subject = np.clip(np.array([225, 190, 150], np.float32) * light + texture, 0, 255).astype(np.uint8)
    return over(subject, cover, np.full((height, width, 3), 40, np.uint8)), cover
