"""Cut-outs: a subject stands before another picture, and one look on both is the truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training import cutouts
from training.data import AugmentConfig, PhotoComposites

SUBJECT, GROUND = (200, 40, 40), (30, 60, 160)  # colours of the photos that are made here, RGB


def photo_folder(root: Path, count: int, colours: tuple, marked: bool) -> Path:
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i in range(count):
        picture, mask = np.full((120, 90, 3), colours[1], np.uint8), np.zeros((120, 90), np.uint8)
        mask[20:110, 25:65] = 255
        if marked:
            picture[mask > 0] = colours[0]
        cv2.imwrite(str(root / "images" / f"{i}.png"), picture[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{i}.png"), mask)
    return root


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Photos that are blue all over, and red subjects before grey."""
    grounds = photo_folder(tmp_path / "grounds", 6, (GROUND, GROUND), False)
    return grounds, photo_folder(tmp_path / "people", 4, (SUBJECT, (128, 128, 128)), True)


def samples(folders: tuple[Path, Path], count: int, **settings) -> list[dict[str, np.ndarray]]:
    config = AugmentConfig(cutouts=1.0, subjects=1.0, rims=0.0, degrade=0.0, mask_errors=0.0, **settings)
    data = PhotoComposites(folders[0], 5, config, subjects=[folders[1]])
    return [data[epoch, i, 96] for epoch in range(count // 6 + 1) for i in range(6)][:count]


def test_subjects_stand_before_other_photos_without_a_rim_of_their_own(folders: tuple[Path, Path]) -> None:
    shares = []
    for sample in samples(folders, 40, same=1.0):
        inside = sample["mask"] > 128
        off = np.abs(sample["foreground"][inside].astype(int) - SUBJECT).max(1)
        assert (off > 8).mean() < 0.1  # of grey, which the subject stood before
        assert np.array_equal(sample["real"], sample["foreground"])
        if (sample["background"] == GROUND).all():  # a subject's photo may be a background too
            shares.append(inside.mean())
    assert min(shares) < 0.06
    assert max(shares) > 0.3


def test_one_look_on_subject_and_background_is_the_truth(folders: tuple[Path, Path]) -> None:
    looked = 0
    for sample in samples(folders, 60, same=0.0, own_look=0.0):
        inside = sample["mask"] > 250
        if not inside.any():
            continue
        assert np.abs(sample["foreground"][inside].astype(int) - SUBJECT).mean() < 2  # as it was
        moved = np.abs(sample["real"][inside].astype(int) - SUBJECT).mean()
        seen = np.abs(sample["background"].astype(int) - GROUND).mean()
        looked += moved > 3 and seen > 1
    assert looked > 40


def test_a_subject_may_have_a_look_of_its_own(folders: tuple[Path, Path]) -> None:
    changed = sum(
        np.abs(s["foreground"][s["mask"] > 250].astype(int) - SUBJECT).mean() > 3
        for s in samples(folders, 40, same=0.0, own_look=1.0)
        if (s["mask"] > 250).any()
    )
    assert changed > 20


def test_views_have_the_size_asked_for_and_enlarge_little() -> None:
    rng = np.random.default_rng(1)
    photo, mask = rng.integers(0, 255, (90, 60, 3), np.uint8), np.zeros((90, 60), np.uint8)
    mask[10:80, 10:50] = 255
    for aspect in cutouts.ASPECTS:
        assert cutouts.background_view(photo, 128, aspect, rng).shape == (128, 128, 3)
        for _ in range(20):
            placed = cutouts.place(photo, mask, 128, aspect, rng)
            assert placed is not None
            layer, alpha = placed
            assert layer.shape == (128, 128, 3)
            assert alpha.shape == (128, 128)
            rows = np.flatnonzero((alpha > 0.5).any(1))
            assert len(rows) <= cutouts.ENLARGED * 76 + 2


def test_a_photo_without_a_subject_gives_no_cut_out() -> None:
    photo = np.zeros((90, 60, 3), np.uint8)
    assert cutouts.place(photo, np.zeros((90, 60), np.uint8), 64, 1.0, np.random.default_rng(0)) is None


def test_the_largest_piece_without_the_subject_is_found() -> None:
    photo = np.arange(100 * 160 * 3, dtype=np.uint32).reshape(100, 160, 3).astype(np.uint8)
    mask = np.zeros((100, 160), np.uint8)
    mask[10:90, 20:60] = 255
    piece = cutouts.without_subject(photo, mask)
    assert piece is not None
    assert np.array_equal(piece, photo[:, 60 + cutouts.RIM :])  # what lies right of it
    mask[:, 75:] = 255
    assert cutouts.without_subject(photo, mask) is None  # nothing wide enough is left
    assert cutouts.without_subject(photo, np.zeros_like(mask)) is None


def test_a_subject_in_its_own_light_is_right_as_it_was(folders: tuple[Path, Path], tmp_path: Path) -> None:
    disturbed = 0
    people = photo_folder(tmp_path / "wide", 4, (SUBJECT, (128, 128, 128)), True)
    for i in range(4):  # room beside the subject
        for kind, fill in (("images", 128), ("masks", 0)):
            picture = cv2.imread(str(people / kind / f"{i}.png"), cv2.IMREAD_COLOR if kind == "images" else 0)
            wide = np.full((120, 200, *picture.shape[2:]), fill, np.uint8)
            wide[:, :90] = picture
            cv2.imwrite(str(people / kind / f"{i}.png"), wide)
    for sample in samples((folders[0], people), 40, own=1.0, grade=0.0, transfers=0.0, photographic=1.0, both=0.0):
        inside = sample["mask"] > 250
        assert np.abs(sample["background"].astype(int) - 128).max() <= 1  # its own photo, and nothing of the subject
        if inside.any():
            assert np.abs(np.median(sample["real"][inside], 0) - SUBJECT).max() <= 2
            disturbed += np.abs(sample["foreground"][inside].astype(int) - sample["real"][inside]).mean() > 2
    assert disturbed > 25


def test_a_close_view_has_the_larger_subject() -> None:
    from training.data import random_crop

    photo, mask = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200), np.uint8)
    mask[80:120, 80:120] = 255
    shares = [
        [random_crop(photo, mask, 96, np.random.default_rng(i), close)[1].mean() for i in range(40)]
        for close in (False, True)
    ]
    assert np.mean(shares[1]) > 1.2 * np.mean(shares[0])
