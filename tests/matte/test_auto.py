"""What the automatic matte takes, and why it says so."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest

from edge_harmony.errors import ConfigError
from edge_harmony.matte import Refinement, open_matte
from edge_harmony.matte.auto import AutoMatte, choose_matte, screen_on_border
from edge_harmony.matte.chroma import ChromaKey
from edge_harmony.matte.person import PersonMatte
from tests.scenes import flat, noisy, shot, soft_disc, textured

SIZE = (240, 320)
GREEN, BLUE = (64, 177, 0), (187, 71, 0)


def _before(screen: tuple[int, int, int], sigma: float = 3.0) -> np.ndarray:
    light = np.linspace(0.8, 1.1, SIZE[1])[None, :, None]
    uneven = np.clip(flat(SIZE, screen) * light, 0, 255).astype(np.uint8)
    return shot(flat(SIZE, (80, 100, 160)), soft_disc(SIZE, 70), uneven, sigma)


@pytest.mark.parametrize(("screen", "name"), [(GREEN, "green"), (BLUE, "blue")])
def test_a_screen_is_keyed(screen: tuple[int, int, int], name: str, caplog: pytest.LogCaptureFixture) -> None:
    frame = _before(screen)
    choice = choose_matte(frame)
    assert choice.spec == "chroma"
    assert name in choice.reason
    with caplog.at_level(logging.INFO):
        assert isinstance(open_matte("auto", frame=frame), ChromaKey)
    assert f"{name} screen" in caplog.text


@pytest.mark.parametrize(
    "frame",
    [textured(SIZE), flat(SIZE, (128, 128, 128)), flat(SIZE, (235, 206, 135)), flat(SIZE, (60, 120, 80))],
    ids=["a room", "a grey wall", "a pale sky", "a dull lawn"],
)
def test_anything_else_goes_to_the_person_matte(frame: np.ndarray) -> None:
    assert choose_matte(noisy(frame, 3)).spec == "person"


def test_a_subject_at_one_side_of_a_screen_does_not_hide_it_but_half_a_screen_is_none() -> None:
    frame = _before(GREEN)
    frame[120:, :30] = (70, 80, 150)
    frame = cv2.GaussianBlur(frame, (0, 0), 1)
    assert screen_on_border(frame) is not None
    frame[:, 200:] = noisy(flat((SIZE[0], 120), (120, 120, 130)), 5)
    assert screen_on_border(frame) is None


def test_without_a_frame_the_first_one_decides() -> None:
    matte = open_matte("auto", Refinement(grow=2.0))
    assert isinstance(matte, AutoMatte)
    assert matte.chosen is None
    frame = _before(GREEN)
    alpha = matte(frame)
    assert matte.chosen is not None
    assert matte.chosen.spec == "chroma"
    assert alpha[120, 160] == 255
    assert alpha[10, 10] < 20
    assert (alpha > 127).sum() > (open_matte("chroma")(frame) > 127).sum()  # grown once
    assert matte.foreground(frame, alpha).shape == frame.shape
    matte.reset()
    matte(textured(SIZE))
    assert matte.chosen is not None
    assert matte.chosen.spec == "person"
    matte.close()
    matte.close()


def test_options_reach_what_was_chosen() -> None:
    assert isinstance(open_matte("auto", frame=textured(SIZE), steady=0.2), PersonMatte)
    with pytest.raises(ConfigError):
        open_matte("auto", frame=textured(SIZE), tolerance=0.2)
    with pytest.raises(ConfigError):
        open_matte("auto:green")
