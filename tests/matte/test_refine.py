"""Levels, growing, feathering, and the guided filter, each against its definition."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.errors import ConfigError
from edge_harmony.matte.refine import Refinement, feather, grow, guided_alpha, levels
from edge_harmony.pixels.over import over
from tests.scenes import flat, soft_disc

SIZE = (120, 160)


def test_the_default_changes_nothing() -> None:
    alpha = soft_disc(SIZE, 40)
    assert Refinement().apply(alpha, flat(SIZE, (1, 2, 3))) is alpha


def test_levels() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(2, 0)
    out = levels(ramp, 0.2, 0.8)[0].astype(int)
    assert (out[:52] == 0).all()
    assert (out[204:] == 255).all()
    assert (np.diff(out) >= 0).all()
    assert abs(out[128] - 128) <= 1
    assert (levels(ramp, 0.0, 1.0) == ramp).all()
    assert levels(ramp, 0.0, 1.0, 2.0)[0, 128] == 64


@settings(max_examples=20, deadline=None)
@given(st.floats(-6, 6).filter(lambda v: v != 0))
def test_growing_moves_the_edge_by_pixels(pixels: float) -> None:
    alpha = soft_disc((160, 160), 40, soft=1.0)
    area = grow(alpha, pixels).astype(np.float64).sum() / 255
    assert np.sqrt(area / np.pi) - 40 == pytest.approx(pixels, abs=0.75)


def test_growing_is_monotonic_and_keeps_solid_and_empty() -> None:
    alpha = soft_disc(SIZE, 40)
    assert (grow(alpha, 2.5) >= alpha).all()
    assert (grow(alpha, -2.5) <= alpha).all()
    for value in (0, 255):
        whole = np.full(SIZE, value, np.uint8)
        assert (grow(whole, 3) == whole).all()
        assert (grow(whole, -3) == whole).all()


def test_feathering_keeps_the_area() -> None:
    alpha = soft_disc(SIZE, 40, soft=1.0)
    soft = feather(alpha, 4.0)
    assert soft.mean() == pytest.approx(alpha.mean(), rel=0.01)
    assert ((soft > 20) & (soft < 235)).sum() > 3 * ((alpha > 20) & (alpha < 235)).sum()


@pytest.mark.parametrize("scale", [1, 4])
def test_the_guided_filter_finds_the_picture_s_edge(scale: int) -> None:
    truth = soft_disc((480, 640), 150, soft=3.0)
    frame = over(flat(truth.shape, (60, 90, 160)), truth, flat(truth.shape, (180, 140, 60)))
    blurred = cv2.GaussianBlur(truth, (0, 0), 5)
    coarse = cv2.resize(blurred, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    plain = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_LINEAR)
    snapped = guided_alpha(coarse, frame, radius=12)
    assert snapped.shape == truth.shape
    error, before = (np.sqrt(((a.astype(float) - truth) ** 2).mean()) for a in (snapped, plain))
    assert error < 0.2 * before


def test_the_guided_filter_leaves_flats_and_all_or_nothing_alone() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    for value in (0, 255):
        whole = np.full(SIZE, value, np.uint8)
        assert (guided_alpha(whole, frame) == value).all()
    far = guided_alpha(soft_disc(SIZE, 20, soft=2), frame, radius=4)
    assert (far[:, :30] == 0).all()
    assert far[60, 80] == 255


@pytest.mark.parametrize(
    "settings", [{"black": 0.6, "white": 0.5}, {"gamma": 0.0}, {"snap": -1}, {"feather": -0.1}, {"white": 1.2}]
)
def test_impossible_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        Refinement(**settings)
