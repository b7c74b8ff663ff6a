"""The rule that says which sink is meant, and numbered pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.capture.picture import read_picture
from edge_harmony.capture.video import VideoFile
from edge_harmony.errors import SinkError
from edge_harmony.sinks.base import LiveSink
from edge_harmony.sinks.picture_folder import PictureFolder
from edge_harmony.sinks.select import LiveSinkOptions, open_live_sink
from tests.capture.scenes import write_clip


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("window", "Window"),
        ("out.mp4", "Recording"),
        ("some/where/OUT.MKV", "Recording"),
        ("shots/", "PictureFolder"),
        ("shots/%05d.jpg", "PictureFolder"),
        ("shots/a_%d.png", "PictureFolder"),
        ("virtual", "VirtualCamera"),
        ("/dev/video7", "VirtualCamera"),
        ("rtmp://host/app/key", "Push"),
        ("RTSP://host/path", "Push"),
    ],
)
def test_every_kind(spec: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    sink = open_live_sink(spec)
    assert type(sink).__name__ == kind
    assert isinstance(sink, LiveSink)
    sink.close()


def test_a_folder_that_is_there_takes_pictures(tmp_path: Path) -> None:
    assert isinstance(open_live_sink(tmp_path), PictureFolder)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("windw", "window"),
        ("out.gif", ".mp4"),
        ("srtmp://host/app/secret-key", "rtmp://"),
        ("shots/%d_%d.png", "%05d"),
        ("%d/a.png", "%05d"),
        ("shots/%05d.gif", ".png"),
        ("shots/%05d%%.png", "%05d"),
    ],
)
def test_what_is_none_of_them(spec: str, hint: str) -> None:
    with pytest.raises(SinkError) as caught:
        open_live_sink(spec)
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_file_from_a_file_is_lossless_and_has_its_sound(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "in.mp4", 10, audio_s=0.4))
    for audio in (True, False):
        path = tmp_path / f"out_{audio}.mp4"
        sink = open_live_sink(path, source, LiveSinkOptions(audio=audio))
        assert sink.lossless
        sink.start(source.size_hw, source.rate)
        for frame in source:
            sink.write(frame.image_bgr, float(frame.time_s))
        sink.close()
        assert VideoFile(path).has_audio == audio
    assert not open_live_sink(tmp_path / "live.mp4").lossless


def test_numbered_pictures(tmp_path: Path) -> None:
    sink = PictureFolder(tmp_path / "new" / "folder" / "a_%03d.png")
    sink.start((4, 6), Fraction(25))
    images = [np.full((4 + i, 6, 3), 50 * i, np.uint8) for i in range(4)]  # sizes may differ
    for index, image in enumerate(images):
        sink.write(image, index / 25)
    sink.abort()
    folder = tmp_path / "new" / "folder"
    assert sorted(p.name for p in folder.iterdir()) == [f"a_{i:03d}.png" for i in range(4)]
    assert all(np.array_equal(read_picture(folder / f"a_{i:03d}.png"), image) for i, image in enumerate(images))


def test_pictures_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "000123.png").write_text("precious")
    (tmp_path / "other.png").write_text("not in the way")
    with pytest.raises(SinkError, match=r"000123\.png") as caught:
        PictureFolder(f"{tmp_path}/").start((4, 6), Fraction(25))
    assert "--overwrite" in caught.value.hint
    sink = PictureFolder(f"{tmp_path}/", overwrite=True)
    sink.start((4, 6), Fraction(25))
    sink.write(np.zeros((4, 6, 3), np.uint8), 0.0)
    assert (tmp_path / "000000.png").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError):
        PictureFolder(f"{tmp_path}/file/%d.png").start((4, 6), Fraction(25))
