"""Looks: the same for whatever picture they are applied to, and what their file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_harmony.errors import SourceError
from training.looks import Looks, light_look, toned_look, weakened

RNG = np.random.default_rng(0)
PICTURE = RNG.random((24, 32, 3), np.float32)


def cube(function) -> np.ndarray:
    """A film as a table of 17 levels, indexed by red, green and blue."""
    levels = np.linspace(0, 1, 17)
    own = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1)
    return (np.clip(function(own), 0, 1) * 255 + 0.5).astype(np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    film = np.stack([cube(lambda c: c), cube(lambda c: c[..., ::-1] * 0.5 + 0.25)])
    light = np.zeros((1, 3, 11), np.float32)
    light[0, 0, 0], light[0, 1, 1], light[0, 2, 2] = 0.5, 1.0, 0.9
    light[0, 1, 6] = 0.5 / 255  # green takes half of red's square
    light[0, 2, 10] = 10.0
    path = tmp_path / "looks.npz"
    np.savez(path, film=film, light=light)
    return path


def test_a_film_is_applied_as_its_table_says(file: Path) -> None:
    looks = Looks(file)
    np.testing.assert_allclose(looks.film_look(0)(PICTURE), PICTURE, atol=2 / 255)
    swapped = looks.film_look(1)(PICTURE)
    np.testing.assert_allclose(swapped, PICTURE[..., ::-1] * 0.5 + 0.25, atol=0.02)  # a cell of the table is 1/63 wide


def test_a_light_is_its_polynomial(file: Path) -> None:
    looks = Looks(file)
    assert looks.light is not None
    r, g, b = PICTURE[..., 0], PICTURE[..., 1], PICTURE[..., 2]
    expected = np.stack((0.5 * r, g + 0.5 * r * r, 0.9 * b + 10 / 255), -1)
    np.testing.assert_allclose(light_look(looks.light[0])(PICTURE), expected, atol=1e-5)


@pytest.mark.parametrize("with_file", [True, False])
def test_one_look_does_the_same_to_every_picture(file: Path, with_file: bool) -> None:
    looks, rng = Looks(file if with_file else None), np.random.default_rng(3)
    changed = 0
    for _ in range(40):
        look = looks.draw(rng)
        first = look(PICTURE)
        assert first.dtype == np.float32
        assert 0 <= first.min() <= first.max() <= 1
        np.testing.assert_array_equal(first, look(PICTURE))
        changed += float(np.abs(first - PICTURE).mean()) > 0.005
    assert changed > 30


def test_toned_looks_keep_the_order_of_greys_and_tint_them() -> None:
    rng = np.random.default_rng(5)
    greys = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], 3, 2)
    casts, washed = [], 0
    for _ in range(60):
        look = toned_look(rng)
        toned = look(greys)
        assert 0 <= toned.min() <= toned.max() <= 1
        assert (np.diff(toned, axis=1) >= 0).all()  # what was darker stays so
        casts.append(float(np.ptp(toned, 2).mean()))
        red, blue = look(np.float32([[[0.8, 0.2, 0.2]], [[0.2, 0.2, 0.8]]]))[:, 0]
        washed += float(np.abs(red - blue).max()) < 0.3
    assert 0.02 < np.median(casts) < 0.2  # 5 to 50 code values between the channels
    assert 5 < washed < 35  # a part of them has next to no colour of its own


def test_strength_scales_the_way() -> None:
    half = weakened(lambda image: np.ones_like(image), 0.5)
    np.testing.assert_allclose(half(PICTURE), PICTURE + 0.5 * (1 - PICTURE), atol=1e-6)


def test_files_that_hold_no_looks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", film=np.zeros((1, 3, 3, 3), np.uint8), light=np.zeros((1, 3, 11), np.float32))
    np.savez(tmp_path / "half.npz", film=np.zeros((1, 3, 3, 3, 3), np.uint8))
    for name in ("none.npz", "text.npz", "other.npz", "half.npz"):
        with pytest.raises(SourceError, match=name) as error:
            Looks(tmp_path / name)
        assert "--looks" in error.value.hint
