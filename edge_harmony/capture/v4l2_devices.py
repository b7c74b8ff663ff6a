"""Cameras that Linux knows: names from sysfs, formats and sizes from the drivers (V4L2). Standard library alone."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

# From <linux/videodev2.h>: numbers of the calls, and the structures as they lie in memory on all our machines.
QUERYCAP: Final = 0x80685600
ENUM_FORMATS: Final = 0xC0405602
ENUM_SIZES: Final = 0xC02C564A
ENUM_INTERVALS: Final = 0xC034564B
CAPABILITY: Final = struct.Struct("=16s32s32sIII12x")  # driver, card, bus, version, capabilities, device_caps
FORMAT: Final = struct.Struct("=III32sI16x")  # index, type, flags, description, pixel format
SIZE: Final = struct.Struct("=III6I8x")  # index, pixel format, type, then width and height, or ranges of them
INTERVAL: Final = struct.Struct("=IIIII6I8x")  # index, pixel format, width, height, type, then fractions

_CAPTURE: Final = 1  # of buffer types
_CAN_CAPTURE: Final = 0x1
_HAS_DEVICE_CAPS: Final = 0x80000000
_DISCRETE: Final = 1
_MOST: Final = 256  # entries of a list: a driver that never says "no more" does not hold us up

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True)
class CameraFormat:
    """One pixel format in one size of a camera.

    Attributes:
        fourcc: such as ``MJPG``.
        description: the driver's words for it.
        size_hw: height and width; of a range, the largest.
        smallest_hw: the smallest of a range, else None.
        rates: frames a second, fastest first; empty where the driver does not say.
    """

    fourcc: str
    description: str
    size_hw: tuple[int, int]
    smallest_hw: tuple[int, int] | None = None
    rates: tuple[Fraction, ...] = ()


@dataclass(frozen=True)
class VideoDevice:
    """A video device.

    Attributes:
        path: such as ``/dev/video0``.
        name: what the kernel calls it.
        virtual: made by v4l2loopback: others see as a camera what is written to it.
        stream: 0 for a camera's pictures; further ones are its metadata or a second stream.
        allowed: whether this user may read and write it.
    """

    path: str
    name: str
    virtual: bool
    stream: int
    allowed: bool

    @property
    def number(self) -> int:
        """N of ``/dev/videoN``."""
        return int(Path(self.path).name.removeprefix("video"))


@dataclass(frozen=True)
class CameraAbilities:
    """What a device says of itself when it is asked.

    Attributes:
        card: its name.
        captures: whether it gives pictures at all.
        formats: what it can give.
        by_id: a path that stays the same however it is plugged in; "" without one.
    """

    card: str
    captures: bool
    formats: tuple[CameraFormat, ...] = field(default=())
    by_id: str = ""


def list_video_devices(root: Path = Path("/")) -> list[VideoDevice]:
    """Every /dev/video*, by number, without opening any; ``root`` is where the file system begins."""
    devices = []
    for path in (root / "dev").glob("video*"):
        if not path.name.removeprefix("video").isdigit():
            continue
        about = root / "sys/class/video4linux" / path.name
        index = _read(about / "index")
        devices.append(
            VideoDevice(
                path=str(path),
                name=_read(about / "name"),
                virtual="/devices/virtual/" in about.resolve().as_posix(),
                stream=int(index) if index.isdigit() else 0,
                allowed=os.access(path, os.R_OK | os.W_OK),
            )
        )
    return sorted(devices, key=lambda device: device.number)


def ask_device(path: str, ioctl: Ioctl | None = None, root: Path = Path("/")) -> CameraAbilities:
    """Ask a device what it can; it is opened, but does not start: no light goes on, and a camera in use may be asked.

    Args:
        path: the device.
        ioctl: what to ask with, as ``fcntl.ioctl``.
        root: where the file system begins.

    Raises:
        OSError: it cannot be opened, or is no V4L2 device.
    """
    if ioctl is None:
        import fcntl

        ioctl = fcntl.ioctl
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(CAPABILITY.size)
        ioctl(descriptor, QUERYCAP, answer)
        _, card, _, _, capabilities, device_caps = CAPABILITY.unpack(answer)
        able = device_caps if capabilities & _HAS_DEVICE_CAPS else capabilities
        captures = bool(able & _CAN_CAPTURE)
        formats = tuple(_formats(descriptor, ioctl)) if captures else ()
        return CameraAbilities(_text(card), captures, formats, _by_id(path, root))
    finally:
        os.close(descriptor)


def _formats(descriptor: int, ioctl: Ioctl) -> Iterator[CameraFormat]:
    for answer in _list(descriptor, ioctl, ENUM_FORMATS, FORMAT, lambda index: (index, _CAPTURE, 0, b"", 0)):
        _, _, _, description, code = FORMAT.unpack(answer)
        letters = struct.pack("<I", code).decode("latin-1").strip()
        words = _text(description)
        for size in _list(descriptor, ioctl, ENUM_SIZES, SIZE, lambda i, code=code: (i, code, *(0,) * 7)):
            _, _, kind, *numbers = SIZE.unpack(size)
            if kind == _DISCRETE:
                width, height = numbers[:2]
                rates = _rates(descriptor, ioctl, code, width, height)
                yield CameraFormat(letters, words, (height, width), None, rates)
            else:  # least and most of the width, its step, and the same of the height
                least_w, most_w, _, least_h, most_h, _ = numbers
                rates = _rates(descriptor, ioctl, code, most_w, most_h)
                yield CameraFormat(letters, words, (most_h, most_w), (least_h, least_w), rates)
                break


def _rates(descriptor: int, ioctl: Ioctl, code: int, width: int, height: int) -> tuple[Fraction, ...]:
    rates = set()
    blank = lambda index: (index, code, width, height, *(0,) * 7)  # noqa: E731
    for answer in _list(descriptor, ioctl, ENUM_INTERVALS, INTERVAL, blank):
        _, _, _, _, kind, *numbers = INTERVAL.unpack(answer)
        pairs = [numbers[:2]] if kind == _DISCRETE else [numbers[:2], numbers[2:4]]
        rates |= {Fraction(below, above) for above, below in pairs if above and below}
        if kind != _DISCRETE:
            break
    return tuple(sorted(rates, reverse=True))


def _list(
    descriptor: int, ioctl: Ioctl, call: int, layout: struct.Struct, blank: Callable[..., tuple[object, ...]]
) -> Iterator[bytearray]:
    """The answers of an enumerating call, until the driver says that there are no more."""
    for index in range(_MOST):
        answer = bytearray(layout.pack(*blank(index)))
        try:
            ioctl(descriptor, call, answer)
        except OSError:
            return
        yield answer


def _by_id(path: str, root: Path) -> str:
    for folder in ("by-id", "by-path"):
        links = root / "dev/v4l" / folder
        if links.is_dir():
            for link in sorted(links.iterdir()):
                if link.resolve() == Path(path).resolve():
                    return str(link)
    return ""


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace").strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
