"""HDR pictures of cameras and phones: mapped as video is, to the value, and said."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.capture import decode_picture as module
from edge_harmony.capture.decode_picture import decode_picture
from edge_harmony.capture.hdr import to_sdr
from tests.cli.runner import run

pillow_heif = pytest.importorskip("pillow_heif")
SIGNAL = np.array([0.1, 0.3, 0.58, 0.7])
TRANSFERS = {"PQ": 16, "HLG": 18}


def _heic(transfer: int, alpha: bool = False) -> bytes:
    deep = np.repeat(np.repeat(np.round(SIGNAL * 65535).astype(np.uint16), 64)[None], 64, 0)
    channels = [deep] * 3 + ([np.full_like(deep, 32768)] if alpha else [])
    picture = pillow_heif.from_bytes("RGBA;16" if alpha else "RGB;16", (256, 64), np.dstack(channels).tobytes())
    file = io.BytesIO()
    picture.save(
        file, quality=-1, color_primaries=9, transfer_characteristics=transfer, matrix_coefficients=9,
        full_range_flag=1,
    )  # fmt: skip
    return file.getvalue()


def _avif(transfer: int) -> bytes:
    from PIL import Image

    grey = np.repeat(np.repeat(np.round(SIGNAL * 255).astype(np.uint8), 64)[None], 64, 0)
    file = io.BytesIO()
    Image.fromarray(np.dstack([grey] * 3)).save(file, "AVIF", quality=100)
    data = bytearray(file.getvalue())
    at = data.index(b"colrnclx") + 10
    data[at : at + 2] = transfer.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("curve", TRANSFERS)
@pytest.mark.parametrize("kind", ["heic", "heic with alpha", "avif"])
def test_hdr_pictures_are_tone_mapped(curve: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    transfer = TRANSFERS[curve]
    data = _avif(transfer) if kind == "avif" else _heic(transfer, "alpha" in kind)
    module._said.clear()
    with caplog.at_level(logging.INFO):
        image = decode_picture(data, "sea")
        decode_picture(data, "sea again")
    assert sum("tone-mapped to 8-bit sRGB" in record.message for record in caplog.records) == 1
    expected = 255 * to_sdr(SIGNAL[:, None] * np.ones(3), curve)
    for place, wanted in enumerate(expected):
        cell = image[16:48, 64 * place + 16 : 64 * place + 48]
        assert np.abs(cell[..., :3].reshape(-1, 3).mean(0) - wanted[::-1]).max() < (1.2 if kind != "avif" else 3)
    if "alpha" in kind:
        assert np.abs(image[..., 3].astype(int) - 128).max() <= 1
    assert np.abs(decode_picture(data, "mask", mask=True)[32, 32, 0].astype(int) - 25) <= 2, "values are what counts"


def test_standard_range_is_left_alone() -> None:
    image = decode_picture(_avif(13), "sea")
    assert np.abs(image[32, 32::64, 0].astype(int) - np.round(SIGNAL * 255)).max() <= 2


@pytest.mark.parametrize(
    ("primaries", "rgb", "expected"),
    [
        (12, (200, 60, 40), (217, 42, 23)),
        (12, (128, 128, 128), (128, 128, 128)),
        (9, (160, 90, 60), (191, 76, 52)),
        (1, (200, 60, 40), (200, 60, 40)),
    ],
)
def test_primaries_that_are_named_by_number(
    primaries: int, rgb: tuple[int, ...], expected: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """The values are worked out from the chromaticities of H.273, in double precision."""
    picture = pillow_heif.from_bytes("RGB", (64, 64), np.full((64, 64, 3), rgb, np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(
        file, quality=-1, color_primaries=primaries, transfer_characteristics=13, matrix_coefficients=6,
        full_range_flag=1,
    )  # fmt: skip
    module._said.clear()
    with caplog.at_level(logging.INFO):
        image = decode_picture(file.getvalue(), "sea")
    assert np.abs(image[32, 32, ::-1].astype(int) - expected).max() <= 2
    assert ("converted to sRGB" in caplog.text) == (primaries != 1)


def test_as_a_background(tmp_path: Path) -> None:
    (tmp_path / "sea.heic").write_bytes(_heic(16))
    words = ("process", "test:256x64,frames=1", "--bg", tmp_path / "sea.heic", "--model", "none", "--crf", 0)
    done = run(*words, "-o", tmp_path / "o.mkv")
    assert done.code == 0, done.err
    assert "HDR (PQ): tone-mapped" in done.err
