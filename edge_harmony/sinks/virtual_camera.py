"""A camera that other programs can choose: v4l2loopback on Linux, pyvirtualcam on other systems."""

from __future__ import annotations

import contextlib
import logging
import sys
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backgrounds.fit import fit
from edge_harmony.errors import BackendUnavailableError, SinkError
from edge_harmony.sinks.bt709 import even
from edge_harmony.sinks.v4l2 import OutputDevice, convert, find_outputs, make_device, refused

_log = logging.getLogger(__name__)


class VirtualCamera:
    """Gives pictures to other programs as a camera; a ``LiveSink``.

    Its size is that of the first picture (an odd side grows by one), or what the device insists on while another
    program has it open; pictures of another size are fitted into it with bars.

    Attributes:
        device: what to choose in the other program; "" before ``start``.
    """

    lossless = False

    def __init__(self, device: str | None = None) -> None:
        """Take the device.

        Args:
            device: ``/dev/videoN``; None or ``virtual`` for the first v4l2loopback device, on other systems than
                Linux for what pyvirtualcam finds (OBS's virtual camera, Unity Capture).
        """
        device = None if device == "virtual" else device
        self.name = device or "virtual camera"
        self.device = ""
        self._wanted = device
        self._size_hw = (0, 0)
        self._loopback: OutputDevice | None = None
        self._camera: Any = None  # pyvirtualcam's

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        """Open the device; see ``LiveSink``."""
        self._size_hw = even(size_hw)
        if not sys.platform.startswith("linux"):
            self._start_elsewhere(rate)
            return
        path = self._wanted or _first_output()
        self._loopback = OutputDevice(path, self._size_hw)
        if self._loopback.size_hw != self._size_hw:
            _log.warning("%s stays at %d x %d while another program uses it", path, *reversed(self._loopback.size_hw))
            self._size_hw = self._loopback.size_hw
        self.device = f"{self._loopback.card} ({path})"
        _log.info("choose the camera %s in the other program", self.device)

    def write(self, image_bgr: NDArray[np.uint8], pts_s: float) -> None:
        """Give one picture; see ``LiveSink``."""
        image_bgr = fit(image_bgr, self._size_hw, "contain")
        if self._loopback is not None:
            try:
                self._loopback.write(convert(image_bgr, self._loopback.pixel_format))
            except OSError as error:
                raise refused(self.name, error) from error
        elif self._camera is not None:
            try:
                self._camera.send(image_bgr)
            except RuntimeError as error:
                raise SinkError(f"{self.name} takes no pictures any more: {error}", "start the stream again") from error
        else:
            raise SinkError(f"{self.name} was not started", "call start first")

    def close(self) -> None:
        """Let go of the device; may be called twice."""
        if self._loopback is not None:
            self._loopback.close()
        camera, self._camera = self._camera, None
        if camera is not None:
            with contextlib.suppress(Exception):
                camera.close()

    def abort(self) -> None:
        """The same."""
        self.close()

    def _start_elsewhere(self, rate: Fraction) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise BackendUnavailableError(
                f"a virtual camera needs pyvirtualcam here, which cannot be imported: {error}",
                "pip install 'edge-harmony[virtual-camera]', and install OBS, whose virtual camera it uses",
            ) from error
        height, width = self._size_hw
        try:
            self._camera = pyvirtualcam.Camera(
                width, height, float(rate) or 30.0, fmt=pyvirtualcam.PixelFormat.BGR, device=self._wanted
            )
        except RuntimeError as error:
            raise SinkError(
                f"there is no virtual camera: {error}", "install OBS and start its virtual camera once"
            ) from error
        self.device = self._camera.device
        _log.info("choose the camera %s in the other program", self.device)


def _first_output() -> str:
    found = find_outputs()
    if not found:
        raise SinkError(
            "there is no virtual camera: no /dev/videoN takes pictures",
            f"install v4l2loopback (apt install v4l2loopback-dkms), then {make_device()}",
        )
    return found[0]
