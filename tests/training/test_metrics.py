"""Figures of merit against published values, another implementation, and cases worked out by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from training import metrics
from training.data import read_mask, read_rgb
from training.ihdata import Composites

# The test data of Sharma, Wu & Dalal (2005), table 1: two CIELAB colours and their CIEDE2000.
SHARMA = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)


def noise(seed: int, shape: tuple[int, ...] = (40, 50, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_ciede2000_gives_the_published_values() -> None:
    got = metrics.ciede2000(SHARMA[:, :3], SHARMA[:, 3:6])
    np.testing.assert_allclose(got, SHARMA[:, 6], atol=5e-5)
    np.testing.assert_allclose(metrics.ciede2000(SHARMA[:, 3:6], SHARMA[:, :3]), SHARMA[:, 6], atol=5e-5)


def test_lab_of_known_colours() -> None:
    rgb = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [119, 119, 119]], np.uint8)
    known = [
        [0, 0, 0],
        [100, 0, 0],
        [53.24, 80.09, 67.20],
        [87.73, -86.18, 83.18],
        [32.30, 79.19, -107.86],
        [50.03, 0, 0],
    ]
    np.testing.assert_allclose(metrics.lab(rgb), known, atol=0.02)


def test_mse_and_fmse_by_hand() -> None:
    truth = np.full((10, 20, 3), 100, np.uint8)
    picture, mask = truth.copy(), np.zeros((10, 20), np.uint8)
    mask[:5, :8], mask[9, 19] = 255, 127  # 40 pixels of 200; 127 is not foreground
    picture[:5, :8] = 90, 100, 120  # squared errors 100, 0, 400
    mse, fmse = metrics.squared_errors(picture, truth, mask)
    assert fmse == pytest.approx(500 / 3)
    assert mse == pytest.approx(500 / 3 * 40 / 200)
    assert metrics.psnr(mse) == pytest.approx(10 * math.log10(255**2 / mse))


def test_errors_do_not_wrap_around_at_8_bits() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert metrics.squared_errors(black, white, np.full((4, 4), 255, np.uint8)) == (65025.0, 65025.0)
    assert metrics.psnr(65025.0) == 0.0


def test_identical_pictures_have_the_capped_psnr() -> None:
    picture = noise(0)
    figures, differences = metrics.measure(picture, picture, np.full((40, 50), 255, np.uint8))
    assert figures == (metrics.PSNR_CAP, 0.0, 0.0, pytest.approx(1.0), 0.0)
    assert differences.shape == (2000,)
    assert metrics.psnr(1e-12) == metrics.PSNR_CAP


def test_empty_mask_has_no_foreground_figures() -> None:
    figures, differences = metrics.measure(noise(1), noise(2), np.zeros((40, 50), np.uint8))
    assert math.isnan(figures.fmse)
    assert math.isnan(figures.de2000)
    assert differences.size == 0
    assert figures.mse > 0


@pytest.mark.parametrize("amount", [3, 40])
def test_ssim_agrees_with_scikit_image(amount: int) -> None:
    truth = cv2.GaussianBlur(noise(3, (61, 83, 3)), (0, 0), 3)
    change = np.random.default_rng(4).integers(-amount, amount + 1, truth.shape)
    picture = np.clip(truth.astype(int) + change, 0, 255).astype(np.uint8)
    known = structural_similarity(
        picture, truth, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    assert metrics.ssim(picture, truth) == pytest.approx(known, abs=1e-9)


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        (np.zeros((40, 50, 3), np.float32), np.zeros((40, 50), np.uint8)),
        (np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)),
        (np.zeros((41, 50, 3), np.uint8), np.zeros((40, 50), np.uint8)),
        (np.zeros((40, 50, 3), np.uint8), np.zeros((50, 40), np.uint8)),
    ],
    ids=["float", "grey", "size", "mask size"],
)
def test_wrong_arrays_are_refused(picture: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be uint8|sizes differ"):
        metrics.squared_errors(picture, np.zeros((40, 50, 3), np.uint8), mask)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), share=st.floats(0.05, 1.0))
def test_mse_is_fmse_times_share_when_only_the_foreground_differs(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    truth, other = rng.integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    mask = np.zeros((16, 24), np.uint8)
    mask.flat[: max(1, int(share * mask.size))] = 255
    picture = np.where(mask[..., None] > 127, other, truth)
    mse, fmse = metrics.squared_errors(picture, truth, mask)
    assert mse == pytest.approx(fmse * (mask > 127).mean())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_colour_difference_is_symmetric_and_finite(seed: int) -> None:
    one, two = np.random.default_rng(seed).integers(0, 256, (2, 200, 3), dtype=np.uint8)
    one[:5] = two[:5] = np.arange(5, dtype=np.uint8)[:, None]  # near-black greys, where hue is undefined
    one, two = metrics.lab(one), metrics.lab(two)
    there, back = metrics.ciede2000(one, two), metrics.ciede2000(two, one)
    np.testing.assert_allclose(there, back, atol=1e-9)
    assert np.isfinite(there).all()
    assert (there >= 0).all()
    assert (there[:5] == 0).all()


def test_untouched_composites_of_the_benchmark_have_its_published_figures(shared_dir) -> None:
    rows = []
    for item in Composites(shared_dir / "photos" / "val", "val.txt"):
        picture, truth = read_rgb(item.composite), read_rgb(item.real)
        mse, fmse = metrics.squared_errors(picture, truth, read_mask(item.mask))
        rows.append((metrics.psnr(mse), mse, fmse))
    psnr, mse, fmse = np.mean(rows, 0)
    assert psnr == pytest.approx(25.29, abs=0.005)
    assert mse == pytest.approx(381.6, abs=0.05)
    assert fmse == pytest.approx(2236, abs=0.5)
