"""A pack holds what training needs in little space, and one call makes a measured model of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edge_harmony.errors import ConfigError, SinkError, SourceError
from training import pack, timed
from training.data import list_photos, read_mask, read_rgb

CONFIG = """\
batch = 2
stages = [[0.0, 64]]
warmup = 2
[augment]
cutouts = 0.5
[generator]
stem = 8
widths = [8, 16, 16, 16]
context = [0, 1]
code_size = 16
code_per_scale = 8
"""


def packed(photos: Path, bench: Path, out: Path, *more: str) -> Path:
    assert pack.main([
        "--data", str(photos), "--subjects", str(photos), "--bench", str(bench), "--list", "list.txt",
        "-o", str(out), *more,
    ]) == 0  # fmt: skip
    return out


def test_a_pack_is_the_data_again_and_small(photos: Path, bench: Path, tmp_path: Path) -> None:
    out = packed(photos, bench, tmp_path / "pack")
    for folder in ("data", "subjects"):
        pairs = list_photos(out / folder)
        assert len(pairs) == len(list_photos(photos))
        for (photo, mask), (photo_before, mask_before) in zip(pairs, list_photos(photos), strict=True):
            assert np.abs(read_rgb(photo).astype(int) - read_rgb(photo_before)).mean() < 4
            assert np.array_equal(read_mask(mask) > 127, read_mask(mask_before) > 127)
    assert (out / "bench" / "list.txt").read_text() == (bench / "list.txt").read_text()
    assert len(list((out / "bench" / "composite_images").iterdir())) == 4


def test_photos_are_read_down_until_they_fit(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "real_images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i in range(6):
        noise = np.random.default_rng(i).integers(0, 256, (400, 500, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "real_images" / f"{i}.png"), noise)
        mask = np.pad(np.full((200, 200), 255, np.uint8), ((100, 100), (150, 150)))
        cv2.imwrite(str(root / "masks" / f"{i}.png"), mask)
    out = tmp_path / "pack"
    assert pack.main(["--data", str(root), "-o", str(out), "--most-mib", "0.12"]) == 0
    assert sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) < 0.12 * pack.MIB
    with pytest.raises(SinkError, match="do not fit") as error:
        pack.main(["--data", str(root), "-o", str(tmp_path / "less"), "--most-mib", "0.01"])
    assert "--most-mib" in error.value.hint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pack", "photos"]  # nothing half done stays
    with pytest.raises(SinkError, match="exists"):
        pack.main(["--data", str(root), "-o", str(out)])


@pytest.mark.slow
def test_one_call_makes_a_measured_model(
    photos: Path, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = timed.seconds_per_step
    monkeypatch.setattr(timed, "ENDING", 0.0)
    monkeypatch.setattr(timed, "TRIED", 10)
    monkeypatch.setattr(timed, "seconds_per_step", lambda log, batch: max(4.0, pace(log, batch)))  # few steps
    config, out = tmp_path / "small.toml", tmp_path / "results"
    config.write_text(CONFIG)
    folder = packed(photos, bench, tmp_path / "pack")
    call = [str(folder), "--config", str(config), "--out", str(out), "--workers", "0", "--threads", "1"]
    assert timed.main([*call, "--minutes", "2"]) == 0
    model = onnx.load(out / "small.onnx")
    assert {p.key: p.value for p in model.metadata_props}["edge_harmony.model"] == "small"
    figures = json.loads((out / "figures.json").read_text())
    assert figures["summary"]["all"]["images"] == 4
    with pytest.raises(ConfigError, match="over"):
        timed.main([*call, "--minutes", "0"])


def test_a_folder_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    with pytest.raises(SourceError, match="no pack"):
        timed.main([str(tmp_path), "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path), "--minutes", "1"])
