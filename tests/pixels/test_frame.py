"""What counts as a frame and as an alpha."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_harmony.errors import MatteError, SourceError
from edge_harmony.pixels.frame import check_alpha, check_frame

SIZE = (70, 90)


def test_a_frame_passes_as_it_is() -> None:
    frame = np.zeros((*SIZE, 3), np.uint8)
    assert check_frame(frame) is frame
    view = np.zeros((140, 180, 3), np.uint8)[::2, ::2]
    assert check_frame(view) is view


@pytest.mark.parametrize(
    ("thing", "words", "hint"),
    [
        (None, "None", "imread"),
        ([[1, 2]], "a list", "asarray"),
        (np.zeros((0, 90, 3), np.uint8), "empty", "check"),
        (np.zeros(SIZE, np.uint8), "grey", "COLOR_GRAY2BGR"),
        (np.zeros((*SIZE, 1), np.uint8), "grey", "COLOR_GRAY2BGR"),
        (np.zeros((*SIZE, 4), np.uint8), "alpha channel", "COLOR_BGRA2BGR"),
        (np.zeros((*SIZE, 5), np.uint8), "shape", "one frame"),
        (np.zeros((2, *SIZE, 3), np.uint8), "shape", "one frame"),
        (np.zeros((*SIZE, 3), np.uint16), "uint16", "convertScaleAbs"),
        (np.zeros((*SIZE, 3), np.float32), "float32", "convertScaleAbs"),
        (np.zeros((63, 90, 3), np.uint8), "90 x 63", "resize"),
    ],
)
def test_what_is_no_frame_is_refused_with_the_remedy(thing: object, words: str, hint: str) -> None:
    with pytest.raises(SourceError) as caught:
        check_frame(thing, "shot")
    assert "shot" in caught.value.message
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_a_uint8_alpha_is_not_copied() -> None:
    alpha = np.zeros(SIZE, np.uint8)
    assert check_alpha(alpha, SIZE) is alpha
    assert np.shares_memory(check_alpha(alpha[..., None], SIZE), alpha)


@given(st.sampled_from([np.float32, np.float64]), st.integers(0, 255))
def test_float_codes_come_back_exactly(dtype: type, code: int) -> None:
    alpha = np.full(SIZE, code / 255, dtype)
    assert (check_alpha(alpha, SIZE) == code).all()


def test_floats_are_rounded_half_up_and_bools_fill() -> None:
    alpha = np.zeros(SIZE, np.float64)
    alpha[0, :3] = 0.5 / 255, 0.49 / 255, 1.5 / 255
    assert check_alpha(alpha, SIZE)[0, :3].tolist() == [1, 0, 2]
    mask = np.eye(*SIZE, dtype=bool)
    assert (check_alpha(mask, SIZE) == mask * 255).all()


@pytest.mark.parametrize(
    ("alpha", "words", "hint"),
    [
        (None, "None", "imread"),
        (np.zeros((*SIZE, 3), np.uint8), "one channel", "COLOR_BGR2GRAY"),
        (np.zeros((90, 70), np.uint8), "70 x 90", "(90, 70)"),
        (np.zeros(SIZE, np.uint16), "uint16", "257"),
        (np.zeros(SIZE, np.int64), "int64", "astype"),
        (np.full(SIZE, np.nan, np.float32), "NaN", "nan_to_num"),
        (np.full(SIZE, 1.001, np.float32), "1.001", "255"),
        (np.full(SIZE, 200.0, np.float32), "200", "divide"),
        (np.full(SIZE, -0.1, np.float64), "-0.1", "clip"),
        (np.full(SIZE, np.inf, np.float64), "inf", "clip"),
    ],
)
def test_what_is_no_alpha_is_refused_with_the_remedy(alpha: object, words: str, hint: str) -> None:
    with pytest.raises(MatteError) as caught:
        check_alpha(alpha, SIZE, "mask")
    assert "mask" in caught.value.message
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_a_single_nan_is_found() -> None:
    alpha = np.zeros(SIZE, np.float32)
    alpha[40, 50] = np.nan
    with pytest.raises(MatteError, match="NaN"):
        check_alpha(alpha, SIZE)
