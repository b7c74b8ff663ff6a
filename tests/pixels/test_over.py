"""Compositing is exact: held against the definition in plain integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_harmony.pixels.over import over


def _reference(fore: np.ndarray, alpha: np.ndarray, back: np.ndarray) -> np.ndarray:
    cover = alpha.astype(np.int64)[..., None]
    return (cover * fore + (255 - cover) * back + 127) // 255


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    fore, back = (rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(2))
    alpha = draw(arrays(np.uint8, (height, width), elements=st.sampled_from([0, 1, 127, 128, 254, 255])))
    return fore, alpha, back


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_over_is_the_definition(scene: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    fore, alpha, back = scene
    kept = fore.copy(), alpha.copy(), back.copy()
    result = over(fore, alpha, back)
    assert (result == _reference(fore, alpha, back)).all()
    assert not np.shares_memory(result, back)
    for array, copy in zip((fore, alpha, back), kept, strict=True):
        assert (array == copy).all()


def test_every_alpha_with_every_extreme() -> None:
    codes = np.arange(256, dtype=np.uint8)
    alpha = np.repeat(codes[:, None], 256, axis=1)
    fore = np.repeat(np.repeat(codes[None], 256, axis=0)[..., None], 3, axis=2)
    for back in (fore[:, ::-1].copy(), np.full_like(fore, 255), np.zeros_like(fore)):
        assert (over(fore, alpha, back) == _reference(fore, alpha, back)).all()


def test_nothing_and_everything() -> None:
    rng = np.random.default_rng(0)
    fore, back = (rng.integers(0, 256, (80, 90, 3), np.uint8) for _ in range(2))
    assert (over(fore, np.zeros((80, 90), np.uint8), back) == back).all()
    assert (over(fore, np.full((80, 90), 255, np.uint8), back) == fore).all()


@pytest.mark.parametrize("target", ["new", "fore", "back"])
def test_out_may_be_an_input(target: str) -> None:
    rng = np.random.default_rng(1)
    fore, back = (rng.integers(0, 256, (150, 90, 3), np.uint8) for _ in range(2))
    alpha = rng.integers(0, 256, (150, 90), np.uint8)
    expected = _reference(fore, alpha, back)
    out = {"new": np.empty_like(fore), "fore": fore, "back": back}[target]
    assert over(fore, alpha, back, out=out) is out
    assert (out == expected).all()
