"""Pictures as sources: what is read is what was written, and what we refuse."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.capture.file import open_file
from edge_harmony.capture.picture import PictureSequence, list_pictures, read_colour, read_picture
from edge_harmony.errors import SourceError


def _noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _exif(orientation: int, order: str) -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _png_with_exif(image: np.ndarray, orientation: int, order: str) -> bytes:
    import zlib

    data = cv2.imencode(".png", image)[1].tobytes()
    body = b"eXIf" + _exif(orientation, order)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]  # after IHDR


def _jpeg_with_exif(image: np.ndarray, orientation: int, order: str) -> bytes:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    body = b"Exif\0\0" + _exif(orientation, order)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


# What a viewer shows for each orientation, from the table of EXIF 2.3: where row 0 and column 0 really are.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_png_is_read_as_stored(tmp_path: Path, channels: tuple[int, ...]) -> None:
    image = _noise((70, 90, *channels))
    cv2.imwrite(str(tmp_path / "a.png"), image)
    assert np.array_equal(read_picture(tmp_path / "a.png"), image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_png_orientation(tmp_path: Path, orientation: int, order: str) -> None:
    image = _noise((70, 90, 3))
    (tmp_path / "a.png").write_bytes(_png_with_exif(image, orientation, order))
    assert np.array_equal(read_picture(tmp_path / "a.png"), UPRIGHT[orientation](image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation_agrees_with_opencv(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(_jpeg_with_exif(cv2.resize(_noise((7, 9, 3)), (90, 70)), orientation, "<"))
    assert np.array_equal(read_picture(path), cv2.imread(str(path), cv2.IMREAD_COLOR))


@pytest.mark.parametrize("damage", [b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"xx", b""])
def test_damaged_exif_does_not_stop_a_good_picture(tmp_path: Path, damage: bytes) -> None:
    image = _noise((70, 90, 3))
    data = cv2.imencode(".jpg", image)[1].tobytes()
    body = b"Exif\0\0" + damage
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    assert read_picture(path).shape == (70, 90, 3)


def _refusal(path: Path, read=read_colour) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def test_refusals(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "hdr.tiff"), np.full((70, 90, 3), 0.5, np.float32))
    assert "HDR" in _refusal(tmp_path / "hdr.tiff").message
    cv2.imwrite(str(tmp_path / "rgba.png"), _noise((70, 90, 4)))
    assert "alpha channel" in _refusal(tmp_path / "rgba.png").message
    (tmp_path / "text.png").write_text("hello")
    assert "not a picture" in _refusal(tmp_path / "text.png").message
    (tmp_path / "empty.jpg").touch()
    _refusal(tmp_path / "empty.jpg")
    assert "no such file" in _refusal(tmp_path / "none.png").message
    _refusal(tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.98])
def test_truncated_picture_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    data = cv2.imencode(suffix, _noise((170, 190, 3)))[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * kept)])
    assert "cut short" in _refusal(path).message


def test_folder_and_pattern_in_counting_order(tmp_path: Path) -> None:
    for index in (2, 10, 1):
        cv2.imwrite(str(tmp_path / f"f{index}.png"), np.full((64, 80, 3), index, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("not seen")
    assert [p.name for p in list_pictures(tmp_path)] == ["f1.png", "f2.png", "f10.png"]
    for spec in (tmp_path, tmp_path / "*.png"):
        source = open_file(spec, rate=Fraction(30000, 1001))
        frames = list(source)
        assert [int(f.image_bgr[0, 0, 0]) for f in frames] == [1, 2, 10]
        assert frames[2].time_s == Fraction(2002, 30000)
        assert source.frame_count == 3
        assert source.size_hw == (64, 80)


def test_sequence_of_unequal_sizes_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), _noise((64, 80, 3)))
    cv2.imwrite(str(tmp_path / "2.png"), _noise((64, 81, 3)))
    assert "81 x 64" in _refusal(tmp_path, lambda p: list(open_file(p))).message


def test_picture_with_alpha_gives_its_frame_an_alpha(tmp_path: Path) -> None:
    image = _noise((64, 80, 4))
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (frame,) = open_file(tmp_path / "a.png")
    assert np.array_equal(frame.image_bgr, image[:, :, :3])
    assert frame.alpha is not None
    assert np.array_equal(frame.alpha, image[:, :, 3])


def test_empty_folder_and_pattern(tmp_path: Path) -> None:
    _refusal(tmp_path, lambda p: open_file(p))
    _refusal(tmp_path / "*.jpg", lambda p: open_file(p))


def test_a_folder_of_masks(tmp_path: Path) -> None:
    masks = [_noise((64, 80), seed) for seed in range(3)]
    for index, mask in enumerate(masks):
        cv2.imwrite(str(tmp_path / f"{index}.png"), mask)
    source = open_file(tmp_path)
    assert isinstance(source, PictureSequence)
    for frame, mask in zip(source.masks(), masks, strict=True):
        assert frame.alpha is not None
        assert np.array_equal(frame.alpha, mask)
    assert [np.array_equal(f.image_bgr[:, :, 1], m) for f, m in zip(source, masks, strict=True)] == [True] * 3
