"""Picture sinks: what is written is read again, and nothing half-written stays."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.capture.picture import read_picture
from edge_harmony.errors import SinkError
from edge_harmony.sinks.picture import write_picture


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".bmp", ".PNG"])
@pytest.mark.parametrize("channels", [(3,), (4,), ()])
def test_lossless_formats_give_back_what_was_written(tmp_path: Path, suffix: str, channels: tuple[int, ...]) -> None:
    if (suffix, channels) in ((".webp", ()), (".webp", (4,)), (".bmp", (4,))):
        pytest.skip("the format has no such pictures, or drops the colour where alpha is 0")
    image = _noise(70, 90, *channels)
    write_picture(tmp_path / f"a{suffix}", image)
    assert np.array_equal(read_picture(tmp_path / f"a{suffix}"), image)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_existing_picture_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, _noise(70, 90, 3))
    with pytest.raises(SinkError, match="exists already"):
        write_picture(path, _noise(80, 90, 3))
    assert read_picture(path).shape == (70, 90, 3)
    write_picture(path, _noise(80, 90, 3), overwrite=True)
    assert read_picture(path).shape == (80, 90, 3)


@pytest.mark.parametrize("name", ["a.gif2", "missing/a.png", "a"])
def test_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(SinkError) as caught:
        write_picture(tmp_path / name, _noise(70, 90, 3))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_limit_on_file_size(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(SinkError, match="File too large"):
            write_picture(tmp_path / "a.png", _noise(200, 200, 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_picture_too_large_for_its_format(tmp_path: Path) -> None:
    with pytest.raises(SinkError) as caught:
        write_picture(tmp_path / "a.jpg", np.zeros((64, 70_000, 3), np.uint8))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
