"""Colours that settle what a matting network doubts."""

from __future__ import annotations

import numpy as np
import pytest

from edge_harmony.errors import ConfigError
from edge_harmony.matte.appearance import Appearance
from edge_harmony.matte.person import PersonMatte

ORANGE, GREY = (40, 120, 240), (150, 150, 150)  # BGR
BODY, ARM, GAP = np.s_[30:90, 60:100], np.s_[40:50, 20:60], np.s_[60:80, 100:106]


def scene() -> tuple[np.ndarray, np.ndarray]:
    """An orange body with an arm before grey, with noise; the alpha of a network that is sure of the body alone."""
    picture = np.full((96, 160, 3), GREY, np.uint8)
    picture[BODY] = picture[ARM] = ORANGE
    noise = np.random.default_rng(0).integers(-8, 9, picture.shape)
    alpha = np.full((96, 160), 3, np.uint8)
    alpha[BODY] = 250
    return np.clip(picture + noise, 0, 255).astype(np.uint8), alpha


def test_a_lost_arm_comes_back_and_background_beside_the_body_goes() -> None:
    picture, alpha = scene()
    alpha[ARM], alpha[GAP] = 40, 190
    corrected = Appearance()(alpha, picture)
    assert corrected.dtype == np.uint8
    assert corrected.shape == alpha.shape
    assert np.median(corrected[ARM]) > 200
    assert np.median(corrected[GAP]) < 95  # half of what it was
    assert (corrected[BODY] > 230).all()
    assert corrected[:20].max() < 20


def test_what_was_seen_before_counts() -> None:
    picture, alpha = scene()
    seen = Appearance()
    for _ in range(3):
        seen(alpha, picture)
    alpha[ARM] = 40
    alpha[BODY] = 60  # the network has all but lost the subject
    assert np.median(seen(alpha, picture)[ARM]) > np.median(Appearance()(alpha, picture)[ARM]) + 50
    seen.reset()
    assert np.array_equal(seen(alpha, picture), Appearance()(alpha, picture))


def test_a_sure_network_is_not_overruled() -> None:
    picture, alpha = scene()
    picture[30:60, 60:100] = GREY  # a shirt of the background's colour
    corrected = Appearance()(alpha, picture)
    assert corrected[32:58, 62:98].min() > 160


def test_no_subject_is_made_of_faint_stains() -> None:
    picture, alpha = scene()
    alpha[:] = np.random.default_rng(1).integers(0, 6, alpha.shape)
    alpha[ARM] = 30
    appearance = Appearance()
    for _ in range(20):
        corrected = appearance(alpha, picture)
    assert corrected[ARM].max() < 110
    assert corrected[:20].max() < 20


def test_a_still_picture_keeps_its_alpha() -> None:
    picture, alpha = scene()
    appearance = Appearance()
    shown = [appearance(alpha, picture).astype(int) for _ in range(5)]
    assert np.abs(shown[-1] - shown[0]).max() <= 1


def test_all_subject_and_no_subject_are_no_trouble() -> None:
    picture, _ = scene()
    for value in (0, 255):
        alpha = np.full((96, 160), value, np.uint8)
        corrected = Appearance()(alpha, picture).astype(int)
        assert np.abs(corrected - value).max() <= 2


def test_the_amount_is_checked() -> None:
    with pytest.raises(ConfigError, match="appearance"):
        PersonMatte(appearance=3.0)
