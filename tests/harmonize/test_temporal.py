"""Steadiness: still scenes are still to the bit, cuts are followed at once, changes are followed smoothly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.contract import IDENTITY, READ_SIZE, TRANSFORM_SHAPE
from edge_harmony.errors import ConfigError
from edge_harmony.harmonize.temporal import SceneCutDetector, TransformSmoother, grid_mask, largest_change
from tests.harmonize.reference import random_transform

EVERYWHERE = np.ones((64, 64), np.float32)


def offset(code_values: float) -> np.ndarray:
    """A transform that adds the same amount to every colour."""
    transform = IDENTITY.copy()
    transform[0, 3::4] += code_values / 255.0
    return transform


def test_follows_the_contract_formula() -> None:
    smoother = TransformSmoother(smoothing=0.75, dead_band=0.0)
    first, second = random_transform(1), random_transform(2)
    assert np.array_equal(smoother.update(first, EVERYWHERE), first)
    assert np.allclose(smoother.update(second, EVERYWHERE), first + 0.25 * (second - first), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), smoothing=st.sampled_from([0.0, 0.5, 0.9]))
def test_imperceptible_change_moves_no_bit(seed: int, smoothing: float) -> None:
    smoother = TransformSmoother(smoothing=smoothing, dead_band=1.0)
    scene = random_transform(seed, 0.1)
    held = smoother.update(scene, EVERYWHERE)
    rng = np.random.default_rng(seed)
    for _ in range(10):
        # Four coefficients of at most 0.9/4 code values add up to less than the dead-band.
        noise = rng.uniform(-0.225, 0.225, TRANSFORM_SHAPE).astype(np.float32) / 255.0
        assert smoother.update(scene + noise, EVERYWHERE) is held


def test_settles_on_a_new_level_and_then_stands_still() -> None:
    smoother = TransformSmoother(smoothing=0.8, dead_band=1.0)
    smoother.update(offset(0), EVERYWHERE)
    levels = [float(smoother.update(offset(40), EVERYWHERE)[0, 3, 0, 0]) * 255 for _ in range(40)]
    assert levels[0] == pytest.approx(8.0, abs=0.01)
    assert levels == sorted(levels)
    assert 39.0 <= levels[-1] <= 40.0
    assert levels[-1] == levels[-2]


def test_only_cells_that_change_move() -> None:
    smoother = TransformSmoother(smoothing=0.5, dead_band=1.0)
    before = smoother.update(offset(0), EVERYWHERE).copy()
    changed = offset(0)
    changed[0, 3, 10, 20] += 10 / 255
    after = smoother.update(changed, EVERYWHERE)
    moved = np.argwhere(after[0] != before[0])
    assert moved.tolist() == [[3, 10, 20]]


def test_cells_without_subject_are_held() -> None:
    smoother = TransformSmoother(smoothing=0.5, dead_band=1.0)
    mask = np.zeros((64, 64), np.float32)
    mask[:, :20] = 1.0
    first = smoother.update(offset(0), mask)
    after = smoother.update(offset(30), mask)
    assert (after[0, 3, :, :20] > first[0, 3, :, :20]).all()
    assert np.array_equal(after[..., 22:], first[..., 22:])


def test_cells_that_the_subject_enters_do_not_remember_what_nobody_saw() -> None:
    smoother = TransformSmoother(smoothing=0.9, dead_band=1.0)
    left, right = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.float32)
    left[:, :20] = 1.0
    right[:, 20:40] = 1.0
    garbage = offset(0)
    garbage[..., 22:] += 0.5  # the network's guess for what the subject did not cover
    smoother.update(garbage, left)
    entered = smoother.update(offset(10), right)
    assert np.allclose(entered[..., 22:39], offset(10)[..., 22:39], atol=1e-6)
    assert entered[0, 3, 5, 20] == pytest.approx(1 / 255, abs=1e-5)  # covered before (by a neighbour): smoothed


def test_mask_may_be_bytes() -> None:
    results = []
    for mask in (EVERYWHERE * 0.5, np.full((64, 64), 128, np.uint8)):
        smoother = TransformSmoother(0.8, 1.0)
        smoother.update(offset(0), mask)
        results.append(smoother.update(offset(20), mask))
    assert np.allclose(results[0], results[1], atol=1e-3)


def test_cut_and_reset_take_the_next_transform_as_it_is() -> None:
    smoother = TransformSmoother(smoothing=0.9)
    smoother.update(offset(0), EVERYWHERE)
    assert np.array_equal(smoother.update(offset(50), EVERYWHERE, cut=True), offset(50))
    smoother.reset()
    assert np.array_equal(smoother.update(offset(-50), EVERYWHERE), offset(-50))


def test_results_belong_to_no_one_else() -> None:
    smoother = TransformSmoother(smoothing=0.5)
    first = offset(0)
    held = smoother.update(first, EVERYWHERE)
    first += 1.0
    assert np.array_equal(held, offset(0))
    copy = held.copy()
    smoother.update(offset(60), EVERYWHERE)
    assert np.array_equal(held, copy)
    assert not held.flags.writeable


@pytest.mark.parametrize(("smoothing", "dead_band"), [(-0.1, 1), (1.0, 1), (0.5, -1), (float("nan"), 1)])
def test_refuses_settings_out_of_range(smoothing: float, dead_band: float) -> None:
    with pytest.raises(ConfigError):
        TransformSmoother(smoothing, dead_band)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_largest_change_bounds_every_colour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    change = rng.normal(0, 0.1, TRANSFORM_SHAPE).astype(np.float32)
    maps = change.reshape(3, 4, 64, 64)
    bound = largest_change(change)
    corners = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], np.float32)
    effects = np.einsum("ckhw,nk->nchw", maps[:, :3], np.vstack([corners, rng.random((20, 3))])) + maps[:, 3]
    worst = np.abs(effects).max(axis=(0, 1)) * 255
    assert (worst <= bound + 1e-3).all()
    assert np.allclose(worst, bound, rtol=1e-4)  # and a corner reaches it


def scene(seed: int) -> np.ndarray:
    """A picture of large patches of colour, as scenes are at 32 x 32 pixels."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.kron(patches, np.ones((READ_SIZE // 8, READ_SIZE // 8, 1), np.uint8))


