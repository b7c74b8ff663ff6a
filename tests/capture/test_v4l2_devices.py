"""Video devices: our numbers and structures against the kernel's header, and a stand-in for a driver."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from edge_harmony.capture import v4l2_devices as vd

PROGRAM = r"""
#include <linux/videodev2.h>
#include <stdio.h>
#include <stddef.h>
#define AT(s, m) offsetof(struct s, m)
int main(void) {
    printf("%u %u %u %u\n", (unsigned)VIDIOC_QUERYCAP, (unsigned)VIDIOC_ENUM_FMT, (unsigned)VIDIOC_ENUM_FRAMESIZES,
           (unsigned)VIDIOC_ENUM_FRAMEINTERVALS);
    printf("%zu %zu %zu %zu\n", sizeof(struct v4l2_capability), sizeof(struct v4l2_fmtdesc),
           sizeof(struct v4l2_frmsizeenum), sizeof(struct v4l2_frmivalenum));
    printf("%zu %zu %zu\n", AT(v4l2_capability, card), AT(v4l2_capability, capabilities),
           AT(v4l2_capability, device_caps));
    printf("%zu %zu %zu\n", AT(v4l2_fmtdesc, type), AT(v4l2_fmtdesc, description), AT(v4l2_fmtdesc, pixelformat));
    printf("%zu %zu %zu\n", AT(v4l2_frmsizeenum, pixel_format), AT(v4l2_frmsizeenum, type),
           AT(v4l2_frmsizeenum, discrete));
    printf("%zu %zu %zu\n", AT(v4l2_frmivalenum, width), AT(v4l2_frmivalenum, type), AT(v4l2_frmivalenum, discrete));
    return 0;
}
"""


def test_numbers_and_structures_are_the_kernels(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("no C compiler, or no kernel headers")
    (tmp_path / "a.c").write_text(PROGRAM)
    subprocess.run([compiler, "-o", str(tmp_path / "a"), str(tmp_path / "a.c")], check=True)
    out = subprocess.run([str(tmp_path / "a")], capture_output=True, text=True, check=True).stdout
    calls, sizes, *offsets = ([int(v) for v in line.split()] for line in out.splitlines())
    assert calls == [vd.QUERYCAP, vd.ENUM_FORMATS, vd.ENUM_SIZES, vd.ENUM_INTERVALS]
    assert sizes == [s.size for s in (vd.CAPABILITY, vd.FORMAT, vd.SIZE, vd.INTERVAL)]
    assert offsets == [[16, 84, 88], [4, 12, 44], [4, 8, 12], [8, 16, 20]]
    fields = [
        [(vd.CAPABILITY, 1), (vd.CAPABILITY, 4), (vd.CAPABILITY, 5)], [(vd.FORMAT, 1), (vd.FORMAT, 3), (vd.FORMAT, 4)],
        [(vd.SIZE, 1), (vd.SIZE, 2), (vd.SIZE, 3)], [(vd.INTERVAL, 2), (vd.INTERVAL, 4), (vd.INTERVAL, 5)],
    ]  # fmt: skip
    assert [[_offset(layout, field) for layout, field in row] for row in fields] == offsets


def _offset(layout: struct.Struct, field: int) -> int:
    """Where a field lies: the first byte whose change changes it."""
    blank = layout.unpack(bytes(layout.size))[field]
    for byte in range(layout.size):
        data = bytearray(layout.size)
        data[byte] = 1
        if layout.unpack(bytes(data))[field] != blank:
            return byte
    raise AssertionError


def code(letters: str) -> int:
    return struct.unpack("<I", letters.encode())[0]


class Driver:
    """Answers as a UVC camera does: MJPG in two sizes, and YUYV in steps up to a largest."""

    def __init__(self, capabilities: int = 0x84200001, device_caps: int = 0x04200001) -> None:
        self.capabilities, self.device_caps = capabilities, device_caps

    def __call__(self, _descriptor: int, call: int, data: bytearray) -> int:
        if call == vd.QUERYCAP:
            able = (self.capabilities, self.device_caps)
            data[:] = vd.CAPABILITY.pack(b"uvcvideo", b"HD Pro Webcam C920", b"usb-1", 1, *able)
            return 0
        index = struct.unpack_from("=I", data)[0]
        if call == vd.ENUM_FORMATS:
            kinds = [(b"Motion-JPEG", "MJPG"), (b"YUYV 4:2:2", "YUYV")]
            assert struct.unpack_from("=I", data, 4)[0] == 1
            if index < 2:
                data[:] = vd.FORMAT.pack(index, 1, 0, kinds[index][0], code(kinds[index][1]))
                return 0
        elif call == vd.ENUM_SIZES:
            fourcc = struct.unpack_from("=I", data, 4)[0]
            if fourcc == code("MJPG") and index < 2:
                width, height = [(1920, 1080), (1280, 720)][index]
                data[:] = vd.SIZE.pack(index, fourcc, 1, width, height, 0, 0, 0, 0)
                return 0
            if fourcc == code("YUYV") and index == 0:
                data[:] = vd.SIZE.pack(index, fourcc, 3, 160, 640, 16, 120, 480, 8)
                return 0
        elif call == vd.ENUM_INTERVALS:
            _, fourcc, width, height, *_ = vd.INTERVAL.unpack(data)
            intervals = [(1, 30), (1001, 30000), (1, 15)] if (width, height) == (1920, 1080) else [(1, 60)]
            if index < len(intervals):
                data[:] = vd.INTERVAL.pack(index, fourcc, width, height, 1, *intervals[index], 0, 0, 0, 0)
                return 0
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def file_system(tmp_path: Path) -> Path:
    """A file system with a camera, its metadata device, a loopback, and a link by-id."""
    for number, (name, index, place) in enumerate(
        [("C920", 0, "pci/usb1"), ("C920", 1, "pci/usb1"), ("OBS Camera", 0, "virtual")]
    ):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / f"dev/video{number}").touch()
        real = tmp_path / f"sys/devices/{place}/video4linux/video{number}"
        real.mkdir(parents=True)
        (real / "name").write_text(name + "\n")
        (real / "index").write_text(f"{index}\n")
        (tmp_path / "sys/class/video4linux").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"sys/class/video4linux/video{number}").symlink_to(real)
    (tmp_path / "dev/video10").touch()
    (tmp_path / "dev/videonothing").touch()
    (tmp_path / "dev/v4l/by-id").mkdir(parents=True)
    (tmp_path / "dev/v4l/by-id/usb-C920-video-index0").symlink_to("../../video0")
    return tmp_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return file_system(tmp_path)


def test_devices_by_number_without_opening_them(root: Path) -> None:
    devices = vd.list_video_devices(root)
    assert [d.number for d in devices] == [0, 1, 2, 10]
    assert [(d.name, d.virtual, d.stream) for d in devices] == [
        ("C920", False, 0), ("C920", False, 1), ("OBS Camera", True, 0), ("", False, 0),
    ]  # fmt: skip


def test_what_a_camera_says_of_itself(root: Path) -> None:
    able = vd.ask_device(str(root / "dev/video0"), Driver(), root)
    assert (able.card, able.captures) == ("HD Pro Webcam C920", True)
    assert able.by_id.endswith("usb-C920-video-index0")
    assert [(f.fourcc, f.description, f.size_hw, f.smallest_hw, f.rates) for f in able.formats] == [
        ("MJPG", "Motion-JPEG", (1080, 1920), None, (Fraction(30), Fraction(30000, 1001), Fraction(15))),
        ("MJPG", "Motion-JPEG", (720, 1280), None, (Fraction(60),)),
        ("YUYV", "YUYV 4:2:2", (480, 640), (120, 160), (Fraction(60),)),
    ]


def test_a_device_that_gives_no_pictures_is_asked_no_further(root: Path) -> None:
    """A camera's metadata device: the camera as a whole captures, this device does not."""
    able = vd.ask_device(str(root / "dev/video1"), Driver(device_caps=0x04A00000), root)
    assert not able.captures
    assert able.formats == ()


def test_a_file_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    with pytest.raises(OSError, match="ioctl"):
        vd.ask_device(str(tmp_path / "video0"))
