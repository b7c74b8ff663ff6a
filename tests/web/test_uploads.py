"""Pictures that strangers send: what is taken, what is refused, what is kept and for how long."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_harmony.capture.picture import read_colour
from edge_harmony.errors import SinkError, SourceError
from edge_harmony.web.decoding import decode
from edge_harmony.web.uploads import Uploads, clean_name
from tests.web.test_picture_header import png_of
from tests.web.visitor import encode

PICTURE = np.full((90, 160, 3), (40, 120, 200), np.uint8)


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp"])
def test_a_picture_is_kept_as_our_own_jpeg(tmp_path: Path, kind: str) -> None:
    path = Uploads(tmp_path / "new").add(encode(PICTURE, kind), f"C:\\pictures\\beach{kind}")
    assert path == tmp_path / "new" / "beach.jpg"
    kept = read_colour(path)
    assert kept.shape == PICTURE.shape
    assert np.abs(kept.astype(int) - PICTURE).max() <= 6
    assert [p.name for p in path.parent.iterdir()] == ["beach.jpg"]


def test_grey_alpha_and_16_bit_become_plain_colour(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    for image in (PICTURE[:, :, 0], np.dstack([PICTURE, PICTURE[:, :, :1]]), PICTURE.astype(np.uint16) * 257):
        assert read_colour(uploads.add(encode(image, ".png"), "a.png")).shape == PICTURE.shape


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot"),
        ("/abs/olute.png", "olute"),
        ("....", "upload"),
        ("", "upload"),
        ("a\0b\n.jpg", "a b"),
        ("CON.jpg", "upload"),
        ("$(rm -rf ~).png", "rm -rf"),
        (".hidden.png", "hidden"),
        ("Straße am Meer.jpeg", "Straße am Meer"),
        ("x" * 500 + ".jpg", "x" * 60),
    ],
)
def test_names_lose_what_is_dangerous(name: str, kept: str) -> None:
    assert clean_name(name) == kept


@given(st.text())
def test_any_name_stays_inside_the_folder(name: str) -> None:
    stem = clean_name(name)
    assert stem
    assert Path("folder", f"{stem}.jpg").resolve().parent == Path("folder").resolve()


def test_same_names_do_not_overwrite(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"the user's own")
    uploads = Uploads(tmp_path)
    names = [uploads.add(encode(PICTURE), "../a.jpg").name for _ in range(2)]
    assert names == ["a 2.jpg", "a 3.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"the user's own"


def test_bombs_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", forbidden)
    with pytest.raises(SourceError, match="30000 x 30000"):
        decode(png_of(30_000, 30_000))


@pytest.mark.parametrize("data", [b"", b"hello", b"<html>", bytes(5000), png_of(300, 300)[:60]], ids=len)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError):
        decode(data)


def test_large_and_tiny_pictures_get_a_useful_size() -> None:
    assert decode(encode(np.zeros((3000, 6000, 3), np.uint8))).shape == (1920, 3840, 3)
    assert min(decode(encode(PICTURE[:10, :20])).shape[:2]) == 64
    with pytest.raises(SourceError, match="only 1 pixels"):
        decode(encode(np.zeros((1, 1000, 3), np.uint8)))


def test_the_oldest_makes_room_unless_it_is_in_use(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, most_uploads=3)
    first, second, third = (uploads.add(encode(PICTURE), f"{i}.jpg") for i in range(3))
    fourth = uploads.add(encode(PICTURE), "3.jpg", in_use=str(first))
    assert uploads.paths == [first, third, fourth]
    assert not second.exists()
    assert first.exists()


def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    size = len(cv2.imencode(".jpg", noise, (cv2.IMWRITE_JPEG_QUALITY, 95))[1])
    uploads = Uploads(tmp_path, most_stored=int(size * 2.5))
    paths = [uploads.add(encode(noise, ".png"), f"{i}.png") for i in range(5)]
    assert uploads.paths == paths[-2:]
    assert sorted(tmp_path.iterdir()) == paths[-2:]
    with pytest.raises(SourceError, match="too large"):
        Uploads(tmp_path, most_stored=100).add(encode(noise), "big.jpg")


def test_a_temporary_folder_goes_and_a_given_one_stays(tmp_path: Path) -> None:
    uploads = Uploads()
    path = uploads.add(encode(PICTURE), "a.jpg")
    assert path.exists()
    uploads.close()
    assert not path.parent.exists()
    given = Uploads(tmp_path)
    path = given.add(encode(PICTURE), "a.jpg")
    given.close()
    assert path.exists()


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError):
        Uploads(tmp_path / "file")
