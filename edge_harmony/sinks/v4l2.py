"""Linux's interface to video devices, as far as writing pictures to a loopback device needs it (V4L2 output)."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import SinkError

_BUF_TYPE_OUTPUT: Final = 2  # V4L2_BUF_TYPE_VIDEO_OUTPUT
_FIELD_NONE: Final = 1
_COLORSPACE_SRGB: Final = 8  # primaries and transfer; the matrix and range are said by the next two
_YCBCR_601: Final = 1
_QUANTIZATION_LIMITED: Final = 2
_PIX_MAGIC: Final = 0xFEEDCAFE  # in ``priv``: the fields behind it count
_CAP_VIDEO_OUTPUT: Final = 0x2
_CAP_DEVICE_CAPS: Final = 0x80000000

# struct v4l2_format: the type, aligned to a pointer, and a union of 200 bytes that begins with v4l2_pix_format.
_UNION_AT: Final = 8 if struct.calcsize("P") == 8 else 4
_FORMAT_SIZE: Final = _UNION_AT + 200
_PIX: Final = struct.Struct("=12I")
_CAPABILITY: Final = struct.Struct("=16s32s32sII I 3I")  # driver, card, bus, version, capabilities, device_caps


def _request(direction: int, number: int, size: int) -> int:
    """The number of an ioctl of group V (_IOC of asm-generic/ioctl.h)."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


VIDIOC_QUERYCAP: Final = _request(2, 0, _CAPABILITY.size)
VIDIOC_G_FMT: Final = _request(3, 4, _FORMAT_SIZE)
VIDIOC_S_FMT: Final = _request(3, 5, _FORMAT_SIZE)


def fourcc(name: str) -> int:
    """The number of a pixel format: ``YUYV``, ``YU12``."""
    return int.from_bytes(name.encode("ascii"), "little")


