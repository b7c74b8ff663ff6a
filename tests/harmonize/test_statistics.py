"""The model-free baseline: statistics really match, nothing outside the mask moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.errors import MatteError, SourceError
from edge_harmony.harmonize.statistics import reinhard


def moderate_noise(height: int, width: int, low: int, high: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (height, width, 3), np.uint8)


def lab_statistics(bgr: np.ndarray, where: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(bgr.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)[where]
    return np.array([lab.mean(axis=0), lab.std(axis=0)])


def test_subject_takes_on_the_background_statistics() -> None:
    composite = moderate_noise(200, 240, 90, 160)
    alpha = np.zeros((200, 240), np.uint8)
    alpha[50:150, 60:180] = 255
    composite[alpha > 0] = composite[alpha > 0] // 2 + [70, 10, 0]
    before = np.abs(np.subtract(*(lab_statistics(composite, alpha == v) for v in (0, 255))))
    result = reinhard(composite, alpha)
    after = np.abs(np.subtract(*(lab_statistics(result, alpha == v) for v in (0, 255))))
    assert before.max() > 15
    assert after.max() < 0.5
    assert np.array_equal(result[alpha == 0], composite[alpha == 0])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(64, 120), width=st.integers(64, 120))
def test_background_is_untouched(seed: int, height: int, width: int) -> None:
    composite = moderate_noise(height, width, 0, 256, seed)
    alpha = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    alpha[: height // 2] = 0
    result = reinhard(composite, alpha)
    assert np.array_equal(result[alpha == 0], composite[alpha == 0])


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_to_compare_with(value: int) -> None:
    composite = moderate_noise(64, 64, 0, 256)
    result = reinhard(composite, np.full((64, 64), value, np.uint8))
    assert np.array_equal(result, composite)
    assert result is not composite


def test_flat_subject_moves_to_the_mean() -> None:
    composite = np.full((100, 100, 3), (60, 120, 180), np.uint8)
    alpha = np.zeros((100, 100), bool)
    alpha[30:60, 30:60] = True
    composite[alpha] = (10, 20, 30)
    assert np.abs(reinhard(composite, alpha).astype(int) - (60, 120, 180)).max() <= 1


def test_refuses_bad_input() -> None:
    composite = moderate_noise(64, 64, 0, 256)
    with pytest.raises(SourceError):
        reinhard(composite[..., 0], np.zeros((64, 64), np.uint8))
    with pytest.raises(MatteError):
        reinhard(composite, np.full((64, 64), np.nan, np.float32))
