"""``edge-harmony list-cameras``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edge_harmony.capture import v4l2_devices
from edge_harmony.commands import list_cameras
from tests.capture.test_v4l2_devices import Driver, file_system
from tests.cli.runner import run

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


@linux
@pytest.mark.skipif(bool(list(Path("/dev").glob("video*"))), reason="there is a camera")
def test_without_a_camera_it_says_so_and_what_to_do() -> None:
    done = run("list-cameras")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("No camera")
    assert "test:" in done.out
    report = json.loads(run("list-cameras", "--json").out)
    assert (report["format"], report["cameras"]) == ("edge_harmony.cameras.1", [])
    assert report["note"]


@linux
def test_cameras_with_what_they_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = file_system(tmp_path)
    ask, listed = v4l2_devices.ask_device, v4l2_devices.list_video_devices(root)
    monkeypatch.setattr(v4l2_devices, "list_video_devices", lambda _root: listed)

    def answer(path: str, root: Path) -> v4l2_devices.CameraAbilities:
        if path.endswith("video10"):
            raise PermissionError(13, "Permission denied")
        caps = 0x04A00000 if path.endswith("video1") else 0x04200001
        return ask(path, Driver(device_caps=caps), root)

    monkeypatch.setattr(v4l2_devices, "ask_device", answer)
    done = run("list-cameras")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "0  HD Pro Webcam C920"
    assert "   MJPG  (Motion-JPEG)" in lines
    assert "      1920x1080 at 30, 29.97, 15" in lines
    assert "      160x120 to 640x480 at 60" in lines
    assert "2  HD Pro Webcam C920  (virtual)" in lines
    assert not any(line.startswith("1  ") for line in lines), "a metadata device is no camera"
    assert "usermod" in lines[-1]
    cameras = json.loads(run("list-cameras", "--json").out)["cameras"]
    assert [camera["source"] for camera in cameras] == ["0", "2", "10"]
    assert cameras[0]["formats"][0] == {
        "fourcc": "MJPG", "description": "Motion-JPEG", "size": "1920x1080", "smallest": None,
        "rates": [30.0, 29.97, 15.0],
    }  # fmt: skip
    assert cameras[2]["problem"]


def test_where_the_system_has_no_list_the_numbers_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    from tests.capture.test_camera import Device

    device = Device()
    absent = Device()
    absent.plugged = False
    monkeypatch.setattr(cv2, "VideoCapture", lambda number, _: (device if number == 1 else absent).open())
    monkeypatch.setattr(list_cameras.sys, "platform", "darwin")
    report = json.loads(run("list-cameras", "--json").out)
    assert [(c["source"], c["formats"][0]["size"]) for c in report["cameras"]] == [("1", "640x480")]
    device.plugged = False
    assert "privacy" in run("list-cameras").out
    assert device.opened + absent.opened == device.released + absent.released
