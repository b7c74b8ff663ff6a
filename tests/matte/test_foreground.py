"""Straight foreground colour at soft edges, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.matte.foreground import estimate_foreground
from tests.scenes import flat, shot, soft_disc

SIZE = (240, 320)


def _scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    subject = np.stack([40 + x / 4, 60 + y / 4, 200 - x / 6], axis=2).astype(np.uint8)
    background = np.stack([200 - y / 3, 90 + x / 3, 20 + y / 5], axis=2).astype(np.uint8)
    alpha = soft_disc(SIZE, 70, soft=14)
    return subject, alpha, background, shot(subject, alpha, background)


@pytest.mark.parametrize("known", [False, True])
def test_the_background_is_taken_out(known: bool) -> None:
    subject, alpha, background, frame = _scene()
    found = estimate_foreground(frame, alpha, background if known else None)
    soft = (alpha > 25) & (alpha < 255)
    error, before = (np.abs(image.astype(float) - subject)[soft].mean() for image in (found, frame))
    assert error < (0.1 if known else 0.25) * before


def test_only_soft_pixels_change() -> None:
    _, alpha, _, frame = _scene()
    found = estimate_foreground(frame, alpha)
    assert (found[(alpha == 0) | (alpha == 255)] == frame[(alpha == 0) | (alpha == 255)]).all()
    hard = np.where(alpha > 127, 255, 0).astype(np.uint8)
    assert estimate_foreground(frame, hard) is frame


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(0, 2**32 - 1))
def test_a_uniform_picture_has_its_own_colour(colour: tuple[int, int, int], seed: int) -> None:
    alpha = np.random.default_rng(seed).integers(0, 256, SIZE, np.uint8)
    found = estimate_foreground(flat(SIZE, colour), alpha)
    assert np.abs(found.astype(int) - np.array(colour)).max() <= 1


def test_a_subject_at_the_picture_s_corner() -> None:
    _, _, background, _ = _scene()
    subject = flat(SIZE, (40, 80, 200))
    alpha = soft_disc(SIZE, 60, soft=10, centre_xy=(0, 0))
    found = estimate_foreground(shot(subject, alpha, background), alpha, background)
    soft = (alpha > 60) & (alpha < 255)
    assert np.abs(found.astype(int) - subject)[soft].max() < 12
