"""Mattes from files, real files each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.errors import MatteError, SourceError
from edge_harmony.matte.file import AlphaFile, read_mask
from tests.scenes import flat, shot, soft_disc

SIZE = (96, 128)
FRAME = flat(SIZE, (10, 20, 30))


def _write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_a_grey_picture_serves_every_frame(tmp_path: Path) -> None:
    alpha = soft_disc(SIZE, 30)
    matte = AlphaFile(_write(tmp_path / "mask.png", alpha))
    for _ in range(3):
        assert (matte(FRAME) == alpha).all()


def test_a_mask_saved_in_colour_is_read_as_grey(tmp_path: Path) -> None:
    alpha = soft_disc(SIZE, 30)
    assert (read_mask(_write(tmp_path / "mask.png", cv2.merge([alpha] * 3))) == alpha).all()
    jpeg = read_mask(_write(tmp_path / "mask.jpg", cv2.merge([alpha] * 3)))
    assert np.abs(jpeg.astype(int) - alpha).mean() < 2


def test_the_alpha_channel_is_the_mask_and_its_colours_are_straight(tmp_path: Path) -> None:
    alpha = soft_disc(SIZE, 30)
    path = _write(tmp_path / "cut.png", np.dstack([FRAME, alpha]))
    matte = AlphaFile(path)
    assert (matte(FRAME) == alpha).all()
    assert matte.foreground(FRAME, alpha) is FRAME


def test_a_separate_mask_s_foreground_is_estimated(tmp_path: Path) -> None:
    alpha = soft_disc(SIZE, 30, soft=10)
    frame = shot(flat(SIZE, (200, 40, 40)), alpha, flat(SIZE, (0, 200, 0)))
    path = _write(tmp_path / "mask.png", alpha)
    soft = (alpha > 60) & (alpha < 255)
    found = AlphaFile(path).foreground(frame, alpha)
    assert np.abs(found[soft].astype(int) - (200, 40, 40)).mean() < 12
    assert AlphaFile(path, estimate=False).foreground(frame, alpha) is frame


def test_zeros_and_ones_are_stretched_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mask = (soft_disc(SIZE, 30) > 127).astype(np.uint8)
    assert (read_mask(_write(tmp_path / "mask.png", mask)) == mask * 255).all()
    assert "only 0 and 1" in caplog.text


def test_a_folder_of_masks_is_one_a_frame(tmp_path: Path) -> None:
    masks = [np.full(SIZE, value, np.uint8) for value in (10, 20, 30)]
    for number, mask in enumerate(masks):
        _write(tmp_path / f"{number}.png", cv2.merge([mask] * 3))
    matte = AlphaFile(tmp_path)
    assert [int(matte(FRAME)[0, 0]) for _ in masks] == [10, 20, 30]
    with pytest.raises(MatteError, match="ends after 3 frames"):
        matte(FRAME)
    matte.reset()
    assert matte(FRAME)[0, 0] == 10
    matte.close()


def test_a_mask_video_is_one_a_frame(shared_dir: Path) -> None:
    path = shared_dir / "media" / "clip" / "mask.mp4"
    matte = AlphaFile(path)
    frame = flat((1080, 1920), (1, 2, 3))
    first, second = matte(frame).copy(), matte(frame).copy()
    assert first.max() >= 250
    assert first.min() <= 4
    assert (first != second).any()
    matte.reset()
    assert (matte(frame) == first).all()
    matte.close()


def test_another_size_names_both_and_the_remedy(tmp_path: Path) -> None:
    path = _write(tmp_path / "mask.png", soft_disc((64, 70), 20))
    with pytest.raises(MatteError) as caught:
        AlphaFile(path)(FRAME)
    assert "70 x 64" in caught.value.message
    assert "128 x 96" in caught.value.message
    assert "scale it to 128 x 96" in caught.value.hint


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        AlphaFile(tmp_path / "missing.png")
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    with pytest.raises(MatteError, match="colour picture"):
        read_mask(_write(tmp_path / "photo.png", photo))
    deep = soft_disc(SIZE, 30)
    assert (read_mask(_write(tmp_path / "deep.png", deep.astype(np.uint16) * 257)) == deep).all()
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SourceError):
        read_mask(tmp_path / "text.png")
