"""Disturbances: within range, deterministic, and doing what their sources say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import augment

ALL = [*augment.PHOTOGRAPHIC, *augment.TRANSFERS]


def photo(seed: int, low: float = 0.1, high: float = 0.9) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(low, high, (6, 7, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (56, 48), interpolation=cv2.INTER_CUBIC), low, high)


def pixels(seed: int, n: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.2, 0.6, 3) + rng.normal(0, 0.08, (n, 3)) @ rng.normal(0, 0.6, (3, 3))).astype(np.float32)


def run(method, image: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if method in augment.TRANSFERS:
        return method(image, augment.region_pixels(image, np.ones(image.shape[:2], bool), rng), pixels(seed), rng)
    return method(image, rng)


@pytest.mark.parametrize("method", ALL, ids=lambda m: m.__name__)
@pytest.mark.parametrize(
    "image",
    [
        photo(1),
        np.zeros((16, 16, 3), np.float32),
        np.ones((16, 16, 3), np.float32),
        np.full((16, 16, 3), 0.5, np.float32),
    ],
    ids=["photo", "black", "white", "grey"],
)
def test_each_disturbance_is_finite_and_of_one_kind(method, image: np.ndarray) -> None:
    for seed in range(8):
        before = image.copy()
        out = run(method, image, seed)
        assert out.shape == image.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        np.testing.assert_array_equal(image, before)  # the input is left as it is


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), amount=st.floats(0.1, 1.2))
def test_chains_stay_in_range_and_depend_on_the_seed_alone(seed: int, amount: float) -> None:
    image = photo(seed % 1000)
    one = augment.photographic(image, np.random.default_rng(seed), amount)
    two = augment.photographic(image, np.random.default_rng(seed), amount)
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() <= 1
    assert not np.array_equal(one, image)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31))
def test_transfers_stay_in_range_and_depend_on_the_seed_alone(seed: int) -> None:
    image = photo(seed % 1000)
    source = augment.region_pixels(image, np.ones(image.shape[:2], bool), np.random.default_rng(seed))
    one, two = (augment.transfer(image, source, pixels(seed), np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.min() >= 0
    assert one.max() <= 1


def test_transfer_from_or_to_next_to_nothing_changes_nothing() -> None:
    image, rng = photo(0), np.random.default_rng(0)
    assert augment.transfer(image, image.reshape(-1, 3)[:3], pixels(1), rng) is image
    assert augment.transfer(image, image.reshape(-1, 3), pixels(1, 3), rng) is image


def test_reinhard_gives_the_references_lab_statistics() -> None:
    image, reference, rng = photo(3, 0.35, 0.65), pixels(4), np.random.default_rng(0)
    reference = np.clip(reference, 0.3, 0.7)
    out = augment.transfer_reinhard(image, image.reshape(-1, 3), reference, rng)
    moved = cv2.cvtColor(out, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    wanted = cv2.cvtColor(reference[None], cv2.COLOR_RGB2LAB)[0]
    np.testing.assert_allclose(moved.mean(0), wanted.mean(0), atol=0.5)
    np.testing.assert_allclose(moved.std(0), wanted.std(0), rtol=0.05)


def test_mkl_gives_the_references_mean_and_covariance() -> None:
    image, reference = photo(5), pixels(6)
    out = augment.transfer_mkl(image, image.reshape(-1, 3), reference, np.random.default_rng(0)).reshape(-1, 3)
    np.testing.assert_allclose(out.mean(0), reference.mean(0), atol=1e-3)
    np.testing.assert_allclose(np.cov(out.T), np.cov(reference.T), atol=2e-3)


def test_idt_gives_the_references_distribution() -> None:
    """No direction tells the two apart better than a little: largest distance of quantiles over random axes."""
    image, reference = photo(7), pixels(8)
    out = augment.transfer_idt(image, image.reshape(-1, 3), reference, np.random.default_rng(1), 12).reshape(-1, 3)
    axes = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    at = np.linspace(0.05, 0.95, 19)
    before = np.abs(np.quantile(image.reshape(-1, 3) @ axes, at, 0) - np.quantile(reference @ axes, at, 0)).max()
    after = np.abs(np.quantile(out @ axes, at, 0) - np.quantile(reference @ axes, at, 0)).max()
    assert after < 0.25 * before


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_quantile_matching_is_monotone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, reference = rng.normal(0.4, 0.1, 500), rng.normal(0.6, 0.2, 500)
    out = augment.match_quantiles(np.linspace(-0.2, 1.2, 200), source, reference)
    assert (np.diff(out) >= -1e-6).all()


@pytest.mark.parametrize("seed", range(12))
def test_imperfect_masks_stay_masks(seed: int) -> None:
    mask = np.zeros((96, 96), np.float32)
    cv2.circle(mask, (48, 48), 25, 1.0, -1)
    before = mask.copy()
    out = augment.imperfect_mask(mask, np.random.default_rng(seed))
    np.testing.assert_array_equal(mask, before)
    assert out.shape == mask.shape
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 1
    overlap = np.minimum(out, mask).sum() / np.maximum(out, mask).sum()
    assert 0.5 < overlap < 1.0 or np.array_equal(out, mask)


@pytest.mark.parametrize("seed", range(4))
def test_clean_cuts_leave_no_sliver_and_touch_nothing_else(seed: int) -> None:
    image = np.random.default_rng(seed).random((128, 128, 3), np.float32)
    mask = np.zeros((128, 128), np.float32)
    mask[40:90, 30:80] = 1.0
    image[mask > 0] *= 0.2  # a dark subject
    cut, alpha = augment.clean_cut(image, mask, np.random.default_rng(seed))
    again, _ = augment.clean_cut(image, mask, np.random.default_rng(seed))
    assert np.array_equal(cut, again)
    assert cut.dtype == alpha.dtype == np.float32
    for values in (cut, alpha):
        assert values.min() >= 0.0
        assert values.max() <= 1.0
    np.testing.assert_allclose(cut[alpha == 1.0], image[alpha == 1.0], atol=1e-6)  # the subject
    far = cv2.dilate(mask, np.ones((25, 25))) == 0
    np.testing.assert_allclose(cut[far], image[far], atol=1e-6)
    rim = (mask > 0) & (alpha < 0.01)  # of the subject, now something else
    assert rim.any()
    assert cut[rim].mean() > 2.0 * image[rim].mean()


def test_next_to_nothing_cannot_be_cut_out() -> None:
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    for mask in (np.zeros((64, 64), np.float32), np.ones((64, 64), np.float32)):
        cut, alpha = augment.clean_cut(image, mask, np.random.default_rng(0))
        assert cut is image
        assert alpha is mask


def test_degraded_foregrounds_stay_close() -> None:
    image = photo(9)
    for seed in range(6):
        out = augment.degrade(image, np.random.default_rng(seed))
        assert out.dtype == np.float32
        assert 0 <= out.min() <= out.max() <= 1
        assert 0 < np.abs(out - image).mean() < 0.05


def test_region_pixels_are_of_the_region_and_bounded() -> None:
    image = np.zeros((200, 100, 3), np.float32)
    image[:, 50:] = 1.0
    region = np.zeros((200, 100), bool)
    region[:, 50:] = True
    drawn = augment.region_pixels(image, region, np.random.default_rng(0))
    assert drawn.shape == (augment.SAMPLE, 3)
    assert (drawn == 1).all()
    assert len(augment.region_pixels(image, np.zeros_like(region), np.random.default_rng(0))) == 0
