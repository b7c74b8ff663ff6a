"""Pictures as people bring them, each made here: HEIC, AVIF, colour profiles, 16 bits, animations, odd names."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from edge_harmony.capture.animation import Animation
from edge_harmony.capture.file import open_file
from edge_harmony.capture.kind import kind_of, literal_pattern
from edge_harmony.capture.picture import read_colour, read_picture
from edge_harmony.capture.select import open_source
from edge_harmony.web.decoding import decode
from tests.capture.scenes import write_clip

PATCHES_RGB = ((200, 40, 30), (30, 180, 60), (40, 60, 210), (128, 128, 128))


def _patches(size_hw: tuple[int, int] = (128, 256)) -> np.ndarray:
    height, width = size_hw
    image = np.zeros((height, width, 3), np.uint8)
    for place, colour in enumerate(PATCHES_RGB):
        image[:, place * width // 4 : (place + 1) * width // 4] = colour
    return image


def _centres(image_bgr: np.ndarray) -> np.ndarray:
    width = image_bgr.shape[1]
    return np.array([image_bgr[64, width * (2 * place + 1) // 8, ::-1] for place in range(4)]).astype(int)


@pytest.mark.parametrize("suffix", [".heic", ".avif", ""])
def test_heic_and_avif_are_read_whole_and_upright_by_their_content(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    turned = Image.fromarray(np.rot90(_patches()).copy())  # stored lying, to be turned right by 90 degrees
    exif = Image.Exif()
    exif[0x0112] = 6
    if suffix == ".avif":
        turned.save(path, format="AVIF", quality=95, exif=exif)
    else:  # by the container's own turn, as phones write it
        pillow_heif.encode(
            "RGB", turned.size, turned.tobytes(), str(path), format="HEIF", quality=95, exif=exif.tobytes()
        )
    assert kind_of(path) == "picture"
    image = read_colour(path)
    assert image.shape == (128, 256, 3)
    assert np.abs(_centres(image) - PATCHES_RGB).max() <= 8
    assert np.abs(_centres(decode(path.read_bytes())) - PATCHES_RGB).max() <= 8  # sent to the page


def _display_p3() -> bytes:
    """A matrix profile with the primaries of Display P3 and a gamma of 2.2, written by hand (ICC.1)."""

    def tag(kind: bytes, body: bytes) -> bytes:
        return kind + bytes(4) + body

    def fixed(*values: float) -> bytes:
        return b"".join(round(v * 65536).to_bytes(4, "big", signed=True) for v in values)

    text = b"Display P3\0"
    tags = {
        b"desc": tag(b"desc", len(text).to_bytes(4, "big") + text + bytes(78)),
        b"wtpt": tag(b"XYZ ", fixed(0.9642, 1.0, 0.8249)),
        b"rXYZ": tag(b"XYZ ", fixed(0.51512, 0.24120, -0.00105)),
        b"gXYZ": tag(b"XYZ ", fixed(0.29198, 0.69225, 0.04189)),
        b"bXYZ": tag(b"XYZ ", fixed(0.15710, 0.06657, 0.78407)),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tag(b"curv", (1).to_bytes(4, "big") + (563).to_bytes(2, "big"))),
        b"cprt": tag(b"text", b"none\0"),
    }
    table, body = len(tags).to_bytes(4, "big"), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + (start + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data + bytes(-len(data) % 4)
    size = (128 + len(table) + len(body)).to_bytes(4, "big")
    head = size + bytes(4) + b"\x02\x40\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + body


def test_a_display_p3_picture_is_converted_to_srgb_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    profile = _display_p3()
    stored = _patches()
    Image.fromarray(stored).save(tmp_path / "p3.png", icc_profile=profile)
    Image.fromarray(stored).save(tmp_path / "p3.jpg", icc_profile=profile, quality=98, subsampling=0)
    linear = (np.array(PATCHES_RGB) / 255) ** 2.2
    to_srgb = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0196, -0.0786, 1.0979]])  # of the primaries
    light = np.clip(linear @ to_srgb.T, 0, 1)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    with caplog.at_level(25):
        for name, slack in (("p3.png", 3), ("p3.jpg", 6)):
            assert np.abs(_centres(read_colour(tmp_path / name)) - expected).max() <= slack
    assert caplog.text.count("converted to sRGB") <= 1
    assert (read_picture(tmp_path / "p3.png", mask=True) == stored[:, :, ::-1]).all()  # of a mask the values count
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(stored).save(tmp_path / "srgb.png", icc_profile=same)
    assert (read_colour(tmp_path / "srgb.png") == stored[:, :, ::-1]).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_read(tmp_path: Path, suffix: str) -> None:
    codes = np.arange(256 * 3, dtype=np.uint16).reshape(1, 256, 3).repeat(64, 0) % 256
    cv2.imwrite(str(tmp_path / f"deep{suffix}"), codes * 257)
    assert (read_colour(tmp_path / f"deep{suffix}") == codes).all()
    mask = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / f"mask{suffix}"), mask)
    assert np.abs(read_picture(tmp_path / f"mask{suffix}", mask=True) - mask / 257).max() <= 0.51


def test_grey_is_a_picture_and_an_opaque_alpha_none(tmp_path: Path) -> None:
    grey = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    assert (read_colour(tmp_path / "grey.png") == grey[:, :, None]).all()
    cv2.imwrite(str(tmp_path / "rgba.png"), np.dstack([_patches()[:, :, ::-1], np.full((128, 256), 255, np.uint8)]))
    assert (read_colour(tmp_path / "rgba.png") == _patches()[:, :, ::-1]).all()
    assert not open_file(tmp_path / "rgba.png").has_alpha


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_animations_are_sources_with_time_and_alpha(tmp_path: Path, suffix: str) -> None:
    frames = []
    for index in range(3):
        rgba = np.zeros((64, 96, 4), np.uint8)
        rgba[:, :, index], rgba[:, :, 3] = 200, 255
        rgba[:, 48:, 3] = 0 if index else 255
        frames.append(Image.fromarray(rgba))
    path = tmp_path / f"moving{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 200, 300], loop=0, lossless=True)
    source = open_source(path)
    assert isinstance(source, Animation)
    shown = list(source)
    assert [float(frame.time_s) for frame in shown] == pytest.approx([0.0, 0.1, 0.3])
    for index, frame in enumerate(shown):
        assert frame.alpha is not None
        assert (frame.alpha[:, :40] == 255).all()
        assert (frame.alpha[:, 56:] == (0 if index else 255)).all()
        assert frame.image_bgr[10, 10, 2 - index] == 200
    Image.fromarray(_patches()).save(tmp_path / f"still{suffix}")
    assert kind_of(tmp_path / f"still{suffix}") == "picture"


def test_a_file_without_a_suffix_is_what_it_holds(tmp_path: Path) -> None:
    os.rename(write_clip(tmp_path / "a.mp4", 3), tmp_path / "video")
    (tmp_path / "picture").write_bytes(cv2.imencode(".jpg", _patches())[1].tobytes())
    assert [kind_of(tmp_path / name) for name in ("video", "picture")] == ["video", "picture"]
    assert len(list(open_file(tmp_path / "video"))) == 3
    assert open_file(tmp_path / "picture").size_hw == (128, 256)
    os.rename(tmp_path / "picture", tmp_path / "wrong.mp4")
    assert open_file(tmp_path / "wrong.mp4").size_hw == (128, 256)


NAMES = ("10:30:12 take.mp4", "Zoom: meeting.mp4", "Bonne année ! 2024.mp4", "http:clip.mp4", "test:x.mp4", "a%03d.mp4")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_exists_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    os.rename(write_clip(tmp_path / "plain.mp4", 2, audio_s=0.1), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for spec in (name, str(tmp_path / name), Path(name)):
        with open_source(spec) as source:
            assert len(list(source)) == 2


def test_brackets_of_a_folder_that_exists_are_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "shots[2024]"
    folder.mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((64, 64, 3), number, np.uint8))
    pattern = str(folder / "*.png")
    assert [int(frame.image_bgr[0, 0, 0]) for frame in open_file(pattern)] == [1, 2, 10]
    assert literal_pattern("no[1-3]/*.png") == "no[1-3]/*.png"
    cv2.imwrite(str(tmp_path / "one[1].png"), np.full((64, 64, 3), 7, np.uint8))
    assert next(iter(open_file(tmp_path / "one[1].png"))).image_bgr[0, 0, 0] == 7


def test_a_picture_with_nothing_to_say_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    buffer = io.BytesIO()
    Image.fromarray(_patches()).save(buffer, "JPEG", quality=98)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    with caplog.at_level(logging.DEBUG, logger="edge_harmony"):
        read_colour(tmp_path / "a.jpg")
    assert not caplog.records
