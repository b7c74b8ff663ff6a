"""What cameras need beyond OpenCV: wishes, locks, loss. A stand-in for the device, as OpenCV's captures behave."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_harmony.capture.camera import Camera
from edge_harmony.capture.live import LiveReader
from edge_harmony.capture.opencv import OpenCvSource
from edge_harmony.capture.options import CaptureOptions
from edge_harmony.errors import SourceError
from tests.capture.scenes import write_clip

PATIENCE_S = 30.0


class Device:
    """A camera that knows three sizes, one rate, MJPG and YUYV; it can be unplugged, and refuse settings."""

    def __init__(self) -> None:
        self.plugged = True
        self.opened = self.released = 0
        self.refused: set[int] = set()
        self.bad_frames: set[int] = set()
        self.pixels: Callable[[int, int], Any] = lambda h, w: np.zeros((h, w, 3), np.uint8)
        self.settings: list[tuple[int, float]] = []

    def open(self, *_: Any) -> Capture:
        self.opened += 1
        return Capture(self)


class Capture:
    """What ``cv2.VideoCapture`` gives for it."""

    def __init__(self, device: Device) -> None:
        self.device, self.open, self.grabbed = device, device.plugged, 0
        self.values = {
            cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0, cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"YUYV")), cv2.CAP_PROP_EXPOSURE: 156.0,
            cv2.CAP_PROP_WB_TEMPERATURE: 4600.0, cv2.CAP_PROP_AUTO_EXPOSURE: 3.0, cv2.CAP_PROP_AUTO_WB: 1.0,
        }  # fmt: skip

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.open

    def set(self, what: int, value: float) -> bool:
        self.device.settings.append((what, value))
        if what in self.device.refused:
            return False
        if what == cv2.CAP_PROP_FRAME_HEIGHT:
            value = min((240.0, 480.0, 720.0), key=lambda known: abs(known - value))
        elif what == cv2.CAP_PROP_FRAME_WIDTH:
            value = min((320.0, 640.0, 1280.0), key=lambda known: abs(known - value))
        elif what == cv2.CAP_PROP_FPS:
            value = 30.0
        self.values[what] = value
        return True

    def get(self, what: int) -> float:
        if what == cv2.CAP_PROP_POS_MSEC:
            return (time.monotonic() - 0.015) * 1000.0  # the driver stamped it 15 ms ago
        return self.values.get(what, 0.0)

    def grab(self) -> bool:
        self.grabbed += 1
        time.sleep(0.002)
        return self.open and self.device.plugged

    def retrieve(self) -> tuple[bool, Any]:
        if self.grabbed in self.device.bad_frames:
            return False, None
        height, width = (int(self.values[p]) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        return True, self.device.pixels(height, width)

    def release(self) -> None:
        self.open = False
        self.device.released += 1


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device()
    monkeypatch.setattr(cv2, "VideoCapture", made.open)
    monkeypatch.setattr("edge_harmony.capture.camera._SETTLE_S", 0.05)
    return made


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def test_what_was_asked_for_and_what_was_obtained_are_said(device: Device) -> None:
    with Camera(0, CaptureOptions(size_hw=(1080, 1920), rate=Fraction(60), fourcc="MJPG")) as camera:
        assert camera.describe().endswith("asked for MJPG 1920x1080 at 60, got MJPG 1280x720 at 30")
        assert camera.size_hw == (720, 1280)
        assert camera.rate == 30
    set_first = [what for what, _ in device.settings]
    assert set_first[0] == cv2.CAP_PROP_FOURCC, "sizes depend on the format"
    with Camera(0) as camera:
        assert camera.describe().endswith("got YUYV 640x480 at 30")
    assert device.released == device.opened == 2


def test_exposure_and_white_balance_are_held_where_the_camera_found_them(device: Device) -> None:
    with Camera(0, CaptureOptions(exposure="lock", white_balance="lock")) as camera:
        assert "exposure held at 156" in camera.describe()
        assert "white balance held at 4600 K" in camera.describe()
    manual = 1 if sys.platform == "linux" else 0.25
    assert device.settings == [
        (cv2.CAP_PROP_AUTO_EXPOSURE, manual), (cv2.CAP_PROP_EXPOSURE, 156.0),
        (cv2.CAP_PROP_AUTO_WB, 0), (cv2.CAP_PROP_WB_TEMPERATURE, 4600.0),
    ]  # fmt: skip


def test_exposure_and_white_balance_can_be_set_and_a_refusal_is_said(device: Device) -> None:
    with Camera(0, CaptureOptions(exposure=80, white_balance=5200)) as camera:
        assert "exposure held at 80, white balance held at 5200 K" in camera.describe()
    device.refused = {cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_AUTO_WB}
    with Camera(0, CaptureOptions(exposure=80, white_balance="lock")) as camera:
        assert "exposure NOT held at 80" in camera.describe()
        assert "white balance NOT held" in camera.describe()


def test_the_drivers_time_is_the_time_of_capture(device: Device) -> None:
    with Camera(0) as camera:
        frames = iter(camera)
        next(frames)
        frame = next(frames)
        assert 0.014 < time.monotonic() - frame.captured_s < 5
        frames.close()  # type: ignore[attr-defined]
    assert device.released == device.opened == 1, "the device that was open is the one that is read"


def test_a_camera_that_vanishes_comes_back_with_the_same_wishes(device: Device) -> None:
    camera = Camera(0, CaptureOptions(size_hw=(240, 320), exposure=80))
    with LiveReader(camera, backoff_s=(0.005, 0.02)) as reader:
        assert reader.read(PATIENCE_S) is not None
        device.plugged = False
        wait_for(lambda: reader.state == "lost" and device.opened > 3)
        device.settings.clear()
        device.plugged = True
        wait_for(lambda: reader.state == "live")
        assert reader.outages == 1
        frame = reader.read(PATIENCE_S)
        assert frame is not None
        assert frame.image_bgr.shape == (240, 320, 3)
        assert (cv2.CAP_PROP_EXPOSURE, 80.0) in device.settings
    assert device.released == device.opened


def test_frames_that_do_not_decode_are_left_out_and_counted(device: Device) -> None:
    device.bad_frames = {1, 5, 6, 9}
    with LiveReader(Camera(0)) as reader:
        wait_for(lambda: reader.received >= 10)
        assert reader.undecodable == 4
        assert reader.outages == 0


def test_a_camera_that_gives_only_rubbish_is_lost(device: Device) -> None:
    with LiveReader(Camera(0), backoff_s=(0.5, 0.5)) as reader:
        wait_for(lambda: reader.received > 3)
        device.bad_frames = set(range(10_000))
        wait_for(lambda: reader.outages == 1)
        assert reader.undecodable > 50


def test_grey_and_alpha_become_bgr_and_deep_colour_is_refused(device: Device) -> None:
    for channels in ((), (1,), (4,)):
        device.pixels = lambda h, w, channels=channels: np.full((h, w, *channels), 7, np.uint8)
        with Camera(0) as camera:
            image = next(iter(camera)).image_bgr
            assert image.shape == (480, 640, 3)
            assert (image == 7).all()
    device.pixels = lambda h, w: np.zeros((h, w, 3), np.uint16)
    with pytest.raises(SourceError, match="uint16"):
        Camera(0)


def test_a_camera_that_opens_and_gives_nothing(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Capture, "grab", lambda self: False)
    with pytest.raises(SourceError) as caught:
        Camera(0)
    assert caught.value.hint
    assert device.released == 1


class FileAsCamera(OpenCvSource):
    """OpenCV's real capture, on a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__("file as camera")

    def _open_impl(self) -> Any:
        return cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)

    def _refuse(self, reason: str) -> SourceError:
        return SourceError(f"{self.name}: {reason}", "")


def test_the_real_capture_end_to_end(tmp_path: Path) -> None:
    """Each end of the file is an outage, after which it is opened again."""
    source = FileAsCamera(write_clip(tmp_path / "a.mp4", 12))
    assert source.size_hw == (96, 128)
    with LiveReader(source, backoff_s=(0.005, 0.01)) as reader:
        wait_for(lambda: reader.received >= 30)
        assert reader.outages >= 2
    shades = [int(frame.image_bgr[0, 0, 0]) for frame in _one_pass(FileAsCamera(source.path))]
    assert len(shades) == 12
    assert shades == sorted(set(shades))


def _one_pass(source: OpenCvSource) -> list[Any]:
    frames = []
    with pytest.raises(SourceError, match="no more frames"):  # noqa: PT012
        for frame in source:
            frames.append(frame)
    return frames
