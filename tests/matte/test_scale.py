"""Reading down by halves against the mean itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.matte.scale import shrink_by, shrink_to
from tests.scenes import textured


@settings(max_examples=30, deadline=None)
@given(st.integers(16, 300), st.integers(16, 300), st.integers(1, 9), st.integers(0, 255))
def test_a_uniform_picture_stays_so(height: int, width: int, factor: int, code: int) -> None:
    small = shrink_by(np.full((height, width, 3), code, np.uint8), factor)
    assert small.shape == (-(-height // factor), -(-width // factor), 3)
    assert (small == code).all()


@pytest.mark.parametrize("size", [(480, 270), (256, 160), (97, 55)])
def test_it_is_nearly_the_mean(size: tuple[int, int]) -> None:
    picture = textured((1080, 1920), blur=4.0)
    expected = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    difference = np.abs(shrink_to(picture, size).astype(int) - expected)
    halves_alone = 1080 % size[1] == 0
    assert difference.mean() < (0.5 if halves_alone else 2.5)
    assert difference.max() <= (1 if halves_alone else 16)


def test_its_own_size_is_the_picture_itself() -> None:
    picture = textured((40, 60))
    assert shrink_by(picture, 1) is picture
