"""Training data: deterministic under a seed whoever makes it, and true to its own description."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from edge_harmony.errors import SourceError
from training.data import (
    AugmentConfig,
    EpochSampler,
    PairedComposites,
    PhotoComposites,
    collate,
    list_photos,
    random_crop,
    to_float,
)


def batches(photos: Path, workers: int, count: int = 4, start: int = 0, seed: int = 3) -> list[dict[str, torch.Tensor]]:
    data = PhotoComposites(photos, seed)
    sampler = EpochSampler(len(data), seed, lambda position: 64, start)
    loader = DataLoader(data, 3, sampler=sampler, num_workers=workers, collate_fn=collate)
    return list(islice(iter(loader), count))


def same(one: list[dict[str, torch.Tensor]], two: list[dict[str, torch.Tensor]]) -> bool:
    return all(torch.equal(a[k], b[k]) for a, b in zip(one, two, strict=True) for k in a)


def test_samples_are_the_same_with_any_number_of_workers(photos: Path) -> None:
    assert same(batches(photos, 0), batches(photos, 2))


def test_samples_are_the_same_after_a_resume(photos: Path) -> None:
    assert same(batches(photos, 0, 4)[2:], batches(photos, 0, 2, start=6))


def test_seed_and_epoch_change_samples(photos: Path) -> None:
    data = PhotoComposites(photos, 3)
    first = data[0, 2, 64]
    assert np.array_equal(first["foreground"], data[0, 2, 64]["foreground"])
    assert not np.array_equal(first["foreground"], data[1, 2, 64]["foreground"])
    assert not np.array_equal(first["foreground"], PhotoComposites(photos, 4)[0, 2, 64]["foreground"])


def test_cache_changes_nothing(photos: Path) -> None:
    plain, cached = PhotoComposites(photos, 3), PhotoComposites(photos, 3, cache=True)
    for _ in range(2):
        for name, value in plain[0, 5, 64].items():
            assert np.array_equal(value, cached[0, 5, 64][name])


def test_samples_are_what_they_are_said_to_be(photos: Path) -> None:
    data = PhotoComposites(photos, 0)
    disturbed = 0
    for index in range(len(data)):
        sample = data[0, index, 96]
        assert {k: (v.shape, v.dtype) for k, v in sample.items()} == {
            "real": ((96, 96, 3), np.uint8),
            "foreground": ((96, 96, 3), np.uint8),
            "background": ((96, 96, 3), np.uint8),
            "mask": ((96, 96), np.uint8),
            "given": ((96, 96), np.uint8),
        }
        assert 0 < (sample["mask"] > 127).mean() < 1
        disturbed += not np.array_equal(sample["real"], sample["foreground"])
    assert disturbed >= len(data) - 3


def test_composite_differs_from_the_truth_in_the_foreground_alone(photos: Path) -> None:
    batch = to_float(batches(photos, 0, 1)[0], torch.device("cpu"))
    assert batch["composite"].dtype == torch.float32
    assert 0 <= batch["composite"].min() <= batch["composite"].max() <= 1
    outside = (batch["mask"] == 0).expand(-1, 3, -1, -1)
    assert torch.equal(batch["composite"][outside], batch["real"][outside])
    inside = (batch["mask"] == 1).expand(-1, 3, -1, -1)
    torch.testing.assert_close(batch["composite"][inside], batch["foreground"][inside])


def test_crops_hold_foreground_and_background() -> None:
    image, mask = np.zeros((100, 140, 3), np.uint8), np.zeros((100, 140), np.uint8)
    mask[5:25, 5:30] = 255
    for seed in range(30):
        _, cut = random_crop(image, mask, 64, np.random.default_rng(seed))
        assert 0 < (cut > 0.5).mean() < 0.95


# --- order


def test_every_epoch_is_a_permutation() -> None:
    keys = list(islice(EpochSampler(7, 0, lambda p: 64), 21))
    for epoch in range(3):
        part = keys[7 * epoch : 7 * epoch + 7]
        assert [k[0] for k in part] == [epoch] * 7
        assert sorted(k[1] for k in part) == list(range(7))
    assert [k[1] for k in keys[:7]] != [k[1] for k in keys[7:14]]


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("start", [0, 5])
def test_ranks_share_the_order_of_one_process(ranks: int, start: int) -> None:
    def size_at(position: int) -> int:
        return 64 if position < 9 else 96

    alone = list(islice(EpochSampler(7, 1, size_at, start), 6 * ranks))
    for rank in range(ranks):
        assert list(islice(EpochSampler(7, 1, size_at, start, rank, ranks), 6)) == alone[rank::ranks]


# --- folders


def test_paired_composites_keep_the_pair_aligned(bench: Path) -> None:
    data = PairedComposites(bench, Path("list.txt"), seed=1)
    assert len(data) == 4
    for index in range(4):
        sample = data[0, index, 64]
        inside = sample["mask"] == 255
        outside = cv2.dilate(sample["mask"], np.ones((3, 3), np.uint8)) == 0  # a pixel at the rim holds a bit of both
        np.testing.assert_allclose(sample["foreground"][inside], sample["real"][inside] / 2, atol=1.5)
        assert np.array_equal(sample["foreground"][outside], sample["real"][outside])


def test_photos_without_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="real_images"):
        list_photos(tmp_path)
    (tmp_path / "real_images").mkdir()
    with pytest.raises(SourceError) as error:
        list_photos(tmp_path)
    assert error.value.hint
    cv2.imwrite(str(tmp_path / "real_images" / "a.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(SourceError, match=r"a\.png"):
        list_photos(tmp_path)


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    for folder, shape in (("real_images", (64, 80, 3)), ("masks", (80, 64))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros(shape, np.uint8))
    with pytest.raises(SourceError, match=r"a\.png"):
        PhotoComposites(tmp_path).photo(0)


def test_broken_photo_is_refused(tmp_path: Path) -> None:
    for folder in ("real_images", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match="no picture"):
        PhotoComposites(tmp_path).photo(0)


@pytest.mark.parametrize("size", [64, 192, 256])
def test_crops_are_hardly_enlarged(size: int) -> None:
    h, w = 256, 340
    photo = np.zeros((h, w, 3), np.uint8)
    photo[..., 0] = np.linspace(0, 255, w)[None]
    photo[..., 1] = np.linspace(0, 255, h)[:, None]
    mask = np.zeros((h, w), np.uint8)
    mask[60:200, 80:260] = 255
    for seed in range(20):
        image, _ = random_crop(photo, mask, size, np.random.default_rng(seed))
        for channel, side in ((0, w), (1, h)):
            taken = np.ptp(image[..., channel]) * side
            assert taken > size / 1.15 - 6
            assert taken > 0.55 * side - 6


def test_borrowed_regions_are_those_of_other_photos(tmp_path: Path) -> None:
    for folder in ("real_images", "masks"):
        (tmp_path / folder).mkdir()
    for name, rows, size_hw in (("upper", slice(0, 40), (80, 90)), ("lower", slice(50, 100), (100, 80))):
        mask = np.zeros(size_hw, np.uint8)
        mask[rows] = 255
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
        cv2.imwrite(str(tmp_path / "real_images" / f"{name}.png"), np.full((*size_hw, 3), 99, np.uint8))

    def upper_first(borrowed: float) -> list[bool]:  # the region of "upper" lies above the rest in every crop
        config = AugmentConfig(borrowed=borrowed, clean_cut=0.0, mask_errors=0.0)
        data = PhotoComposites(tmp_path, 3, config)
        masks = [data[epoch, 1, 64]["mask"] for epoch in range(12)]
        return [bool(mask[0].mean() > mask[-1].mean()) for mask in masks]

    assert all(upper_first(0.0))
    assert set(upper_first(1.0)) == {True, False}
