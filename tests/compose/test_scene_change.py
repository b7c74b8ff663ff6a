"""Still scenes, motion and cuts told apart."""

from __future__ import annotations

import numpy as np
import pytest

from edge_harmony.compose.scene_change import Change, SceneDetector
from edge_harmony.contract import READ_SIZE
from edge_harmony.errors import ConfigError
from tests.scenes import noisy

NOBODY = np.zeros((READ_SIZE, READ_SIZE), np.uint8)


def scene(seed: int) -> np.ndarray:
    """A picture of large patches of colour, as scenes are at 32 x 32 pixels."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.kron(patches, np.ones((READ_SIZE // 8, READ_SIZE // 8, 1), np.uint8))


def test_detector_tells_cuts_from_motion_and_noise() -> None:
    detector = SceneDetector()
    still = scene(1)
    noise = np.random.default_rng(0).normal(0, 12, (5, *still.shape))
    assert detector.update(still, NOBODY) is not Change.CUT
    for grain in noise:
        assert detector.update(np.clip(still + grain, 0, 255).astype(np.uint8), NOBODY) is not Change.CUT
    for shift in (4, 8, 12):  # a pan of 4 pixels a frame
        assert detector.update(np.roll(still, shift, axis=1), NOBODY) is not Change.CUT
    assert detector.update(scene(2), NOBODY) is Change.CUT
    assert detector.update(scene(2), NOBODY) is not Change.CUT
    detector.reset()
    assert detector.update(scene(3), NOBODY) is not Change.CUT


def test_detector_sees_a_new_background_behind_a_large_subject() -> None:
    detector = SceneDetector()
    alpha = np.zeros((READ_SIZE, READ_SIZE), np.uint8)
    alpha[:, 64:448] = 255  # three quarters of the view
    subject = np.full((READ_SIZE, READ_SIZE, 3), 120, np.uint8)
    views = [np.where(alpha[..., None] > 0, subject, np.full_like(subject, level)) for level in (20, 75)]
    assert np.abs(views[0].astype(int) - views[1]).mean() < 24  # the whole view alone would not tell
    assert detector.update(views[0], alpha) is not Change.CUT
    assert detector.update(views[1], alpha) is Change.CUT


def test_detector_ignores_a_moving_subject() -> None:
    detector = SceneDetector()
    background = np.full((READ_SIZE, READ_SIZE, 3), 40, np.uint8)
    for left in range(0, 200, 20):
        alpha = np.zeros((READ_SIZE, READ_SIZE), np.uint8)
        alpha[100:400, left : left + 250] = 255
        view = np.where(alpha[..., None] > 0, np.uint8(220), background)
        assert detector.update(view, alpha) is not Change.CUT


def test_noise_alone_is_still() -> None:
    detector = SceneDetector()
    view = np.clip(scene(1), 40, 210)
    detector.update(noisy(view, 5, 0), NOBODY)
    for seed in range(1, 8):
        assert detector.update(noisy(view, 5, seed), NOBODY) is Change.STILL


def test_slow_changes_add_up() -> None:
    detector = SceneDetector()
    seen = [detector.update(np.full((READ_SIZE, READ_SIZE, 3), 60 + i, np.uint8), NOBODY) for i in range(13)]
    assert seen[1:] == [Change.STILL, Change.STILL, Change.MOVING] * 4


def test_a_small_motion_is_not_still() -> None:
    detector = SceneDetector()
    view = np.full((READ_SIZE, READ_SIZE, 3), 90, np.uint8)
    detector.update(view, NOBODY)
    view = view.copy()
    view[200:212, 300:312] = 120  # a corner of the mouth
    assert detector.update(view, NOBODY) is Change.MOVING
    alpha = NOBODY.copy()
    alpha[100:110, 100:110] = 60  # of the matte alone
    assert detector.update(view, alpha) is Change.MOVING


def test_two_dark_pictures_are_two_scenes() -> None:
    pictures = [(scene(seed) * 0.15).astype(np.uint8) for seed in (1, 2)]
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() < 20
    detector = SceneDetector()
    assert detector.update(pictures[0], NOBODY) is Change.MOVING
    assert detector.update(np.clip(pictures[0] + 8, 0, 255).astype(np.uint8), NOBODY) is Change.MOVING  # a light
    assert detector.update(pictures[1], NOBODY) is Change.CUT


def test_refuses_a_threshold_that_makes_no_sense() -> None:
    with pytest.raises(ConfigError):
        SceneDetector(cut_threshold=0.0)
