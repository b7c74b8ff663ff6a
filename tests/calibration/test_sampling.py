"""Samples are spread evenly over the source, unlike each other, and do not pile up in memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.sampling import MIN_DISTANCE, EvenSampler, distance, thumbnail
from edge_harmony.contract import WORKING_SIZE
from tests.calibration.conftest import sample


def flat(code: int, mark: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A sample of one colour; ``mark`` is written into one pixel, to know it again."""
    view = np.full((WORKING_SIZE, WORKING_SIZE, 3), code, np.uint8)
    view[0, 0] = (mark % 256, mark // 256, 0)
    return view, np.full((WORKING_SIZE, WORKING_SIZE), 255, np.uint8)


def mark_of(view: np.ndarray) -> int:
    return int(view[0, 0, 0]) + 256 * int(view[0, 0, 1])


def run(sampler: EvenSampler, length: int) -> list[int]:
    """Offer frames that all differ, as a source would; returns the indices of those chosen."""
    for index in range(length):
        if sampler.distance_to_candidate(index) == 0:
            sampler.offer(index, flat(128, index))
    chosen = [mark_of(view) for view, _ in sampler.chosen()]
    sampler.close()
    return chosen


def test_black_and_white_are_a_hundred_apart() -> None:
    black, white = thumbnail(flat(0)), thumbnail(flat(255))
    assert distance(black, white) == pytest.approx(100, abs=0.5)
    assert distance(black, black) == pytest.approx(0, abs=0.1)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.5, 6))
def test_camera_noise_makes_no_new_sample_but_another_picture_does(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    view, mask = sample(seed)
    noisy = np.clip(view + rng.normal(0, noise, view.shape), 0, 255).round().astype(np.uint8)
    sampler = EvenSampler(5)
    assert sampler.offer(0, (view, mask))
    assert not sampler.offer(1, (noisy, mask))
    assert sampler.offer(2, sample(seed + 1))
    assert (sampler.candidates, sampler.duplicates, len(sampler)) == (3, 1, 2)
    sampler.close()


def test_a_moved_subject_is_a_new_sample() -> None:
    view, mask = sample(0)
    sampler = EvenSampler(5)
    assert sampler.offer(0, (view, mask))
    assert sampler.offer(1, (view, np.roll(mask, 40, axis=1)))
    sampler.close()


def test_samples_of_the_set_that_is_added_to_are_known() -> None:
    sampler = EvenSampler(5, known=[thumbnail(sample(1)), thumbnail(sample(2))])
    assert not sampler.offer(0, sample(2))
    assert sampler.offer(1, sample(3))
    sampler.close()


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 12), length=st.integers(1, 700), known=st.booleans())
def test_chosen_frames_are_spread_evenly(count: int, length: int, known: bool) -> None:
    chosen = run(EvenSampler(count, length if known else None, min_distance=0), length)
    assert len(chosen) == min(count, length)
    assert chosen == sorted(set(chosen))
    ends = [0, *chosen, length]
    gaps = np.diff(ends)
    assert gaps.max() <= 3 * max(1, length / count)


def test_the_length_saves_looking_at_frames() -> None:
    sampler = EvenSampler(10, 1000)
    wanted = sum(sampler.distance_to_candidate(i) == 0 for i in range(1000))
    assert 20 <= wanted <= 40
    sampler.close()


def test_a_duplicate_after_a_drop_is_still_found() -> None:
    sampler = EvenSampler(2)
    for index in range(5):  # more than four: every other one is dropped
        sampler.offer(index, sample(index))
    assert sampler.stride == 2
    assert not sampler.offer(6, sample(4))  # kept
    assert sampler.offer(8, sample(1))  # dropped, so that it is new again
    sampler.close()


def test_memory_does_not_grow_with_the_source() -> None:
    def peak(length: int) -> int:
        tracemalloc.start()
        run(EvenSampler(8, min_distance=MIN_DISTANCE * 0), length)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    short, long = peak(100), peak(1500)
    assert long < 1.2 * short + 100_000
    assert long < 12e6  # a sample is 262 kB, and the largest part is its thumbnail's float32 copy
