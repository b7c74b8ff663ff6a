"""The chroma key on screens whose alpha is known."""

from __future__ import annotations

import numpy as np
import pytest

from edge_harmony.errors import ConfigError, MatteError
from edge_harmony.matte.chroma import ChromaKey, estimate_screen
from tests.scenes import flat, noisy, shot, soft_disc

SIZE = (240, 320)
GREEN, BLUE = (64, 177, 0), (187, 71, 0)


def _error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(found.astype(int) - truth).mean())


@pytest.mark.parametrize("screen", [GREEN, BLUE])
def test_a_neutral_subject_s_alpha_is_exact_without_clipping(screen: tuple[int, int, int]) -> None:
    alpha = soft_disc(SIZE, 70, soft=20)
    frame = shot(flat(SIZE, (120, 120, 120)), alpha, flat(SIZE, screen))
    key = ChromaKey(screen, tolerance=0.0, softness=1.0, speckle=0.0)
    assert np.abs(key(frame).astype(int) - alpha).max() <= 5  # Cb and Cr are whole numbers


@pytest.mark.parametrize("colour", [(60, 90, 180), (200, 200, 200), (20, 20, 20), (180, 60, 160), (80, 120, 160)])
def test_the_defaults_are_solid_inside_and_clean_outside(colour: tuple[int, int, int]) -> None:
    alpha = soft_disc(SIZE, 70, soft=4)
    frame = shot(flat(SIZE, colour), alpha, flat(SIZE, GREEN), sigma=4)
    found = ChromaKey()(frame)
    assert (found[alpha == 0] <= 10).mean() > 0.999
    assert (found[alpha == 255] >= 245).mean() > 0.999
    assert _error(found, alpha) < 1.5


def test_an_unevenly_lit_screen_is_clean() -> None:
    alpha = soft_disc(SIZE, 60, soft=4)
    light = np.linspace(0.55, 1.15, SIZE[1])[None, :, None]
    screen = np.clip(flat(SIZE, GREEN) * light, 0, 255).astype(np.uint8)
    found = ChromaKey("auto")(shot(flat(SIZE, (90, 110, 170)), alpha, screen, sigma=2))
    assert (found[alpha == 0] <= 20).mean() > 0.99
    assert _error(found, alpha) < 2.5


def test_the_colour_is_found_on_the_border_and_kept_until_reset() -> None:
    alpha = soft_disc(SIZE, 70)
    key = ChromaKey()
    key(shot(flat(SIZE, (90, 110, 170)), alpha, flat(SIZE, GREEN), sigma=3))
    assert np.abs(np.array(key.colour_bgr) - GREEN).max() <= 4
    kept = key.colour_bgr
    key(shot(flat(SIZE, (90, 110, 170)), alpha, flat(SIZE, BLUE), sigma=3))
    assert key.colour_bgr == kept
    key.reset()
    key(shot(flat(SIZE, (90, 110, 170)), alpha, flat(SIZE, BLUE), sigma=3))
    assert np.abs(np.array(key.colour_bgr) - BLUE).max() <= 4


def test_a_frame_without_a_screen_is_an_error() -> None:
    with pytest.raises(MatteError) as caught:
        estimate_screen(noisy(flat(SIZE, (120, 120, 120)), 5))
    assert "chroma:#00b140" in caught.value.hint


def test_the_screen_s_light_is_taken_off_the_subject() -> None:
    alpha = soft_disc(SIZE, 70, soft=12)
    subject = flat(SIZE, (110, 110, 120))
    spilled = flat(SIZE, (116, 140, 120))  # some green light on it
    key = ChromaKey(GREEN)
    frame = shot(spilled, alpha, flat(SIZE, GREEN))
    found_alpha = key(frame)
    found = key.foreground(frame, found_alpha).astype(float)
    seen = found_alpha > 40
    greenness = (found[..., 1] - (found[..., 0] + found[..., 2]) / 2)[seen]
    assert np.abs(greenness).max() < 16
    assert greenness.mean() < 8
    assert np.abs(found - subject)[found_alpha == 255].mean() < 14
    kept = ChromaKey(GREEN, despill=0.0)
    assert (kept.foreground(frame, kept(frame))[alpha == 255] == spilled[alpha == 255]).all()


def test_colours_without_screen_light_are_untouched() -> None:
    alpha = soft_disc(SIZE, 70, soft=1)
    for colour in ((60, 90, 180), (128, 128, 128), (190, 60, 160), (255, 255, 255), (0, 0, 0)):
        frame = shot(flat(SIZE, colour), alpha, flat(SIZE, GREEN))
        key = ChromaKey(GREEN)
        found_alpha = key(frame)
        solid = (alpha == 255) & (found_alpha == 255)
        assert np.abs(key.foreground(frame, found_alpha)[solid].astype(int) - np.array(colour)).max() <= 1


def test_speckles_and_pinholes_go() -> None:
    alpha = soft_disc(SIZE, 70, soft=2)
    frame = shot(flat(SIZE, (90, 90, 90)), alpha, flat(SIZE, GREEN))
    frame[20:22, 20:22] = 90  # dust on the screen
    frame[118:120, 158:160] = GREEN  # a reflection on the subject
    found = ChromaKey(GREEN, speckle=3e-4)(frame)
    assert (found[10:30, 10:30] == 0).all()
    assert (found[110:130, 150:170] == 255).all()


def test_only_screen_and_only_subject() -> None:
    assert (ChromaKey(GREEN)(noisy(flat(SIZE, GREEN), 3)) <= 10).all()
    assert (ChromaKey(GREEN)(noisy(flat(SIZE, (90, 100, 150)), 3)) >= 250).all()


@pytest.mark.parametrize(
    "options",
    [{"colour": "#808080"}, {"tolerance": -0.1}, {"softness": 0.0}, {"acceptance": 180.0}, {"despill": 2.0}],
)
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError):
        ChromaKey(**options)
