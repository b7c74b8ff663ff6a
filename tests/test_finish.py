"""Light wrap and grain: off at 0, nothing outside the subject, and what they add is what they say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.composite import over
from edge_harmony.finish import grain_match, light_wrap
from edge_harmony.grain import Grain, measure_grain, noise_field

HEIGHT, WIDTH = 240, 320


def _disc(radius: float = 70.0, soft: float = 3.0) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = radius - np.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    return np.floor(np.clip(0.5 + distance / soft, 0, 1) * 255 + 0.5).astype(np.uint8)


def _flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def _noisy(image: np.ndarray, sigma: float, blur: float = 0.0, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, image.shape[:2])
    if blur:
        noise = cv2.GaussianBlur(noise, (0, 0), blur)
    noise *= sigma / noise.std()
    return np.clip(image + noise[..., None] + 0.5, 0, 255).astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_both_touch_the_subject_only(seed: int, amount: float) -> None:
    rng = np.random.default_rng(seed)
    alpha = _disc(rng.uniform(5, 100), rng.uniform(1, 20))
    back = _noisy(_flat((120, 130, 140)), 6, seed=seed)
    composite = over(_flat((90, 80, 100)), alpha, back)
    for finished in (light_wrap(composite, alpha, back, amount), grain_match(composite, alpha, back, amount)):
        assert (finished[alpha == 0] == composite[alpha == 0]).all()
        assert finished is not composite


def test_both_are_the_identity_at_zero_and_without_a_subject() -> None:
    back = _noisy(_flat((120, 130, 140)), 6)
    alpha = _disc()
    composite = over(_flat((90, 80, 100)), alpha, back)
    nothing = np.zeros_like(alpha)
    for finish in (light_wrap, grain_match):
        assert (finish(composite, alpha, back, 0.0) == composite).all()
        assert (finish(back, nothing, back, 1.0) == back).all()
        out = np.empty_like(composite)
        assert finish(composite, alpha, back, 0.0, out=out) is out
        assert (out == composite).all()


def test_light_falls_on_the_rim_and_fades_inwards() -> None:
    alpha, back = _disc(soft=1.0), _flat((255, 255, 255))
    composite = over(_flat((50, 50, 50)), alpha, back)
    lit = light_wrap(composite, alpha, back, 1.0, radius=0.05)
    row = lit[HEIGHT // 2, WIDTH // 2 : WIDTH // 2 + 68, 0].astype(int)
    assert row[0] == 50  # nothing reaches the middle
    assert (row[:48] == 50).all()  # nor anything further in than the radius (16 pixels) allows
    assert (np.diff(row) >= -1).all()  # brighter towards the rim
    assert row[-1] > 90


def test_light_has_the_colour_of_what_is_near() -> None:
    back = _flat((0, 0, 0))
    back[:, WIDTH // 2 :] = (255, 0, 0)  # blue light from the right
    alpha = _disc(soft=1.0)
    lit = light_wrap(over(_flat((50, 50, 50)), alpha, back), alpha, back, 1.0, radius=0.05)
    right, left = lit[HEIGHT // 2, WIDTH // 2 + 66], lit[HEIGHT // 2, WIDTH // 2 - 66]
    assert right[0] > 80
    assert right[1:].tolist() == [50, 50]
    assert left.tolist() == [50, 50, 50]


def test_light_never_clips_or_darkens() -> None:
    alpha, back = _disc(), _flat((255, 255, 255))
    composite = over(_noisy(_flat((200, 120, 250)), 20), alpha, back)
    lit = light_wrap(composite, alpha, back, 1.0)
    assert (lit >= composite).all()


@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("blur", [0.0, 0.6, 1.0])
def test_grain_is_measured(sigma: float, blur: float) -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    found = measure_grain(_noisy(image, sigma, blur))
    assert found.sigma == pytest.approx(sigma, rel=0.3)
    assert found.size == pytest.approx(blur, abs=0.3)


def test_texture_and_gradients_are_not_grain() -> None:
    y, x = np.mgrid[:480, :640]
    grey = (60 + x / 6 + 10 * (np.sin(x / 9) + np.sin(y / 7))).astype(np.uint8)
    grey[100:200, 100:400] = np.random.default_rng(0).integers(0, 256, (100, 300), np.uint8)
    assert measure_grain(cv2.merge([grey] * 3)).sigma < 1.0


@pytest.mark.parametrize("blur", [0.0, 0.7])
def test_the_subject_takes_on_the_grain(blur: float) -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[20:220, 20:300] = 255
    back = _noisy(_flat((128, 128, 128)), 6, blur)
    composite = over(_flat((128, 128, 128)), alpha, back)
    grained = grain_match(composite, alpha, back, 1.0)
    inside = grained[30:210, 30:290]
    assert inside.astype(float).std() == pytest.approx(6, rel=0.35)
    assert abs(inside.astype(float).mean() - 128) < 0.5
    assert (inside[..., 0] == inside[..., 2]).all()  # luma only
    half = grain_match(composite, alpha, back, 0.5)[30:210, 30:290]
    assert half.astype(float).std() == pytest.approx(inside.astype(float).std() / 2, rel=0.1)


def test_a_noisier_subject_is_left_alone() -> None:
    alpha = _disc(90)
    back = _noisy(_flat((128, 128, 128)), 2)
    composite = over(_noisy(_flat((128, 128, 128)), 8, seed=3), alpha, back)
    assert (grain_match(composite, alpha, back, 1.0) == composite).all()


def test_black_and_white_take_no_grain() -> None:
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    composite = _flat((0, 0, 0))
    composite[:, WIDTH // 2 :] = 255
    grained = grain_match(composite, alpha, composite, 1.0, background_grain=Grain(10.0, 0.5))
    assert (grained == composite).all()


def test_grain_is_the_frame_s_own_and_repeatable() -> None:
    first, again, other, seeded = (noise_field((100, 900), 0.5, i, s) for i, s in ((1, 0), (1, 0), (2, 0), (1, 7)))
    assert (first == again).all()
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(first.ravel(), seeded.ravel())[0, 1]) < 0.05
