"""The clean plate: exact scenes, moved and re-exposed, and real shots."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.errors import ConfigError, MatteError, SourceError
from edge_harmony.matte.plate import CleanPlate
from edge_harmony.matte.registration import PlateTracker, apply_exposure, fit_exposure
from tests.scenes import flat, noisy, shot, soft_disc, textured

SIZE = (360, 480)


@pytest.fixture(scope="module")
def place() -> np.ndarray:
    return textured(SIZE, seed=4)


def _error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(found.astype(int) - truth).mean())


def _subject(colour: tuple[int, int, int] = (30, 40, 215)) -> np.ndarray:
    return noisy(flat(SIZE, colour), 6, seed=9)


def test_a_still_camera(place: np.ndarray) -> None:
    alpha = soft_disc(SIZE, 90, soft=6)
    found = CleanPlate(noisy(place, 2, 1))(shot(_subject(), alpha, place, sigma=2))
    assert (found[alpha == 0] == 0).mean() > 0.995
    assert (found[alpha == 255] == 255).mean() > 0.97
    assert _error(found, alpha) < 1.5


def test_exposure_and_white_balance_may_change(place: np.ndarray) -> None:
    alpha = soft_disc(SIZE, 90, soft=6)
    frame = shot(_subject(), alpha, place, sigma=2)
    changed = np.clip(frame * np.array([1.15, 0.9, 0.8]) + 3.5, 0, 255).astype(np.uint8)
    assert _error(CleanPlate(place)(changed), alpha) < 1.5


def test_the_camera_may_move(place: np.ndarray) -> None:
    alpha = soft_disc(SIZE, 80, soft=6)
    moved = cv2.warpAffine(
        place, np.float64([[1.01, 0.012, 9.3], [-0.012, 1.01, -6.4]]), SIZE[::-1], borderMode=cv2.BORDER_REFLECT
    )
    frame = shot(_subject(), alpha, moved, sigma=2)
    assert _error(CleanPlate(place)(frame), alpha) < 2.0
    assert _error(CleanPlate(place, align="always")(frame), alpha) < 2.0
    assert _error(CleanPlate(place, align="never")(frame), alpha) > 5.0


def test_auto_stops_aligning_when_the_camera_stands_still(place: np.ndarray) -> None:
    matte = CleanPlate(place)
    matte(noisy(place, 2))
    assert matte._stands_still is True
    matte.reset()
    assert matte._stands_still is None


def test_an_empty_place_gives_an_empty_matte(place: np.ndarray) -> None:
    assert not CleanPlate(noisy(place, 2, 1))(noisy(place, 2, 2)).any()


def test_a_flat_place_works_too() -> None:
    wall, alpha = flat(SIZE, (150, 160, 170)), soft_disc(SIZE, 90, soft=6)
    found = CleanPlate(noisy(wall, 2, 1))(shot(_subject(), alpha, wall, sigma=2))
    assert _error(found, alpha) < 1.5


def test_what_hides_the_plate_s_detail_is_subject_even_in_its_colour(place: np.ndarray) -> None:
    alpha = soft_disc(SIZE, 90, soft=3)
    mean = place[120:240, 180:300].reshape(-1, 3).mean(axis=0)
    found = CleanPlate(place)(shot(flat(SIZE, tuple(int(v) for v in mean)), alpha, place, sigma=2))
    assert (found[soft_disc(SIZE, 75, soft=1) == 255] > 250).mean() > 0.97


def test_a_gap_shows_the_place(place: np.ndarray) -> None:
    alpha = soft_disc(SIZE, 120, soft=3)
    alpha[150:220, 210:280] = 0
    found = CleanPlate(place)(shot(_subject(), alpha, place, sigma=2))
    assert (found[160:210, 220:270] < 10).mean() > 0.95


def test_small_things_that_moved_are_dropped(place: np.ndarray) -> None:
    alpha = soft_disc(SIZE, 90, soft=6)
    alpha[20:30, 20:30] = 255
    found = CleanPlate(place)(shot(_subject(), alpha, place, sigma=2))
    assert not found[:60, :60].any()
    assert found[180, 240] == 255


def test_the_subject_s_colour_is_freed_of_the_place(place: np.ndarray) -> None:
    alpha, subject = soft_disc(SIZE, 90, soft=14), flat(SIZE, (30, 40, 215))
    frame = shot(subject, alpha, place)
    matte = CleanPlate(place)
    found_alpha = matte(frame)
    soft = (alpha > 60) & (alpha < 250)
    found = matte.foreground(frame, found_alpha)
    assert np.abs(found.astype(float) - subject)[soft].mean() < 0.5 * np.abs(frame.astype(float) - subject)[soft].mean()


def test_exposure_is_fitted_beside_a_large_subject(place: np.ndarray) -> None:
    alpha = soft_disc(SIZE, 150, soft=3)
    frame = shot(_subject(), alpha, place, sigma=2)
    changed = np.clip(frame * np.array([1.1, 0.95, 0.85]), 0, 255).astype(np.uint8)
    gain, offset, noise = fit_exposure(place, changed)
    error = np.abs(apply_exposure(place, gain, offset).astype(float) - place * np.array([1.1, 0.95, 0.85]))
    assert error[(place < 220).all(axis=2)].max() < 4
    assert noise < 4


def test_the_plate_is_located_within_a_fraction_of_a_pixel(place: np.ndarray) -> None:
    matrix = np.array([[1.0, 0.01, 14.6], [-0.008, 1.0, -9.2], [0.0, 0.0, 1.0]])
    grey = cv2.cvtColor(place, cv2.COLOR_BGR2GRAY)
    frame = cv2.warpPerspective(grey, matrix, SIZE[::-1], borderMode=cv2.BORDER_REFLECT)
    frame[100:260, 160:320] = 128  # the subject
    found = PlateTracker(grey).locate(frame)
    corners = np.float32([[[60, 60]], [[420, 60]], [[420, 300]], [[60, 300]]])
    moved, expected = (cv2.perspectiveTransform(corners, m) for m in (found, matrix))
    assert np.abs(moved - expected).max() < 0.4


def test_wrong_plates_are_refused(place: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(MatteError) as caught:
        CleanPlate(place)(flat((100, 200), (1, 2, 3)))
    assert "480 x 360" in caught.value.message
    assert "200 x 100" in caught.value.message
    with pytest.raises(SourceError):
        CleanPlate(tmp_path / "missing.png")
    with pytest.raises(ConfigError):
        CleanPlate(place, align="sometimes")
    with pytest.raises(ConfigError):
        CleanPlate(place, band=0.9)


@pytest.mark.parametrize("number", ["0001", "0500", "1000", "1500"])
def test_real_hand_held_shots(shared_dir: Path, number: str) -> None:
    folder = shared_dir / "media" / "plate"
    frame = cv2.imread(str(folder / f"{number}_frame.jpg"))
    alpha = CleanPlate(folder / "plate.jpg")(frame)
    height, width = alpha.shape
    share = alpha.mean() / 255
    assert 0.155 < share < 0.195  # by eye: a sixth
    assert not alpha[:60].any()
    assert not alpha[:, width * 7 // 8 :].any()
    assert (alpha[height - 40 :, 560:980] == 255).mean() > 0.99  # her chest
    count, _, stats, _ = cv2.connectedComponentsWithStats((alpha > 127).astype(np.uint8))
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])[::-1]
    assert count >= 2
    assert areas[1:].sum() < 0.004 * areas[0]
    holes = cv2.connectedComponentsWithStats((alpha < 128).astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
    assert np.sort(holes)[::-1][1:].sum() < 0.006 * areas[0]