def pack_format(size_hw: tuple[int, int], pixel_format: str) -> bytearray:
    """A ``struct v4l2_format`` for output: BT.601 in limited range, as webcams send it.

    Args:
        size_hw: even.
        pixel_format: ``YUYV`` (2 bytes a pixel, interleaved) or ``YU12`` (planar 4:2:0).
    """
    height, width = size_hw
    stride, size = (2 * width, 2 * width * height) if pixel_format == "YUYV" else (width, width * height * 3 // 2)
    packed = bytearray(_FORMAT_SIZE)
    struct.pack_into("=I", packed, 0, _BUF_TYPE_OUTPUT)
    _PIX.pack_into(
        packed, _UNION_AT, width, height, fourcc(pixel_format), _FIELD_NONE, stride, size, _COLORSPACE_SRGB, _PIX_MAGIC,
        0, _YCBCR_601, _QUANTIZATION_LIMITED, 0,
    )  # fmt: skip
    return packed


def unpack_format(packed: bytes | bytearray) -> tuple[tuple[int, int], str]:
    """Height and width, and the pixel format, of a ``struct v4l2_format``."""
    width, height, pixel_format = struct.unpack_from("=3I", packed, _UNION_AT)
    return (height, width), pixel_format.to_bytes(4, "little").decode("latin-1")


def convert(image_bgr: NDArray[np.uint8], pixel_format: str) -> NDArray[np.uint8]:
    """A picture as a device wants it: uint8, contiguous; BT.601, limited range.

    Args:
        image_bgr: uint8 (H, W, 3), both even.
        pixel_format: ``YUYV`` gives (H, W, 2), ``YU12`` (3 H / 2, W).
    """
    image_bgr = np.ascontiguousarray(image_bgr)
    if pixel_format == "YU12":
        return np.ascontiguousarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    if hasattr(cv2, "COLOR_BGR2YUV_YUYV"):
        return np.ascontiguousarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2YUV_YUYV), np.uint8)
    # OpenCV before 4.9, JetPack 6's too. With every row twice, 4:2:0 has a row of colours for each row.
    height, width = image_bgr.shape[:2]
    planes = cv2.cvtColor(np.repeat(image_bgr, 2, axis=0), cv2.COLOR_BGR2YUV_I420)
    pixels = np.empty((height, width, 2), np.uint8)
    pixels[..., 0] = planes[: 2 * height : 2]
    pixels[..., 1] = planes[2 * height :].reshape(2, height, width // 2).transpose(1, 2, 0).reshape(height, width)
    return pixels


class OutputDevice:
    """An open V4L2 device that takes pictures.

    Attributes:
        card: what the device calls itself, and what other programs list.
        size_hw, pixel_format: what was agreed on; the size may differ from what was asked for while another program
            has the device open.
    """

    def __init__(self, path: str, size_hw: tuple[int, int]) -> None:
        """Open it and set its format.

        Args:
            path: ``/dev/videoN``.
            size_hw: even.

        Raises:
            SinkError: no such device, not ours to open, a camera, busy, or without a format that we know.
        """
        import fcntl

        self._file = -1
        try:
            self._file = os.open(path, os.O_RDWR)
        except OSError as error:
            raise refused(path, error) from error
        try:
            self.card = check_output(path, query(self._file))
            self.size_hw, self.pixel_format = (0, 0), ""
            for wanted in ("YUYV", "YU12") if hasattr(cv2, "COLOR_BGR2YUV_YUYV") else ("YU12",):
                packed = pack_format(size_hw, wanted)
                try:
                    fcntl.ioctl(self._file, VIDIOC_S_FMT, packed)
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                    continue
                self.size_hw, self.pixel_format = unpack_format(packed)
                if self.pixel_format == wanted:
                    return
            raise SinkError(f"{path} takes neither YUYV nor YU12 pictures", "close the programs that use it")
        except OSError as error:
            self.close()
            raise refused(path, error) from error
        except BaseException:
            self.close()
            raise

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Write one picture, as ``convert`` gives it; raises OSError."""
        os.write(self._file, pixels.data.cast("B"))

    def close(self) -> None:
        """Close; may be called twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def query(file: int) -> tuple[str, str, int]:
    """Driver, card and capabilities of an open device; raises OSError when it is no video device."""
    import fcntl

    packed = bytearray(_CAPABILITY.size)
    fcntl.ioctl(file, VIDIOC_QUERYCAP, packed)
    driver, card, _, _, capabilities, device_caps, *_ = _CAPABILITY.unpack(packed)
    names = [name.split(b"\0")[0].decode(errors="replace") for name in (driver, card)]
    return names[0], names[1], device_caps if capabilities & _CAP_DEVICE_CAPS else capabilities


def check_output(path: str, found: tuple[str, str, int]) -> str:
    """The card's name, or ``SinkError`` for a device that takes no pictures."""
    driver, card, capabilities = found
    if not capabilities & _CAP_VIDEO_OUTPUT:
        raise SinkError(
            f"{path} ({card}, {driver}) is a camera: pictures come from it, it takes none",
            f"make a virtual one: {make_device(path)}",
        )
    return card


def find_outputs() -> list[str]:
    """The devices that take pictures, in counting order; one with exclusive_caps is one while nobody writes to it."""
    found = []
    devices = sorted(Path("/dev").glob("video[0-9]*"), key=lambda p: (len(p.name), p.name))
    for device in devices:
        try:
            file = os.open(device, os.O_RDWR | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            if query(file)[2] & _CAP_VIDEO_OUTPUT:
                found.append(str(device))
        except OSError:
            pass
        finally:
            os.close(file)
    return found


def make_device(path: str = "/dev/video10") -> str:
    """The command that makes a loopback device."""
    number = path.removeprefix("/dev/video")
    nr = number if number.isdigit() else "10"
    return f"sudo modprobe v4l2loopback video_nr={nr} card_label=edge-harmony exclusive_caps=1"


def refused(path: str, error: OSError) -> SinkError:
    """The ``SinkError`` for a device that cannot be opened or set up."""
    hints = {
        errno.ENOENT: f"install v4l2loopback (apt install v4l2loopback-dkms), then {make_device(path)}",
        errno.ENXIO: f"load the module again: {make_device(path)}",
        errno.ENODEV: f"load the module again: {make_device(path)}",
        errno.EACCES: "join the group that may use it: sudo usermod -aG video $USER, then log in again",
        errno.EPERM: "join the group that may use it: sudo usermod -aG video $USER, then log in again",
        errno.EBUSY: "another program writes to it, or still shows it: close that one, or name another device",
        errno.ENOTTY: "name a v4l2loopback device, such as /dev/video10",
    }
    reason = "is no video device" if error.errno == errno.ENOTTY else f"cannot be used: {error.strerror or error}"
    return SinkError(f"{path} {reason}", hints.get(error.errno or 0, "see 'v4l2-ctl --list-devices'"))
