"""Steadying: still where nothing moves, without lag where something does."""

from __future__ import annotations

import cv2
import numpy as np

from edge_harmony.matte.motion import Motion
from edge_harmony.matte.steady import AlphaSteadier
from tests.scenes import noisy, soft_disc, textured

SIZE = (160, 256)


class Steadied:
    """A steadier with the movement of the pictures that it is given alphas of."""

    def __init__(self, amount: float) -> None:
        self._motion, self._steadier = Motion(), AlphaSteadier(amount)

    def __call__(self, alpha: np.ndarray, view_bgr: np.ndarray) -> np.ndarray:
        self._motion.follow(view_bgr)
        return self._steadier(alpha, self._motion)

    def reset(self) -> None:
        self._steadier.reset()


def _flicker(alpha: np.ndarray, amount: float, seed: int) -> np.ndarray:
    """An alpha whose soft parts a network sees a little differently each time."""
    change = np.random.default_rng(seed).normal(0, amount, alpha.shape)
    return np.clip(alpha + change * ((alpha > 0) & (alpha < 255)), 0, 255).astype(np.uint8)


def test_noise_of_the_camera_is_no_movement() -> None:
    scene, alpha = textured(SIZE), soft_disc(SIZE, 50, soft=16)
    steady = Steadied(0.7)
    plain, steadied, last = [], [], None
    for i in range(30):
        fresh = _flicker(alpha, 12.0, i)
        found = steady(fresh, noisy(scene, 2.0, seed=100 + i))
        if last is not None:
            plain.append(np.abs(fresh.astype(int) - last[0]).mean())
            steadied.append(np.abs(found.astype(int) - last[1]).mean())
        last = (fresh.astype(int), found.astype(int))
    assert np.mean(steadied[10:]) < 0.5 * np.mean(plain[10:])


def test_tiny_changes_are_held_to_the_bit() -> None:
    scene, alpha = textured(SIZE), soft_disc(SIZE, 50, soft=16)
    steady = Steadied(0.7)
    first = steady(alpha, scene)
    for i in range(5):
        jitter = np.random.default_rng(i).integers(-2, 3, SIZE)
        assert (steady(np.clip(alpha + jitter, 0, 255).astype(np.uint8), scene) == first).all()


def test_a_moving_subject_does_not_lag() -> None:
    steady = Steadied(0.9)
    scene, subject = textured(SIZE, seed=1), textured(SIZE, seed=2, contrast=80)
    for step in range(8):
        alpha = soft_disc(SIZE, 30, soft=3, centre_xy=(60 + 12 * step, 80))
        share = (alpha / 255.0)[..., None]
        found = steady(alpha, (subject * share + scene * (1 - share)).astype(np.uint8))
        assert np.abs(found.astype(int) - alpha).mean() < 0.35  # of 255: a lagging edge would cost 3


def test_a_change_of_mind_arrives_though_nothing_moves() -> None:
    scene = textured(SIZE)
    steady = Steadied(0.7)
    steady(np.zeros(SIZE, np.uint8), scene)
    full = np.full(SIZE, 255, np.uint8)
    for _ in range(25):
        found = steady(full, scene)
    assert (found >= 252).all()


def test_another_size_and_reset_start_anew() -> None:
    steady = Steadied(0.9)
    steady(np.zeros(SIZE, np.uint8), textured(SIZE))
    other = np.full((64, 96), 200, np.uint8)
    assert (steady(other, textured((64, 96))) == 200).all()
    steady.reset()
    assert (steady(np.full(SIZE, 90, np.uint8), textured(SIZE)) == 90).all()


def test_what_moves_is_steadied_along_its_way() -> None:
    """A camera pans over somebody whose soft edge flickers: the flicker goes, the movement stays."""
    scene = cv2.GaussianBlur(textured((160, 420), seed=2, contrast=90), (0, 0), 1.5)
    steady, plain, steadied, last = Steadied(0.7), [], [], None
    for i in range(20):
        exact = soft_disc(SIZE, 40, soft=16, centre_xy=(60 + 4 * i, 80))
        fresh = _flicker(exact, 25.0, i)
        found = steady(fresh, np.ascontiguousarray(scene[:, 100 - 4 * i : 100 - 4 * i + SIZE[1]]))
        off = fresh.astype(float) - exact, found.astype(float) - exact
        if last is not None:
            plain.append(np.sqrt(np.mean((off[0] - last[0]) ** 2)))
            steadied.append(np.sqrt(np.mean((off[1] - last[1]) ** 2)))
        last = off
    assert np.mean(steadied[5:]) < 0.75 * np.mean(plain[5:])


def test_another_shot_is_taken_as_it_comes() -> None:
    steady = Steadied(0.9)
    for i in range(5):
        steady(soft_disc(SIZE, 50), noisy(textured(SIZE, seed=1, contrast=90), 2.0, seed=i))
    other = soft_disc(SIZE, 30, centre_xy=(200, 40))
    assert (steady(other, textured(SIZE, seed=9, contrast=90)) == other).all()
