"""Virtual cameras: what is said to the kernel, the pixels, and what to do where there is none.

A real v4l2loopback needs a kernel module; a stand-in for its ioctls, compiled against the kernel's header, takes its
place here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.errors import SinkError
from edge_harmony.sinks.base import LiveSink
from edge_harmony.sinks.v4l2 import convert, pack_format, unpack_format
from edge_harmony.sinks.virtual_camera import VirtualCamera
from tests.capture.scenes import CELL, PATCHES_BGR, yuv_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="V4L2 is Linux's")

WRITE_THREE = """
import sys, numpy as np
from fractions import Fraction
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.sinks.virtual_camera import VirtualCamera
camera = VirtualCamera(sys.argv[1])
try:
    camera.start((64, 95), Fraction(30))
except EdgeHarmonyError as error:
    print(error, "|", error.hint)
    raise SystemExit(3)
print(camera.device)
for shade in (16, 128, 235):
    camera.write(np.full((64, 95, 3), shade, np.uint8), shade / 30)
camera.write(np.full((95, 64, 3), 255, np.uint8), 9.0)
camera.close()
camera.close()
"""


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("stand_in") / "loopback.so"
    source = Path(__file__).with_name("loopback_stand_in.c")
    try:
        command = ["cc", "-shared", "-fPIC", "-Wall", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the stand-in cannot be compiled here: {error}")
    return library


def _run(stand_in: Path, device: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    device.write_bytes(b"")
    return subprocess.run(
        [sys.executable, "-c", WRITE_THREE, str(device)],
        env={**os.environ, "LD_PRELOAD": str(stand_in), **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def _luma(shade: int) -> int:
    return yuv_of((shade, shade, shade), "bt601", full=False)[0]


def test_pictures_reach_the_device(stand_in: Path, tmp_path: Path) -> None:
    device = tmp_path / "video9"
    done = _run(stand_in, device)
    assert done.returncode == 0, done.stderr
    assert "edge-harmony" in done.stdout
    pictures = np.fromfile(device, np.uint8).reshape(4, 64, 96, 2)
    for picture, shade in zip(pictures, (16, 128, 235), strict=False):
        assert np.abs(picture[:, 4:-4, 0].astype(int) - _luma(shade)).max() <= 1
        assert np.abs(picture[..., 1].astype(int) - 128).max() <= 1
    assert pictures[3][32, 48, 0] == pytest.approx(235, abs=2)  # upright, with bars
    assert pictures[3][32, 2, 0] == 16


def test_planar_pictures_where_the_device_wants_them(stand_in: Path, tmp_path: Path) -> None:
    device = tmp_path / "video9"
    assert _run(stand_in, device, NO_YUYV="1").returncode == 0
    pictures = np.fromfile(device, np.uint8).reshape(4, 96, 96)
    assert pictures[1][:64, 8:88].mean() == pytest.approx(_luma(128), abs=1)
    assert pictures[1][64:].mean() == pytest.approx(128, abs=1)


def test_the_size_that_another_program_holds_the_device_to(stand_in: Path, tmp_path: Path) -> None:
    device = tmp_path / "video9"
    assert _run(stand_in, device, SIZE="128x72").returncode == 0
    assert np.fromfile(device, np.uint8).size == 4 * 128 * 72 * 2


def test_a_camera_is_no_place_to_write_to(stand_in: Path, tmp_path: Path) -> None:
    done = _run(stand_in, tmp_path / "video9", CAMERA="1")
    assert done.returncode == 3
    assert "is a camera" in done.stdout
    assert "modprobe v4l2loopback" in done.stdout


@pytest.mark.parametrize("old_opencv", [False, True])
@pytest.mark.parametrize("pixel_format", ["YUYV", "YU12"])
def test_colours(pixel_format: str, old_opencv: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if old_opencv:  # before 4.9 it knows no way to YUYV
        monkeypatch.delattr("cv2.COLOR_BGR2YUV_YUYV", raising=False)
    patches = np.repeat(np.repeat(np.array(PATCHES_BGR, np.uint8), CELL, 0)[None], 64, 0)
    pixels = convert(patches, pixel_format)
    width = patches.shape[1]
    for index, colour in enumerate(PATCHES_BGR):
        x = CELL * index + CELL // 2  # even
        if pixel_format == "YUYV":
            assert pixels.shape == (64, width, 2)
            found = pixels[32, x, 0], pixels[32, x, 1], pixels[32, x + 1, 1]
        else:
            flat = pixels.reshape(-1)
            quarter = 64 * width + 16 * width // 2 + x // 2
            found = pixels[32, x], flat[quarter], flat[quarter + 64 * width // 4]
        expected = yuv_of(colour, "bt601", full=False)
        assert np.abs(np.array(found, int) - expected).max() <= 2, colour


def test_formats_are_read_as_they_are_packed() -> None:
    assert unpack_format(pack_format((1080, 1920), "YU12")) == ((1080, 1920), "YU12")


def test_no_device(tmp_path: Path) -> None:
    camera = VirtualCamera("/dev/video4096")
    assert isinstance(camera, LiveSink)
    with pytest.raises(SinkError) as caught:
        camera.start((64, 96), Fraction(30))
    assert "v4l2loopback" in caught.value.hint
    assert "video_nr=4096" in caught.value.hint
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="no video device"):
        VirtualCamera(str(tmp_path / "file")).start((64, 96), Fraction(30))
    camera.close()


@pytest.mark.skipif(any(Path("/dev").glob("video*")), reason="there are video devices")
@pytest.mark.parametrize("name", [None, "virtual"])
def test_no_device_at_all(name: str | None) -> None:
    with pytest.raises(SinkError, match="no virtual camera") as caught:
        VirtualCamera(name).start((64, 96), Fraction(30))
    assert "v4l2loopback" in caught.value.hint
