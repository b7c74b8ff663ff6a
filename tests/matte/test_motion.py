"""Movement between two views: found, carried along, and none where nothing moves."""

from __future__ import annotations

import cv2
import numpy as np

from edge_harmony.matte.motion import Motion
from tests.scenes import noisy, textured

SIZE = (160, 256)


def _shifted(by: int, seed: int = 3) -> np.ndarray:
    wide = cv2.GaussianBlur(textured((160, 320), seed=seed, contrast=90), (0, 0), 1.5)
    return np.ascontiguousarray(wide[:, 32 - by : 32 - by + SIZE[1]])


def test_a_picture_that_moves_is_followed() -> None:
    motion = Motion()
    motion.follow(_shifted(0))
    assert motion.change is None
    motion.follow(_shifted(5))
    carried = motion.carry(_shifted(0))
    inner = np.s_[10:-10, 20:-20]
    before, after = (np.abs(_shifted(5)[inner].astype(int) - x[inner]).mean() for x in (_shifted(0), carried))
    assert after < 0.35 * before
    assert motion.change is not None
    assert motion.change[inner].mean() < 0.5 * before


def test_noise_moves_nothing_to_the_bit() -> None:
    motion, scene = Motion(), textured(SIZE)
    alpha = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    for seed in range(3):
        motion.follow(noisy(scene, 1.0, seed=seed))
    assert motion.carry(alpha) is alpha


def test_where_a_part_stands_still_it_stays() -> None:
    motion = Motion()
    one, other = _shifted(0), _shifted(0)
    other[40:80, 40:90] = _shifted(4)[40:80, 40:90]
    motion.follow(one)
    motion.follow(other)
    alpha = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    carried = motion.carry(alpha)
    assert (carried[100:] == alpha[100:]).all()
    assert (carried != alpha).any()


def test_another_shot_and_another_size_begin_anew() -> None:
    motion = Motion()
    motion.follow(_shifted(0))
    motion.follow(cv2.convertScaleAbs(_shifted(0, seed=8), alpha=0.4))
    assert motion.change is None
    motion.follow(np.zeros((64, 96, 3), np.uint8))
    assert motion.change is None
    motion.follow(np.zeros((64, 96, 3), np.uint8))
    assert motion.change is not None
