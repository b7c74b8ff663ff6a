"""Cameras through OpenCV: V4L2 on Linux, the system's own way elsewhere."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import cv2

from edge_harmony.capture.opencv import OpenCvSource
from edge_harmony.capture.options import LOCK, CaptureOptions
from edge_harmony.capture.source import rate_words
from edge_harmony.errors import SourceError

_SETTLE_S: Final = 1.0  # for the camera's own exposure and white balance, before they are locked
# Manual exposure as the backends number it: V4L2's menu entry, and everybody else's 0.25 of OpenCV.
_MANUAL: Final = 1 if sys.platform == "linux" else 0.25


class Camera(OpenCvSource):
    """A camera by its number or device. What was asked for and what was obtained is in ``describe()``.

    A camera takes what it can of a wish and OpenCV does not say which: so everything is read back. An unplugged
    camera that comes back under another number is found again when it was named by ``/dev/v4l/by-id/...``.
    """

    def __init__(self, device: int | str, options: CaptureOptions | None = None) -> None:
        """Open it, set what is asked for, and read one frame.

        Args:
            device: number, or path of a V4L2 device.
            options: size, rate, FOURCC, exposure and white balance; those of None are left alone.

        Raises:
            SourceError: no such camera, no permission, in use by another program, or it gives no frame.
        """
        self.device = device
        self._options = options or CaptureOptions()
        self._held: list[str] = []
        self._obtained = ""
        super().__init__(f"camera {device}" if isinstance(device, int) else device)

    def describe(self) -> str:
        """Model, and what was asked for and obtained."""
        asked, model = _words(self._options), camera_model(self.device)
        name = f"{self.name} ({model})" if model else self.name
        return f"{name}: " + ", ".join(
            [*([f"asked for {asked}"] if asked else []), f"got {self._obtained}", *self._held]
        )

    def _open_impl(self) -> Any:
        if sys.platform == "linux":
            path = _resolve(self.device)
            number = path.removeprefix("/dev/video")
            capture = cv2.VideoCapture(int(number) if number.isdigit() else path, cv2.CAP_V4L2)
        else:
            capture = cv2.VideoCapture(self.device, cv2.CAP_ANY)
        wanted = self._options
        if not capture.isOpened():
            return capture
        if wanted.fourcc:  # first: which sizes and rates there are depends on it
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted.fourcc))
        if wanted.size_hw:
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.size_hw[0])
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.size_hw[1])
        if wanted.rate:
            capture.set(cv2.CAP_PROP_FPS, float(wanted.rate))
        return capture

    def _settle(self, capture: Any) -> None:
        wanted = self._options
        if LOCK in (wanted.exposure, wanted.white_balance):
            until_s = time.monotonic() + _SETTLE_S
            while time.monotonic() < until_s and capture.grab():
                pass
        self._held = []
        if wanted.exposure is not None:
            self._held.append(self._hold_exposure(capture, wanted.exposure))
        if wanted.white_balance is not None:
            self._held.append(self._hold_white_balance(capture, wanted.white_balance))
        self._obtained = _obtained_words(capture)

    def _hold_exposure(self, capture: Any, wanted: float | str) -> str:
        value = capture.get(cv2.CAP_PROP_EXPOSURE) if wanted == LOCK else float(wanted)
        done = capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL) and capture.set(cv2.CAP_PROP_EXPOSURE, value)
        if not done:
            return f"exposure NOT held at {value:g}: the camera refuses"
        return f"exposure held at {capture.get(cv2.CAP_PROP_EXPOSURE):g}"

    def _hold_white_balance(self, capture: Any, wanted: float | str) -> str:
        value = capture.get(cv2.CAP_PROP_WB_TEMPERATURE) if wanted == LOCK else float(wanted)
        done = capture.set(cv2.CAP_PROP_AUTO_WB, 0)
        if done and value > 0:
            done = capture.set(cv2.CAP_PROP_WB_TEMPERATURE, value) or wanted == LOCK
        if not done:
            return f"white balance NOT held at {value:g}: the camera refuses"
        obtained = capture.get(cv2.CAP_PROP_WB_TEMPERATURE)
        return f"white balance held{f' at {obtained:g} K' if obtained > 0 else ''}"

    def _arrival_s(self, capture: Any) -> float:
        """The driver's own time of the frame where it gives one (V4L2, by the same clock), else now."""
        now_s = time.monotonic()
        driver_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        return driver_s if 0.0 <= now_s - driver_s < 1.0 else now_s

    def _device_file(self) -> Path | None:
        """The camera's file, where cameras are files."""
        return Path(_resolve(self.device)) if sys.platform == "linux" else None

    def _refuse(self, reason: str) -> SourceError:
        said = f" ({reason})" if reason else ""
        path = self._device_file()
        if path is not None and not path.exists():
            return SourceError(
                f"{self.name}: there is no {path}{said}", "see 'edge-harmony list-cameras'; is it plugged in?"
            )
        if path is not None and not os.access(path, os.R_OK | os.W_OK):
            return SourceError(
                f"{self.name}: no permission to use {path}{said}", "sudo usermod -aG video $USER, then log in again"
            )
        return SourceError(
            f"{self.name} gives no frame{said}",
            "is another program using it? Close that, or ask for less: 'edge-harmony list-cameras' lists what it has",
        )


def camera_model(device: int | str) -> str:
    """What the kernel calls a camera; "" where it does not say."""
    name = Path(_resolve(device)).resolve().name
    try:
        return Path("/sys/class/video4linux", name, "name").read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _resolve(device: int | str) -> str:
    """The device file; a link from /dev/v4l/by-id is followed anew each time, for it moves with the camera."""
    return f"/dev/video{device}" if isinstance(device, int) else os.path.realpath(device)


def _words(options: CaptureOptions) -> str:
    size = f"{options.size_hw[1]}x{options.size_hw[0]}" if options.size_hw else ""
    rate = f"at {rate_words(options.rate)}" if options.rate else ""
    return " ".join(filter(None, (options.fourcc, size, rate)))


def _obtained_words(capture: Any) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    letters = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
    width, height = (round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    rate = capture.get(cv2.CAP_PROP_FPS)
    at = f"at {rate:.4g}" if rate > 0 else ""
    return " ".join(filter(None, (letters if letters.isprintable() and code > 0 else "", f"{width}x{height}", at)))
