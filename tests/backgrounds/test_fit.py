"""Backgrounds brought to the frame's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.backgrounds.fit import FIT_MODES, fit, solid
from edge_harmony.errors import ConfigError
from edge_harmony.pixels.colour import parse_colour


def _halves(height: int, width: int) -> np.ndarray:
    """Left half blue, right half red."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 255
    image[:, width // 2 :, 2] = 255
    return image


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(FIT_MODES),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(64, 120), st.integers(64, 120)),
)
def test_every_mode_gives_the_frame_size(mode: str, source: tuple[int, int], size_hw: tuple[int, int]) -> None:
    fitted = fit(np.full((*source, 3), 90, np.uint8), size_hw, mode)
    assert fitted.shape == (*size_hw, 3)
    assert fitted.flags.c_contiguous
    if mode != "contain":
        assert (fitted == 90).all()


@pytest.mark.parametrize("mode", FIT_MODES)
def test_the_right_size_is_not_touched(mode: str) -> None:
    image = _halves(100, 200)
    assert fit(image, (100, 200), mode) is image


def test_cover_crops_evenly_and_keeps_shapes() -> None:
    fitted = fit(_halves(100, 400), (100, 100), "cover")
    assert (fitted[:, :50] == (255, 0, 0)).all()
    assert (fitted[:, 50:] == (0, 0, 255)).all()
    wide = np.zeros((100, 400, 3), np.uint8)
    wide[:, :150] = wide[:, 250:] = 255  # only what is cropped away is white
    assert (fit(wide, (200, 200), "cover")[:, 4:-4] == 0).all()


def test_contain_shows_all_between_even_bars() -> None:
    fitted = fit(_halves(100, 400), (100, 100), "contain")
    assert (fitted[:37] == 0).all()
    assert (fitted[63:] == 0).all()
    assert (fitted[38:62, :49] == (255, 0, 0)).all()
    assert (fitted[38:62, 51:] == (0, 0, 255)).all()


def test_stretch_ignores_the_shape() -> None:
    fitted = fit(_halves(100, 400), (100, 100), "stretch")
    assert (fitted[:, :49] == (255, 0, 0)).all()
    assert (fitted[:, 51:] == (0, 0, 255)).all()


def test_shrinking_averages() -> None:
    board = np.zeros((256, 256, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    assert np.abs(fit(board, (64, 64), "stretch").astype(int) - 127.5).max() < 2


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        fit(_halves(64, 64), (64, 64), "fill")
    assert "cover, contain, stretch" in caught.value.hint


def test_solid_is_the_colour() -> None:
    assert (solid(parse_colour("#102030"), (64, 65)) == (0x30, 0x20, 0x10)).all()


@pytest.mark.parametrize(
    ("text", "bgr"),
    [("#00b140", (64, 177, 0)), ("00B140", (64, 177, 0)), ("#f80", (0, 136, 255)), (" Green ", (64, 177, 0))],
)
def test_colours_are_read(text: str, bgr: tuple[int, int, int]) -> None:
    assert parse_colour(text) == bgr


@pytest.mark.parametrize("text", ["", "#12345", "#gggggg", "mauve", "rgb(1,2,3)"])
def test_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a colour"):
        parse_colour(text)