def test_cut_detector_tells_cuts_from_motion_and_noise() -> None:
    detector = SceneCutDetector()
    nobody = np.zeros((READ_SIZE, READ_SIZE), np.uint8)
    still = scene(1)
    noise = np.random.default_rng(0).normal(0, 12, (5, *still.shape))
    assert not detector.update(still, nobody)
    for grain in noise:
        assert not detector.update(np.clip(still + grain, 0, 255).astype(np.uint8), nobody)
    for shift in (4, 8, 12):  # a pan of 4 pixels a frame
        assert not detector.update(np.roll(still, shift, axis=1), nobody)
    assert detector.update(scene(2), nobody)
    assert not detector.update(scene(2), nobody)
    detector.reset()
    assert not detector.update(scene(3), nobody)


def test_cut_detector_sees_a_new_background_behind_a_large_subject() -> None:
    detector = SceneCutDetector()
    alpha = np.zeros((READ_SIZE, READ_SIZE), np.uint8)
    alpha[:, 64:448] = 255  # three quarters of the view
    subject = np.full((READ_SIZE, READ_SIZE, 3), 120, np.uint8)
    views = [np.where(alpha[..., None] > 0, subject, np.full_like(subject, level)) for level in (20, 75)]
    assert np.abs(views[0].astype(int) - views[1]).mean() < 24  # the whole view alone would not tell
    assert not detector.update(views[0], alpha)
    assert detector.update(views[1], alpha)


def test_cut_detector_ignores_a_moving_subject() -> None:
    detector = SceneCutDetector()
    background = np.full((READ_SIZE, READ_SIZE, 3), 40, np.uint8)
    for left in range(0, 200, 20):
        alpha = np.zeros((READ_SIZE, READ_SIZE), np.uint8)
        alpha[100:400, left : left + 250] = 255
        view = np.where(alpha[..., None] > 0, np.uint8(220), background)
        assert not detector.update(view, alpha)


def test_grid_mask_is_the_mean_of_each_cell() -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (512, 512), np.uint8)
    expected = alpha.reshape(64, 8, 64, 8).mean(axis=(1, 3)) / 255
    found = grid_mask(alpha)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 0.5 / 255 + 1e-6
    assert grid_mask(np.full((512, 512), 255, np.uint8)).min() == 1.0
