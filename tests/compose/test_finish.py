"""Light wrap and grain: off at 0, nothing outside the subject, and what they add is what they say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.compose.finish import grain_match, light_wrap
from edge_harmony.compose.grain import Grain, measure_grain
from edge_harmony.pixels.over import over
from tests.scenes import flat, soft_disc

SIZE = (240, 320)


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
    alpha = soft_disc(SIZE, rng.uniform(5, 100), rng.uniform(1, 20))
    back = _noisy(flat(SIZE, (120, 130, 140)), 6, seed=seed)
    composite = over(flat(SIZE, (90, 80, 100)), alpha, back)
    for finished in (light_wrap(composite, alpha, back, amount), grain_match(composite, alpha, back, amount)):
        assert (finished[alpha == 0] == composite[alpha == 0]).all()
        assert finished is not composite


def test_both_are_the_identity_at_zero_and_without_a_subject() -> None:
    back = _noisy(flat(SIZE, (120, 130, 140)), 6)
    alpha = soft_disc(SIZE, 70, 3.0)
    composite = over(flat(SIZE, (90, 80, 100)), alpha, back)
    nothing = np.zeros_like(alpha)
    for finish in (light_wrap, grain_match):
        assert (finish(composite, alpha, back, 0.0) == composite).all()
        assert (finish(back, nothing, back, 1.0) == back).all()
        out = np.empty_like(composite)
        assert finish(composite, alpha, back, 0.0, out=out) is out
        assert (out == composite).all()


def test_light_falls_on_the_rim_and_fades_inwards() -> None:
    alpha, back = soft_disc(SIZE, 70, 1.0), flat(SIZE, (255, 255, 255))
    composite = over(flat(SIZE, (50, 50, 50)), alpha, back)
    lit = light_wrap(composite, alpha, back, 1.0, radius=0.05)
    row = lit[SIZE[0] // 2, SIZE[1] // 2 : SIZE[1] // 2 + 68, 0].astype(int)
    assert row[0] == 50  # nothing reaches the middle
    assert (row[:48] == 50).all()  # nor anything further in than the radius (16 pixels) allows
    assert (np.diff(row) >= -1).all()  # brighter towards the rim
    assert row[-1] > 90


def test_light_has_the_colour_of_what_is_near() -> None:
    back = flat(SIZE, (0, 0, 0))
    back[:, SIZE[1] // 2 :] = (255, 0, 0)  # blue light from the right
    alpha = soft_disc(SIZE, 70, 1.0)
    lit = light_wrap(over(flat(SIZE, (50, 50, 50)), alpha, back), alpha, back, 1.0, radius=0.05)
    right, left = lit[SIZE[0] // 2, SIZE[1] // 2 + 66], lit[SIZE[0] // 2, SIZE[1] // 2 - 66]
    assert right[0] > 80
    assert right[1:].tolist() == [50, 50]
    assert left.tolist() == [50, 50, 50]


def test_light_never_clips_or_darkens() -> None:
    alpha, back = soft_disc(SIZE, 70, 3.0), flat(SIZE, (255, 255, 255))
    composite = over(_noisy(flat(SIZE, (200, 120, 250)), 20), alpha, back)
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
    alpha = np.zeros(SIZE, np.uint8)
    alpha[20:220, 20:300] = 255
    back = _noisy(flat(SIZE, (128, 128, 128)), 6, blur)
    composite = over(flat(SIZE, (128, 128, 128)), alpha, back)
    grained = grain_match(composite, alpha, back, 1.0)
    inside = grained[30:210, 30:290]
    assert inside.astype(float).std() == pytest.approx(6, rel=0.35)
    assert abs(inside.astype(float).mean() - 128) < 0.5
    assert (inside[..., 0] == inside[..., 2]).all()  # luma only
    half = grain_match(composite, alpha, back, 0.5)[30:210, 30:290]
    assert half.astype(float).std() == pytest.approx(inside.astype(float).std() / 2, rel=0.1)


def test_a_noisier_subject_is_left_alone() -> None:
    alpha = soft_disc(SIZE, 90, 3.0)
    back = _noisy(flat(SIZE, (128, 128, 128)), 2)
    composite = over(_noisy(flat(SIZE, (128, 128, 128)), 8, seed=3), alpha, back)
    assert (grain_match(composite, alpha, back, 1.0) == composite).all()


def test_black_and_white_take_no_grain() -> None:
    alpha = np.full(SIZE, 255, np.uint8)
    composite = flat(SIZE, (0, 0, 0))
    composite[:, SIZE[1] // 2 :] = 255
    grained = grain_match(composite, alpha, composite, 1.0, background_grain=Grain(10.0, 0.5))
    assert (grained == composite).all()


def test_grain_is_the_frame_s_own_and_repeatable() -> None:
    alpha, grey = np.full(SIZE, 255, np.uint8), flat(SIZE, (128, 128, 128))

    def noise(index: int, seed: int) -> np.ndarray:
        return grain_match(grey, alpha, grey, 1.0, index, seed, Grain(10.0, 0.5))[..., 0].astype(float) - 128

    first, again, other, seeded = (noise(i, s) for i, s in ((1, 0), (1, 0), (2, 0), (1, 7)))
    assert (first == again).all()
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(first.ravel(), seeded.ravel())[0, 1]) < 0.05


def test_grain_of_a_large_picture_is_that_of_its_parts() -> None:
    large = _noisy(np.full((1440, 2560, 3), 128, np.uint8), 5, 0.7)
    whole, part = measure_grain(large), measure_grain(np.ascontiguousarray(large[600:900, 900:1600]))
    assert whole.sigma == pytest.approx(part.sigma, rel=0.15)
    assert whole.size == pytest.approx(part.size, abs=0.2)


def test_only_the_solid_part_of_the_subject_is_measured() -> None:
    alpha = soft_disc(SIZE, 80, 3.0)
    grey = flat(SIZE, (120, 120, 120))
    picture = np.where(alpha[..., None] == 255, _noisy(grey, 3), _noisy(grey, 12))
    assert measure_grain(picture, alpha).sigma == pytest.approx(3, rel=0.35)


def _wrap_reference(
    composite: np.ndarray, alpha: np.ndarray, back: np.ndarray, amount: float, radius: float
) -> np.ndarray:
    """The light as it is defined, at full size: two box blurs of what is seen of the background."""
    reach = max(1, int((radius * max(alpha.shape) - 1.5) / 2))
    seen = back * (1 - alpha[..., None] / 255.0)
    window = (2 * reach + 1, 2 * reach + 1)
    for _ in range(2):
        seen = cv2.blur(seen, window, borderType=cv2.BORDER_REPLICATE)
    return composite + amount * alpha[..., None] / 255 * seen / 255 * (255.0 - composite)


@pytest.mark.parametrize("size_hw", [(240, 320), (241, 327), (486, 719), (1081, 1923)])
@pytest.mark.parametrize("touching", [False, True])
def test_light_is_what_it_is_defined_as(size_hw: tuple[int, int], touching: bool) -> None:
    height, width = size_hw
    rng = np.random.default_rng(height)
    back = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = cv2.resize(soft_disc(SIZE, 70, 3.0), (width, height))
    if touching:
        alpha = np.roll(alpha, (height // 3, width // 3), (0, 1))  # over the frame's corner and on at the other one
    composite = over(np.full_like(back, 60), alpha, back)
    found = light_wrap(composite, alpha, back, 0.8, radius=0.04, threads=2)
    off = np.abs(found - _wrap_reference(composite, alpha, back, 0.8, 0.04))
    assert off.max() < 14  # the light is blurred at a fraction of the size, its reach is whole cells of that
    assert off[alpha > 0].mean() < 0.8
    assert (found[alpha == 0] == composite[alpha == 0]).all()


def test_any_layout_and_number_of_threads_give_the_same() -> None:
    alpha, back = soft_disc(SIZE, 70, 3.0), _noisy(flat(SIZE, (120, 130, 140)), 6)
    composite = over(flat(SIZE, (90, 80, 100)), alpha, back)
    for finish in (light_wrap, grain_match):
        expected = finish(composite, alpha, back, 0.7, threads=1)
        wide = np.zeros((SIZE[0], 2 * SIZE[1], 3), np.uint8)
        strided = wide[:, ::2]
        strided[:] = composite
        twice = np.repeat(alpha, 2, axis=1)[:, ::2]
        assert finish(strided, twice, back, 0.7, out=strided, threads=3) is strided
        assert (strided == expected).all()
        assert (wide[:, 1::2] == 0).all()
