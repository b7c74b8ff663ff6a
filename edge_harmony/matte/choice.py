"""Which of several people is the subject: one is chosen, and kept while others pass.

A matte finds everybody. Its alpha falls apart into pieces, people above all, where they do not touch; one of them is
chosen by its size, by its place or by a point, and followed from frame to frame by where it was and by its colours. Two
who touch are one piece and stay together for as long as they do; when they part, the one who looks as the chosen one
looked before is the subject again.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.matte.scale import shrink_to
from edge_harmony.pixels.frame import Alpha, Frame
from edge_harmony.subject_choice import SubjectChoice

_SIDE: Final = 256  # pixels, the longer side at which pieces are told apart
_LEAST: Final = 0.002  # share of the picture that a piece has to be one
_BINS: Final = 8  # of each colour channel, in what a piece looks like
_ALIKE: Final = 0.5  # Bhattacharyya coefficient of two looks from which a piece that was lost is found again
_GROWN: Final = 1.4  # times its usual area: from there on others stand before the chosen one, or beside
_PATIENCE: Final = 45  # frames for which one who left is waited for, before the rule chooses anew
_LEARNING: Final = 0.1  # share of a frame in what the chosen one looks like


class SubjectFollower:
    """Keeps the chosen piece of frame after frame's alpha.

    Args:
        choice: who it is. ``all`` changes nothing and costs nothing.
    """

    def __init__(self, choice: SubjectChoice | None = None) -> None:
        self.choice = choice or SubjectChoice()
        self._mask: NDArray[np.uint8] | None = None
        self._look: NDArray[np.float32] | None = None
        self._area = 0.0
        self._lost = 0

    def reset(self) -> None:
        """Forget who was chosen: the rule decides on the next frame."""
        self._mask = self._look = None
        self._area, self._lost = 0.0, 0

    def __call__(self, alpha: Alpha, frame_bgr: Frame) -> Alpha:
        """The alpha of the chosen one alone.

        Args:
            alpha: uint8 (H, W), of everybody; not changed.
            frame_bgr: uint8 (H, W, 3), whose alpha it is.

        Returns:
            uint8 (H, W): the same array where nobody has to go. All 0 while the chosen one is out of the picture, for
            up to ``_PATIENCE`` frames.
        """
        if self.choice.rule == "all":
            return alpha
        height, width = alpha.shape
        scale = min(1.0, _SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = shrink_to(alpha, size)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((small > 127).astype(np.uint8), connectivity=8)
        areas = stats[:, cv2.CC_STAT_AREA]
        pieces = [i for i in range(1, count) if areas[i] >= _LEAST * small.size]
        if self._mask is not None and self._mask.shape != small.shape:
            self.reset()
        if not pieces:
            self._wait()
            return alpha
        picture = shrink_to(frame_bgr, size)
        chosen = self._follow(pieces, labels, areas, picture)
        if chosen is None:
            return np.zeros_like(alpha)
        if len(pieces) == 1:
            return alpha
        ours = (labels == chosen).astype(np.uint8)
        others = (np.isin(labels, pieces) & (labels != chosen)).astype(np.uint8)
        nearer = cv2.distanceTransform(1 - ours, cv2.DIST_L2, 3) <= cv2.distanceTransform(1 - others, cv2.DIST_L2, 3)
        near = cv2.resize(nearer.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR)
        return cv2.min(alpha, near)  # soft edges stay with whom they are nearest to

    def _follow(
        self, pieces: list[int], labels: NDArray[np.int32], areas: NDArray[np.int32], picture: Frame
    ) -> int | None:
        """The piece that is the chosen one, or None while it is out of the picture."""
        if self._mask is None:
            chosen = self._by_rule(pieces, labels, areas)
            self._remember(chosen, labels, areas, picture, fresh=True)
            return chosen
        shared = np.bincount(labels[self._mask > 0], minlength=int(labels.max()) + 1)
        touching = [i for i in pieces if shared[i] > 0.1 * min(areas[i], self._area)]
        if len(touching) == 1:
            chosen = touching[0]
        else:  # those who touched have parted, or nobody is where the chosen one was
            looks = {i: self._likeness(i, labels, picture) for i in touching or pieces}
            chosen = max(looks, key=lambda i: looks[i])
            if not touching and looks[chosen] < _ALIKE:
                return None if self._wait() else self._follow(pieces, labels, areas, picture)
        self._remember(chosen, labels, areas, picture)
        return chosen

    def _by_rule(self, pieces: list[int], labels: NDArray[np.int32], areas: NDArray[np.int32]) -> int:
        if self.choice.rule == "largest":
            return max(pieces, key=lambda i: areas[i])
        height, width = labels.shape
        x, y = self.choice.point if self.choice.rule == "point" else (0.5, 0.5)
        across, down = np.meshgrid(np.arange(width) - x * (width - 1), np.arange(height) - y * (height - 1))
        away = np.hypot(across, down)
        return min(pieces, key=lambda i: (float(away[labels == i].min()), -areas[i]))

    def _remember(
        self, chosen: int, labels: NDArray[np.int32], areas: NDArray[np.int32], picture: Frame, fresh: bool = False
    ) -> None:
        mask = self._mask = (labels == chosen).astype(np.uint8)
        self._lost = 0
        area = float(areas[chosen])
        if fresh or self._look is None:
            self._look, self._area = _look_of(mask, picture), area
        elif area < _GROWN * self._area:  # alone: what is learned is the chosen one's
            self._look += _LEARNING * (_look_of(mask, picture) - self._look)
            self._area += _LEARNING * (area - self._area)

    def _likeness(self, piece: int, labels: NDArray[np.int32], picture: Frame) -> float:
        """0..1: how much a piece looks as the chosen one did."""
        assert self._look is not None
        return float(np.sqrt(self._look * _look_of((labels == piece).astype(np.uint8), picture)).sum())

    def _wait(self) -> bool:
        """Count a picture without the chosen one; False when that was one too many, and all is forgotten."""
        self._lost += 1
        if self._lost > _PATIENCE:
            self.reset()
        return self._mask is not None


def _look_of(mask: NDArray[np.uint8], picture: Frame) -> NDArray[np.float32]:
    """Colours of a piece: a smoothed histogram that sums to 1."""
    histogram = cv2.calcHist([picture], [0, 1, 2], mask, [_BINS] * 3, [0, 256] * 3).astype(np.float32)
    for axis in range(3):  # neighbouring bins count a little: light changes
        histogram = histogram + 0.25 * (np.roll(histogram, 1, axis) + np.roll(histogram, -1, axis))
    return histogram.ravel() / max(1e-6, float(histogram.sum()))
