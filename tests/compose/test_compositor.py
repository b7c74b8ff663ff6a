"""The compositor: what must hold for any frame, and over time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.compose.compositor import Compositor
from edge_harmony.contract import GRID_SIZE, IDENTITY
from edge_harmony.errors import ConfigError, MatteError, SourceError
from edge_harmony.harmonize import load_harmonizer
from edge_harmony.harmonize.base import Harmonizer
from edge_harmony.pixels.over import over
from edge_harmony.pixels.synthetic import soft_ellipse
from tests.models import write_transform_model


@pytest.fixture(scope="module")
def darker(tmp_path_factory: pytest.TempPathFactory) -> Harmonizer:
    """A model that halves red and leaves green and blue."""
    return load_harmonizer(write_transform_model(tmp_path_factory.mktemp("m") / "m.onnx", (0.5, 1.0, 1.0)), threads=1)


@pytest.fixture(scope="module")
def following(tmp_path_factory: pytest.TempPathFactory) -> Harmonizer:
    """A model whose red gain grows with the frame's brightness."""
    return load_harmonizer(
        write_transform_model(tmp_path_factory.mktemp("m") / "f.onnx", (0.5, 1.0, 1.0), follow=1.0), threads=1
    )


def _noise(*shape: int, seed: int = 0, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape, np.uint8)


def _disc(height: int, width: int) -> np.ndarray:
    return soft_ellipse((height, width), (0.265 * width, 0.265 * height), (width / 2, height / 2), 0.17 * height)


SIZES = st.tuples(st.integers(64, 150), st.integers(64, 150))


@settings(max_examples=20, deadline=None)
@given(size=SIZES, seed=st.integers(0, 99), wrap=st.sampled_from([0.0, 0.5]), grain=st.sampled_from([0.0, 1.0]))
def test_background_is_untouched_where_alpha_is_zero(
    darker: Harmonizer, size: tuple[int, int], seed: int, wrap: float, grain: float
) -> None:
    frame, background = _noise(*size, 3, seed=seed), _noise(*size, 3, seed=seed + 1)
    alpha = _disc(*size)
    got = Compositor(darker, light_wrap=wrap, grain=grain).process(frame, alpha, background)
    assert np.array_equal(got[alpha == 0], background[alpha == 0])
    assert got.shape == frame.shape
    assert got.dtype == np.uint8


@settings(max_examples=20, deadline=None)
@given(size=SIZES, seed=st.integers(0, 99))
def test_strength_zero_is_the_plain_composite(darker: Harmonizer, size: tuple[int, int], seed: int) -> None:
    frame, background, alpha = _noise(*size, 3, seed=seed), _noise(*size, 3, seed=seed + 1), _noise(*size, seed=seed)
    compositor = Compositor(darker, strength=0.0)
    plain = over(frame, alpha, background)
    assert np.array_equal(compositor.process(frame, alpha, background), plain)
    assert np.array_equal(compositor.composite(frame, alpha, background), plain)
    assert np.array_equal(Compositor(None).process(frame, alpha, background), plain)


def test_the_model_acts_and_strength_is_in_proportion(darker: Harmonizer) -> None:
    frame, background, alpha = np.full((90, 120, 3), 200, np.uint8), np.zeros((90, 120, 3), np.uint8), _disc(90, 120)
    compositor = Compositor(darker, smoothing=0.0)
    for strength, red in ((1.0, 100), (0.5, 150), (0.0, 200)):
        compositor.strength = strength
        assert compositor.process(frame, alpha, background)[45, 60].tolist() == [200, 200, red]


def test_inputs_stay_as_they_are_and_the_result_is_the_callers(darker: Harmonizer) -> None:
    frame, background, alpha = _noise(90, 120, 3), _noise(90, 120, 3, seed=1), _disc(90, 120)
    copies = frame.copy(), background.copy(), alpha.copy()
    for compositor in (Compositor(darker), Compositor(darker, light_wrap=0.5, grain=1.0)):
        first = compositor.process(frame, alpha, background)
        kept = first.copy()
        second = compositor.process(frame[::-1].copy(), alpha, background)
        assert np.array_equal(first, kept)
        assert not np.shares_memory(first, second)
        for array, copy in zip((frame, background, alpha), copies, strict=True):
            assert np.array_equal(array, copy)
            assert not np.shares_memory(first, array)


def test_out_is_used(darker: Harmonizer) -> None:
    frame, background, alpha = _noise(90, 120, 3), _noise(90, 120, 3, seed=1), _disc(90, 120)
    for compositor in (Compositor(darker), Compositor(darker, light_wrap=0.5), Compositor(None)):
        expected = compositor.process(frame, alpha, background)
        compositor.reset()
        out = np.zeros_like(frame)
        assert compositor.process(frame, alpha, background, out) is out
        assert np.array_equal(out, expected)


