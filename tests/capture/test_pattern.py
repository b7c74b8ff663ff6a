"""The synthetic source: exact, and the same every time."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from edge_harmony.capture import CaptureOptions, open_source
from edge_harmony.capture.pattern import Pattern, Scene
from edge_harmony.errors import ConfigError


@pytest.mark.parametrize("size_hw", [(90, 160), (160, 90), (64, 64), (121, 203)])
def test_the_picture_is_the_background_where_there_is_no_figure(size_hw: tuple[int, int]) -> None:
    pattern = Pattern(size_hw)
    for index in (0, 17, 60):
        image, alpha = pattern.draw(index)
        assert image.shape == (*size_hw, 3)
        assert image.dtype == alpha.dtype == np.uint8
        assert np.array_equal(image[alpha == 0], pattern.background_bgr[alpha == 0])
        assert 0.1 < (alpha == 255).mean() < 0.75


def test_the_edge_is_the_mixture_that_alpha_says() -> None:
    """F·α + B·(1 - α): F follows from two scenes that differ in B alone."""
    light, dark = (Pattern((180, 320), scene=Scene(screen=colour)) for colour in ("#ffffff", "#000000"))
    for index in (0, 31):
        (bright, alpha), (dim, same_alpha) = light.draw(index), dark.draw(index)
        assert np.array_equal(alpha, same_alpha)
        behind = bright.astype(int) - dim  # 255 * (1 - alpha), each rounded once
        assert np.abs(behind - (255 - alpha.astype(int))[..., None]).max() <= 1
        edge = (alpha > 0) & (alpha < 255)
        assert edge.sum() > 100  # it is anti-aliased
        assert len(np.unique(alpha[edge])) > 20


def test_every_frame_follows_from_its_number() -> None:
    spec = "test:96x64@25,frames=8,noise=3,seed=5"
    first, second = (list(open_source(spec)) for _ in range(2))
    assert len(first) == 8
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.image_bgr, other.image_bgr)
        assert np.array_equal(one.alpha, other.alpha)
    assert [frame.time_s for frame in first] == [Fraction(i, 25) for i in range(8)]
    assert not np.array_equal(first[0].image_bgr, first[1].image_bgr)


def test_the_figure_moves_and_comes_back() -> None:
    pattern = Pattern((90, 160), Fraction(10))
    centres = [np.nonzero(pattern.draw(i)[1])[1].mean() for i in (0, 15, 45, 60)]
    assert centres[1] - centres[0] > 20
    assert centres[0] - centres[2] > 20
    assert abs(centres[3] - centres[0]) < 0.01


def test_still_noise_empty_and_screen() -> None:
    still = Pattern((90, 160), scene=Scene(still=True))
    assert np.array_equal(still.draw(0)[0], still.draw(40)[0])
    noisy = Pattern((90, 160), scene=Scene(still=True, noise=4.0))
    difference = noisy.draw(3)[0].astype(int) - still.draw(3)[0]
    assert 3.0 < difference[20:, :40].std() < 5.0
    assert np.array_equal(noisy.draw(3)[1], still.draw(3)[1])
    plate, alpha = Pattern((90, 160), scene=Scene(empty=True)).draw(7)
    assert not alpha.any()
    assert np.array_equal(plate, still.background_bgr)
    image, alpha = Pattern((90, 160), scene=Scene(screen="#00b140")).draw(0)
    assert (image[alpha == 0] == (0x40, 0xB1, 0x00)).all()


def test_size_and_rate_come_from_the_text_first_then_from_the_options() -> None:
    options = CaptureOptions(size_hw=(72, 128), rate=Fraction(30000, 1001))
    assert open_source("test:", options).size_hw == (72, 128)
    assert open_source("test:", options).rate == Fraction(30000, 1001)
    assert open_source("test:@24", options).rate == 24
    assert open_source("test:200x100", options).size_hw == (100, 200)
    assert open_source("test:").size_hw == (720, 1280)


def test_without_end_it_is_live() -> None:
    source = open_source("test:64x64@500")
    assert source.live
    frames = list(islice(source, 20))
    gaps = np.diff([frame.captured_s for frame in frames])
    assert frames[-1].captured_s - frames[0].captured_s >= 19 / 500 - 0.002
    assert gaps.min() >= 0


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("test:frame=3", "frames"), ("test:64x64@0", "rate"), ("test:64x64@x", "known"), ("test:4x4", "16384"),
        ("test:64x64,noise=loud", "noise=100"), ("test:64x64,still=1", "just still"),
        ("test:64x64,noise=-1", "noise 0"),
        ("test:64x64@1/0", "30000/1001"), ("test:screen=greenish", "#rrggbb"),
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_refused_with_a_remedy(spec: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(spec)
    assert hint in caught.value.hint
