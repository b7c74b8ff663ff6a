"""What a picture's first bytes say agrees with what a decoder says, and rubbish is refused."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_harmony.errors import SourceError
from edge_harmony.web.picture_header import read_header
from tests.web.visitor import encode

PICTURE = np.random.default_rng(1).integers(0, 255, (37, 91, 3), np.uint8)
PARAMETERS = {
    "jpeg": (".jpg", ()),
    "jpeg progressive": (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "png": (".png", ()),
    "webp": (".webp", (cv2.IMWRITE_WEBP_QUALITY, 80)),
    "webp lossless": (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
}


def png_of(width: int, height: int) -> bytes:
    """A PNG of any size whose few bytes are zeros, compressed."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(4096))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", PARAMETERS)
def test_size_and_kind_are_the_decoders(kind: str) -> None:
    suffix, parameters = PARAMETERS[kind]
    header = read_header(cv2.imencode(suffix, PICTURE, parameters)[1].tobytes())
    assert (header.kind, header.width, header.height) == (kind.split()[0], 91, 37)


def test_webp_with_alpha_has_the_other_kind_of_header() -> None:
    data = encode(np.dstack([PICTURE, PICTURE[:, :, :1]]), ".webp")
    header = read_header(data)
    assert (header.width, header.height) == (91, 37)


def test_a_bomb_shows_its_size() -> None:
    header = read_header(png_of(60_000, 60_000))
    assert header.width * header.height == 3_600_000_000


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "JPEG or PNG"),
        (b"GIF89a" + bytes(50), "JPEG or PNG"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        (b"\0\0\0\x18ftypmp42" + bytes(50), "video"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "JPEG or PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(4), "JPEG or PNG"),
        (png_of(0, 5), "JPEG or PNG"),
        (b"\xff\xd8\xff\xd9", "JPEG or PNG"),
        (b"\xff\xd8\xff\xe0\x00\x10", "again"),
    ],
    ids=repr,
)
def test_other_things_are_refused(data: bytes, hint: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_header(data)
    assert hint in caught.value.hint


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = encode(PICTURE)
    with pytest.raises(SourceError, match="scans"):
        read_header(data[:-2] + b"\xff\xda" * 1000)


@given(st.sampled_from([v[0] for v in PARAMETERS.values()]), st.integers(0, 80), st.binary(max_size=40))
def test_no_rubbish_makes_it_stumble(suffix: str, cut: int, tail: bytes) -> None:
    data = encode(PICTURE, suffix)[:cut] + tail
    try:
        header = read_header(data)
    except SourceError:
        return
    assert header.width > 0
    assert header.height > 0