def test_a_static_scene_gives_identical_frames(following: Harmonizer) -> None:
    frame, background, alpha = _noise(90, 120, 3), _noise(90, 120, 3, seed=1), _disc(90, 120)
    compositor = Compositor(following, smoothing=0.8)
    results = [compositor.process(frame, alpha, background) for _ in range(5)]
    assert all(np.array_equal(result, results[0]) for result in results)


def _red_gain(compositor: Compositor) -> float:
    return float(compositor.transform[0, 0, GRID_SIZE // 2, GRID_SIZE // 2])


def test_small_changes_are_followed_slowly_and_a_new_background_at_once(following: Harmonizer) -> None:
    alpha, frame = _disc(90, 120), np.full((90, 120, 3), 100, np.uint8)
    level = [np.full((90, 120, 3), v, np.uint8) for v in (60, 75, 200)]
    fresh = []
    for background in level:
        single = Compositor(following)
        single.process(frame, alpha, background)
        fresh.append(_red_gain(single))
    compositor = Compositor(following, smoothing=0.8)
    compositor.process(frame, alpha, level[0])
    for _ in range(3):
        compositor.process(frame, alpha, level[1])
    assert fresh[0] < _red_gain(compositor) < fresh[0] + 0.4 * (fresh[1] - fresh[0])
    compositor.process(frame, alpha, level[2])
    assert _red_gain(compositor) == pytest.approx(fresh[2], abs=1e-6)
    compositor.process(frame, alpha, level[1])
    compositor.reset()
    assert np.array_equal(compositor.transform, IDENTITY)
    compositor.process(frame, alpha, level[0])
    assert _red_gain(compositor) == pytest.approx(fresh[0], abs=1e-6)


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_light_that_changes_is_followed_within_half_a_second(following: Harmonizer, fps: int) -> None:
    alpha, frame = _disc(90, 120), np.full((90, 120, 3), 100, np.uint8)
    dark, light = (np.full((90, 120, 3), v, np.uint8) for v in (60, 80))
    single = Compositor(following)
    single.process(frame, alpha, light)
    compositor = Compositor(following)
    for index in range(10):
        compositor.process(frame, alpha, dark, pts_s=index / fps)
    start = _red_gain(compositor)
    gains = []
    for index in range(10, 10 + fps // 2):
        compositor.process(frame, alpha, light, pts_s=index / fps)
        gains.append(_red_gain(compositor))
    final = _red_gain(single)
    left = abs(final - gains[-1]) * 255  # code values at white
    assert left <= 2.0 + 0.05 * abs(final - start) * 255
    assert abs(gains[0] - start) < 0.4 * abs(final - start)


def test_noise_leaves_the_transform_to_the_bit_and_the_network_alone(following: Harmonizer) -> None:
    rng = np.random.default_rng(0)
    scene = cv2.resize(_noise(9, 16, 3, low=40, high=215), (640, 360), interpolation=cv2.INTER_CUBIC)
    alpha = _disc(360, 640)
    compositor = Compositor(following)
    transforms = []
    for _ in range(8):
        frame, background = (np.clip(scene + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8) for _ in range(2))
        compositor.process(frame, alpha, background)
        transforms.append(compositor.transform)
    assert all(np.array_equal(transform, transforms[0]) for transform in transforms)
    assert compositor.reused == 7
    compositor.smoothing = 0.0  # every frame is followed
    compositor.process(frame, alpha, background)
    assert compositor.reused == 7


def test_a_held_transform_goes_on_to_where_it_was_going(following: Harmonizer) -> None:
    alpha, frame = _disc(90, 120), np.full((90, 120, 3), 100, np.uint8)
    compositor = Compositor(following)
    gains = []
    for level in (60, *[80] * 40):
        compositor.process(frame, alpha, np.full((90, 120, 3), level, np.uint8))
        gains.append(_red_gain(compositor))
    assert compositor.reused == 39
    assert gains[15] > gains[5] > gains[1] >= gains[0]
    assert gains[-1] == gains[-5]


def test_a_new_picture_of_like_brightness_is_taken_at_once(following: Harmonizer) -> None:
    alpha, frame = _disc(180, 240), np.full((180, 240, 3), 60, np.uint8)
    pictures = [cv2.resize(_noise(6, 8, 3, seed=s, low=30, high=v), (240, 180)) for s, v in ((1, 70), (2, 80))]
    compositor, single = Compositor(following, smoothing=0.9), Compositor(following)
    compositor.process(frame, alpha, pictures[0])
    compositor.process(frame, alpha, pictures[1])
    single.process(frame, alpha, pictures[1])
    assert np.array_equal(compositor.transform, single.transform)


def test_grain_follows_a_moving_background_and_starts_anew_at_a_cut(following: Harmonizer) -> None:
    alpha, frame = _disc(180, 240), np.full((180, 240, 3), 128, np.uint8)
    clean = np.full((180, 240, 3), 128, np.uint8)
    noisy = np.clip(np.random.default_rng(0).normal(60, 8, (180, 240, 1)) + np.zeros(3), 0, 255).astype(np.uint8)
    compositor = Compositor(following, strength=0.0, grain=1.0)
    inside = (slice(70, 110), slice(90, 150))
    assert compositor.process(frame, alpha, clean)[inside].std() == 0.0
    assert compositor.process(frame, alpha, noisy)[inside].std() > 3.0  # another scene: a cut
    for _ in range(10):
        last = compositor.process(frame, alpha, noisy.copy())
    assert last[inside].std() > 3.0


def test_settings_may_be_changed_between_frames_and_are_checked() -> None:
    compositor = Compositor(None)
    for name, good, bad in (("strength", 0.5, 1.1), ("smoothing", 0.0, 1.0), ("light_wrap", 1, -1), ("grain", 0, 2)):
        setattr(compositor, name, good)
        assert getattr(compositor, name) == good
        with pytest.raises(ConfigError):
            setattr(compositor, name, bad)
        assert getattr(compositor, name) == good


@pytest.mark.parametrize(("value", "expected"), [(0, 1), (255, 0)])
def test_empty_and_full_masks_hold_the_transform(darker: Harmonizer, value: int, expected: int) -> None:
    frame, background = np.full((90, 120, 3), 200, np.uint8), np.zeros((90, 120, 3), np.uint8)
    whole = np.full((90, 120), value, np.uint8)
    compositor = Compositor(darker, smoothing=0.0)
    first = compositor.process(frame, whole, background)
    assert np.array_equal(first, (frame, background)[expected])
    compositor.process(frame, _disc(90, 120), background)
    held = compositor.process(frame, whole, background)
    assert held[45, 60].tolist() == ([0, 0, 0] if value == 0 else [200, 200, 100])


def test_background_of_another_shape_is_fitted(darker: Harmonizer) -> None:
    frame, alpha = _noise(90, 120, 3), np.zeros((90, 120), np.uint8)
    background = np.full((200, 100, 3), 50, np.uint8)
    assert (Compositor(darker).process(frame, alpha, background) == 50).all()
    contained = Compositor(darker, fit="contain").process(frame, alpha, background)
    assert (contained[:, 0] == 0).all()
    assert (contained[:, 60] == 50).all()


BAD_ALPHA = {
    "nan": np.full((90, 120), np.nan, np.float32),
    "above": np.full((90, 120), 1.5, np.float32),
    "below": np.full((90, 120), -0.1),
    "size": np.zeros((91, 120), np.uint8),
    "colour": np.zeros((90, 120, 3), np.uint8),
    "deep": np.zeros((90, 120), np.uint16),
    "none": None,
}


@pytest.mark.parametrize("kind", BAD_ALPHA)
def test_bad_alpha(darker: Harmonizer, kind: str) -> None:
    frame = _noise(90, 120, 3)
    with pytest.raises(MatteError) as caught:
        Compositor(darker).process(frame, BAD_ALPHA[kind], frame)  # type: ignore[arg-type]
    assert caught.value.hint


BAD_FRAMES = {
    "grey": np.zeros((90, 120), np.uint8),
    "rgba": np.zeros((90, 120, 4), np.uint8),
    "deep": np.zeros((90, 120, 3), np.uint16),
    "float": np.zeros((90, 120, 3), np.float32),
    "small": np.zeros((63, 120, 3), np.uint8),
    "none": None,
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_bad_frames(darker: Harmonizer, kind: str) -> None:
    good, alpha = _noise(90, 120, 3), np.zeros((90, 120), np.uint8)
    for frame, background in ((BAD_FRAMES[kind], good), (good, BAD_FRAMES[kind])):
        with pytest.raises(SourceError) as caught:
            Compositor(darker).process(frame, alpha, background)  # type: ignore[arg-type]
        assert caught.value.hint


@pytest.mark.parametrize(
    "setting",
    [{"strength": 1.1}, {"strength": -1}, {"light_wrap": 2}, {"grain": -0.1}, {"smoothing": 1.0}, {"fit": "?"}],
)
def test_bad_settings(setting: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        Compositor(None, **setting)
    assert caught.value.hint
