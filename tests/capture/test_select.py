"""One rule says what a source is, for every command."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.capture import CaptureOptions, open_source
from edge_harmony.capture.camera import Camera
from edge_harmony.capture.gstreamer import CsiCamera, GStreamerPipeline
from edge_harmony.capture.network import NetworkStream
from edge_harmony.capture.pace import Paced
from edge_harmony.capture.pattern import Pattern
from edge_harmony.capture.picture import PictureSequence
from edge_harmony.capture.video import VideoFile
from edge_harmony.errors import BackendUnavailableError, ConfigError, SourceError
from tests.capture.scenes import write_clip


class OpenedError(Exception):
    """Raised in place of opening, to see which kind was chosen without the device."""


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("0", Camera), ("12", Camera), (1, Camera), ("/dev/video3", Camera),
        ("/dev/v4l/by-id/usb-Logitech_C920-video-index0", Camera),
        ("csi://0", CsiCamera), ("CSI://1", CsiCamera),
        ("videotestsrc ! videoconvert", GStreamerPipeline),
        ("rtspsrc location=rtsp://x ! decodebin", GStreamerPipeline),
        ("rtsp://cam/1", NetworkStream), ("RTSP://cam/1", NetworkStream), ("rtmp://host/app/key", NetworkStream),
        ("http://cam/mjpg", NetworkStream), ("https://cam/mjpg", NetworkStream), ("srt://host:1", NetworkStream),
    ],
)  # fmt: skip
def test_kinds_that_are_not_files(spec: object, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, *_: object, **__: object) -> None:
        raise OpenedError(type(self))

    for each in (Camera, CsiCamera, GStreamerPipeline, NetworkStream):
        monkeypatch.setattr(each, "__init__", refuse)
    with pytest.raises(OpenedError) as chosen:
        open_source(spec)
    assert chosen.value.args == (kind,)


def test_files_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((64, 64, 3), i, np.uint8))
    clip = write_clip(tmp_path / "my ! clip.mp4")  # as a path it is a file, whatever its name
    assert isinstance(open_source(clip), VideoFile)
    assert isinstance(open_source(tmp_path / "0.png"), PictureSequence)
    folder = open_source(str(tmp_path), CaptureOptions(rate=Fraction(30000, 1001)))
    assert folder.rate == Fraction(30000, 1001)
    assert len(list(open_source(str(tmp_path / "?.png")))) == 3
    assert len(list(open_source(f"file://{tmp_path}/0.png"))) == 1
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0.png").rename("0")
    assert open_source("./0").size_hw == (64, 64)  # 0 would be the camera


def test_realtime_paces_files_and_only_them(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    assert not open_source(clip).live
    assert isinstance(open_source(clip, CaptureOptions(realtime=True)), Paced)
    assert open_source("test:64x64").live
    assert isinstance(open_source("test:64x64,frames=3"), Pattern)
    assert isinstance(open_source("test:64x64,frames=3", CaptureOptions(realtime=True)), Paced)


def test_a_misspelt_scheme_names_the_nearest_and_hides_the_password() -> None:
    with pytest.raises(SourceError) as caught:
        open_source("rstp://admin:geheim@cam/1")
    assert "rtsp://" in caught.value.hint
    assert "geheim" not in caught.value.message + caught.value.hint


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="there is a camera")
@pytest.mark.parametrize("spec", ["0", "/dev/video0"])
def test_a_camera_that_is_not_there(spec: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="there is no /dev/video0") as caught:
        open_source(spec)
    assert "list-cameras" in caught.value.hint
    assert "V4L2" in caught.value.message  # OpenCV's own words, which would else go past us to the terminal
    assert capfd.readouterr().err == ""


def test_a_pipeline_needs_an_opencv_with_gstreamer() -> None:
    if "GStreamer:                   YES" in cv2.getBuildInformation():
        pytest.skip("this OpenCV has GStreamer")
    for spec in ("csi://0", "videotestsrc ! videoconvert"):
        with pytest.raises(BackendUnavailableError, match="no GStreamer") as caught:
            open_source(spec)
        assert "python3-opencv" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_hw": (0, 640)}, {"rate": Fraction(0)}, {"rate": Fraction(2000)}, {"fourcc": "MJP"}, {"fourcc": "Ä123"},
        {"exposure": "auto"}, {"exposure": float("nan")}, {"white_balance": "warm"}, {"transport": "tcpp"},
        {"read_timeout_s": 0.0},
    ],
)  # fmt: skip
def test_wishes_that_nothing_could_fulfil(wrong: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        CaptureOptions(**wrong)
    assert caught.value.hint
