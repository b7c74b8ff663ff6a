"""Pictures that are made to cost memory and time are refused by what the decoder itself says, not by their header."""

from __future__ import annotations

import io
import os
import resource
import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from edge_harmony.errors import SourceError
from edge_harmony.web.decoding import convert
from edge_harmony.web.picture_header import PictureHeader, read_header
from edge_harmony.web.uploads import Uploads
from tests.attack.how_long import many
from tests.web.test_picture_header import png_of


def jpeg_of(width: int, height: int, progressive: bool = False) -> bytes:
    """A JPEG of any size whose few bytes are those of a small one: the rest is missing, which decoders forgive."""
    small = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8), (cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)))[
        1
    ].tobytes()
    at = small.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return small[: at + 5] + struct.pack(">HH", height, width) + small[at + 9 :]


def misleading(bomb: bytes) -> bytes:
    """The same behind a restart marker, with a small size where who takes that marker for a segment goes on reading."""
    (skipped,) = struct.unpack_from(">H", bomb, 2)  # the first segment's marker, read as a length
    (first,) = struct.unpack_from(">H", bomb, 4)
    head = b"\xff\xd8\xff\xd0" + bomb[2 : 4 + first]
    comment = bytearray(65533)
    comment[0:2] = struct.pack(">H", 65533)
    at = 4 + skipped - (len(head) + 2)
    comment[at : at + 17] = b"\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03" + bytes(7)
    return head + b"\xff\xfe" + bytes(comment) + bomb[4 + first :]


def swollen(kind: str, width: int, height: int) -> bytes:
    """A small picture of Pillow's whose header says another size."""
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(file, kind)
    data = bytearray(file.getvalue())
    if kind == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
        at = data.index(b",", 13)
        data[at + 5 : at + 9] = struct.pack("<HH", width, height)
    elif kind == "TIFF":
        start = struct.unpack_from("<I", data, 4)[0]
        for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
            tag = struct.unpack_from("<H", data, entry)[0]
            if tag in (0x100, 0x101):
                struct.pack_into("<HII", data, entry + 2, 4, 1, width if tag == 0x100 else height)
    else:  # HEIF and AVIF
        at = data.index(b"ispe") + 8
        data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


BOMBS = {
    **{f"swollen {kind}": swollen(kind, 20_000, 20_000) for kind in ("GIF", "TIFF", "AVIF", "HEIF")},
    "jpeg": jpeg_of(20_000, 20_000),
    "jpeg behind a restart marker": misleading(jpeg_of(20_000, 20_000)),
    "largest jpeg": misleading(jpeg_of(65_000, 65_000)),
    "progressive jpeg": misleading(jpeg_of(30_000, 30_000, progressive=True)),
    "png": png_of(60_000, 60_000),
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("header_is_believed", [False, True])
def test_a_bomb_costs_nothing(
    kind: str, header_is_believed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if header_is_believed:  # in the other process, too
        (tmp_path / "sitecustomize.py").write_text(
            "import edge_harmony.web.picture_header as h\n"
            "h.read_header = lambda data: h.PictureHeader('jpeg', 64, 64)\n"
        )
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    uploads = Uploads(tmp_path / "kept")
    before_kb, start_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, time.monotonic()
    with pytest.raises(SourceError) as caught:
        uploads.add(BOMBS[kind], "bomb.jpg")
    if kind == "swollen AVIF":  # libavif holds the sizes in a file against each other
        assert caught.value.message == "the picture is damaged"
    else:
        assert "50 megapixels" in caught.value.hint, caught.value
    assert time.monotonic() - start_s < 30
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak_kb <= max(before_kb, 600_000)  # of all children so far: earlier ones may have had more
    assert uploads.paths == []
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_restart_marker_does_not_hide_the_size() -> None:
    assert read_header(BOMBS["jpeg behind a restart marker"]) == PictureHeader("jpeg", 20_000, 20_000)


@pytest.mark.slow
def test_50_megapixels_are_taken() -> None:
    picture = np.full((7000, 7100, 3), 77, np.uint8)
    for progressive in (0, 1):
        data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))[1].tobytes()
        kept = cv2.imdecode(np.frombuffer(convert(data), np.uint8), cv2.IMREAD_COLOR)
        assert kept.shape == (round(7000 * 3840 / 7100), 3840, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_damaged_pictures_are_taken_or_refused(suffix: str) -> None:
    rng = np.random.default_rng(5)
    whole = cv2.imencode(suffix, rng.integers(0, 256, (90, 120, 3), np.uint8))[1].tobytes()
    for _ in range(many(2, 300)):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(256)
        try:
            assert convert(bytes(data)[: rng.integers(len(data) // 2, len(data) + 1)]).startswith(b"\xff\xd8")
        except SourceError as error:
            assert error.hint  # noqa: PT017
