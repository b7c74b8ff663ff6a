"""Steadiness: still scenes are still to the bit, changes are followed smoothly and settle in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.compose.smoothing import TransformSmoother, largest_change
from edge_harmony.contract import GRID_SIZE, IDENTITY, TRANSFORM_SHAPE, grid_mask
from edge_harmony.errors import ConfigError
from tests.harmonize.reference import random_transform

EVERYWHERE = np.ones((GRID_SIZE, GRID_SIZE), np.float32)
QUARTER = GRID_SIZE // 4


def offset(code_values: float) -> np.ndarray:
    """A transform that adds the same amount to every colour."""
    transform = IDENTITY.copy()
    transform[0, 3::4] += code_values / 255.0
    return transform


def levels_after_a_step(smoother: TransformSmoother, height: float, frames: int, fps: float = 30.0) -> list[float]:
    """Code values added to every colour, frame after frame, once the network asks for ``height`` more."""
    smoother.update(offset(0), EVERYWHERE)
    return [
        float(smoother.update(offset(height), EVERYWHERE, elapsed_s=1 / fps)[0, 3, 0, 0]) * 255 for _ in range(frames)
    ]


def test_without_smoothing_every_transform_is_taken() -> None:
    smoother = TransformSmoother(smoothing=0.0)
    for seed in range(3):
        transform = random_transform(seed) if seed != 1 else random_transform(0) + np.float32(1e-4)
        assert np.array_equal(smoother.update(transform, EVERYWHERE), transform)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), smoothing=st.sampled_from([0.3, 0.8, 0.95]))
def test_imperceptible_change_moves_no_bit(seed: int, smoothing: float) -> None:
    smoother = TransformSmoother(smoothing=smoothing, dead_band=1.0)
    scene = random_transform(seed, 0.1)
    held = smoother.update(scene, EVERYWHERE)
    rng = np.random.default_rng(seed)
    for _ in range(10):
        # Four coefficients of at most 0.9/4 code values add up to less than the dead-band.
        noise = rng.uniform(-0.225, 0.225, TRANSFORM_SHAPE).astype(np.float32) / 255.0
        assert smoother.update(scene + noise, EVERYWHERE) is held


@pytest.mark.parametrize("fps", [15.0, 24.0, 30.0, 60.0])
@pytest.mark.parametrize("height", [8.0, 40.0, -40.0])
def test_a_step_settles_within_half_a_second_at_any_frame_rate(fps: float, height: float) -> None:
    smoother = TransformSmoother()
    levels = levels_after_a_step(smoother, height, int(fps * 2), fps)
    settled = int(0.5 * fps)  # frames in half a second
    assert abs(levels[settled - 1] - height) <= smoother.dead_band + 0.05 * abs(height)
    assert abs(levels[0]) < 0.35 * abs(height)  # and does not jump
    assert (np.diff(levels) * np.sign(height) >= 0).all()  # nor swing
    assert abs(levels[-1] - height) == pytest.approx(smoother.dead_band, rel=0.06)


def test_settles_and_then_stands_still_to_the_bit() -> None:
    smoother = TransformSmoother(smoothing=0.8, dead_band=1.0)
    levels = levels_after_a_step(smoother, 40.0, 200)
    assert levels[-1] == levels[-50]
    assert 38.9 <= levels[-1] <= 40.0


def test_more_smoothing_is_slower_and_steadier() -> None:
    rng = np.random.default_rng(0)
    noise = [offset(level) for level in rng.normal(0, 10, 60)]
    halfway, restless = [], []
    for smoothing in (0.5, 0.8, 0.95):
        levels = np.array(levels_after_a_step(TransformSmoother(smoothing, 0.0), 40.0, 100))
        halfway.append(int(np.argmax(levels >= 20)))
        smoother = TransformSmoother(smoothing, 0.0)
        track = [float(smoother.update(t, EVERYWHERE)[0, 3, 0, 0]) for t in noise]
        restless.append(float(np.abs(np.diff(track)).mean()))
    assert halfway == sorted(set(halfway))
    assert restless == sorted(restless, reverse=True)
    raw = float(np.abs(np.diff([t[0, 3, 0, 0] for t in noise])).mean())
    assert restless[1] < raw / 8  # twice averaged noise


def test_smoothing_may_be_changed_on_the_way() -> None:
    smoother = TransformSmoother(smoothing=0.95, dead_band=0.0)
    slow = levels_after_a_step(smoother, 40.0, 5)[-1]
    smoother.smoothing = 0.5
    quick = float(smoother.update(offset(40), EVERYWHERE)[0, 3, 0, 0]) * 255
    assert quick - slow > 5.0
    with pytest.raises(ConfigError):
        smoother.smoothing = 1.0


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
    mask = np.zeros_like(EVERYWHERE)
    mask[:, :QUARTER] = 1.0
    first = smoother.update(offset(0), mask)
    after = smoother.update(offset(30), mask)
    assert (after[0, 3, :, :QUARTER] > first[0, 3, :, :QUARTER]).all()
    assert np.array_equal(after[..., QUARTER + 2 :], first[..., QUARTER + 2 :])


def test_cells_that_the_subject_enters_do_not_remember_what_nobody_saw() -> None:
    smoother = TransformSmoother(smoothing=0.9, dead_band=0.5)
    left, right = np.zeros_like(EVERYWHERE), np.zeros_like(EVERYWHERE)
    left[:, :QUARTER] = 1.0
    right[:, QUARTER : 2 * QUARTER] = 1.0
    garbage = offset(0)
    garbage[..., QUARTER + 2 :] += 0.5  # the network's guess for what the subject did not cover
    smoother.update(garbage, left)
    entered = smoother.update(offset(10), right)
    seen = slice(QUARTER + 2, 2 * QUARTER)
    assert largest_change(entered - offset(10))[:, seen].max() <= 0.5 + 1e-3
    assert entered[0, 3, 5, QUARTER] * 255 < 2.0  # covered before (by a neighbour): smoothed


def test_a_matte_that_trembles_moves_nothing() -> None:
    smoother = TransformSmoother()
    rng = np.random.default_rng(0)
    mask = rng.random(EVERYWHERE.shape).astype(np.float32)
    held = smoother.update(random_transform(3, 0.1), mask)
    for _ in range(10):
        trembling = np.clip(mask + rng.normal(0, 0.02, mask.shape), 0, 1).astype(np.float32)
        assert smoother.update(held + rng.normal(0, 1e-4, held.shape).astype(np.float32), trembling) is held


def test_mask_may_be_bytes() -> None:
    results = []
    for mask in (EVERYWHERE * 0.5, np.full(EVERYWHERE.shape, 128, np.uint8)):
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
    maps = change.reshape(3, 4, GRID_SIZE, GRID_SIZE)
    bound = largest_change(change)
    corners = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], np.float32)
    effects = np.einsum("ckhw,nk->nchw", maps[:, :3], np.vstack([corners, rng.random((20, 3))])) + maps[:, 3]
    worst = np.abs(effects).max(axis=(0, 1)) * 255
    assert (worst <= bound + 1e-3).all()
    assert np.allclose(worst, bound, rtol=1e-4)  # and a corner reaches it


def test_grid_mask_is_the_mean_of_each_cell() -> None:
    cell = 512 // GRID_SIZE
    alpha = np.random.default_rng(0).integers(0, 256, (512, 512), np.uint8)
    expected = alpha.reshape(GRID_SIZE, cell, GRID_SIZE, cell).mean(axis=(1, 3)) / 255
    found = grid_mask(alpha)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 0.5 / 255 + 1e-6
    assert grid_mask(np.full((512, 512), 255, np.uint8)).min() == 1.0
