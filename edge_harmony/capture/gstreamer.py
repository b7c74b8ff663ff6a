"""GStreamer pipelines through OpenCV, and the CSI cameras of a Jetson, which need one."""

from __future__ import annotations

import re
import threading
from fractions import Fraction
from typing import Any, Final
from urllib.parse import parse_qsl

import cv2

from edge_harmony.capture.gst_parse import parse_error
from edge_harmony.capture.opencv import OpenCvSource
from edge_harmony.capture.options import LOCK, CaptureOptions
from edge_harmony.errors import BackendUnavailableError, ConfigError, SourceError
from edge_harmony.run.redact import redact

_CSI_SIZE_HW: Final = (1080, 1920)
_CSI_RATE: Final = Fraction(30)
# The newest frame only, at once: a queue in the sink would be latency.
_SINK: Final = "appsink drop=true max-buffers=1 sync=false"
_OPEN_S: Final = 15.0  # longest wait for a pipeline's first picture
_CSI: Final = re.compile(r"csi://(\d+)/?(?:\?(.*))?", re.IGNORECASE)
_CSI_OPTIONS: Final = ("flip-method", "sensor-mode")


class GStreamerPipeline(OpenCvSource):
    """A pipeline that ends in BGR frames; the end is added where the text leaves it out."""

    def __init__(self, pipeline: str, options: CaptureOptions | None = None, name: str = "") -> None:
        """Start it.

        Args:
            pipeline: as for gst-launch-1.0, with or without ``appsink`` at its end.
            options: not used: a pipeline says all there is to say.
            name: what to call it in messages; default: the pipeline, shortened, without passwords.

        Raises:
            BackendUnavailableError: this OpenCV has no GStreamer.
            SourceError: the pipeline does not start, with GStreamer's own words.
        """
        require_gstreamer()
        self.pipeline = complete_pipeline(pipeline)
        self._hangs = False
        super().__init__(name or _shortened(redact(pipeline)))

    def _open_impl(self) -> Any:
        wrong = parse_error(self.pipeline)
        if wrong:
            raise self._refuse(redact(wrong))
        opened: list[Any] = []
        # OpenCV waits for the first picture with no end that could be set in all versions: so another thread waits.
        thread = threading.Thread(
            target=lambda: opened.append(cv2.VideoCapture(self.pipeline, cv2.CAP_GSTREAMER)), daemon=True
        )
        thread.start()
        thread.join(_OPEN_S)
        self._hangs = not opened
        return opened[0] if opened else cv2.VideoCapture()

    def _refuse(self, reason: str) -> SourceError:
        if self._hangs and not reason:
            reason = f"no picture within {_OPEN_S:g} s"
        return SourceError(
            f"{self.name} does not start{f': {reason}' if reason else ''}",
            f"try it alone: gst-launch-1.0 {redact(self.pipeline).rpartition(' ! appsink')[0]} ! fakesink",
        )


class CsiCamera(GStreamerPipeline):
    """A CSI camera of a Jetson through NVIDIA's Argus: ``csi://0``, ``csi://1?flip-method=2``."""

    def __init__(self, spec: str, options: CaptureOptions | None = None) -> None:
        """Start it; see ``csi_pipeline`` for the options.

        Raises:
            ConfigError: an option that it does not have. BackendUnavailableError, SourceError: as a pipeline.
        """
        self._text = csi_pipeline(spec, options or CaptureOptions())
        super().__init__(self._text, name=spec.partition("?")[0])

    def describe(self) -> str:
        """Size, rate, and the pipeline that was started."""
        return f"{super().describe()} ({self._text})"

    def _refuse(self, reason: str) -> SourceError:
        if "nvarguscamerasrc" in reason and "element" in reason:
            return SourceError(
                f"{self.name} needs NVIDIA's camera element: {reason}",
                "CSI cameras need a Jetson with nvidia-l4t-gstreamer (apt); a USB camera goes by its number",
            )
        return SourceError(
            f"{self.name} does not start{f': {reason}' if reason else ''}",
            "is the camera's ribbon in, and its overlay set (sudo /opt/nvidia/jetson-io/jetson-io.py)? After a crash: "
            "sudo systemctl restart nvargus-daemon",
        )


def csi_pipeline(spec: str, options: CaptureOptions) -> str:
    """The pipeline for a CSI camera, without its sink.

    Args:
        spec: ``csi://N``, optionally with ``?flip-method=0..7`` (2 turns by 180 degrees) and ``&sensor-mode=N``.
        options: size (default 1920x1080) and rate (default 30); an exposure in ns; locks of exposure and white
            balance, which Argus holds as they are. A white balance in kelvin is not possible with Argus.

    Raises:
        ConfigError: not such a text, or an option that cannot be had.
    """
    match = _CSI.fullmatch(spec.strip())
    if match is None:
        raise ConfigError(f"{spec} is not a CSI camera", "write csi://0, csi://1, ...")
    if isinstance(options.white_balance, (int, float)):
        raise ConfigError("a CSI camera takes no white balance in kelvin", "use --white-balance lock")
    height, width = options.size_hw or _CSI_SIZE_HW
    rate = options.rate or _CSI_RATE
    camera = [f"nvarguscamerasrc sensor-id={match[1]}"]
    convert = "nvvidconv"
    for name, value in parse_qsl(match[2] or "", keep_blank_values=True):
        if name not in _CSI_OPTIONS or not value.isdigit():
            raise ConfigError(
                f"{spec}: {name}={value} is unknown", f"known are {' and '.join(_CSI_OPTIONS)}, as numbers"
            )
        if name == "flip-method":
            convert += f" flip-method={value}"
        else:
            camera.append(f"{name}={value}")
    if options.exposure == LOCK:
        camera.append("aelock=true")
    elif options.exposure is not None:
        camera.append(f'exposuretimerange="{options.exposure:.0f} {options.exposure:.0f}"')
    if options.white_balance == LOCK:
        camera.append("awblock=true")
    return " ! ".join(
        (
            " ".join(camera),
            f"video/x-raw(memory:NVMM), width=(int){width}, height=(int){height}, "
            f"framerate=(fraction){rate.numerator}/{rate.denominator}, format=(string)NV12",
            convert,
            "video/x-raw, format=(string)BGRx",
            "videoconvert",
            "video/x-raw, format=(string)BGR",
        )
    )


def complete_pipeline(pipeline: str) -> str:
    """The pipeline with an end that hands the newest BGR frame to OpenCV; unchanged if it has an ``appsink``."""
    text = pipeline.strip().rstrip("!").strip()
    if re.search(r"\bappsink\b", text):
        return text
    if not re.search(r"video/x-raw\s*,[^!]*format\s*=\s*(\(string\))?\s*BGR\b[^!]*$", text):
        text += " ! videoconvert ! video/x-raw, format=(string)BGR"
    return f"{text} ! {_SINK}"


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer."""
    return bool(re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()))


def require_gstreamer() -> None:
    """Raise ``BackendUnavailableError`` when this OpenCV has no GStreamer."""
    if not has_gstreamer():
        raise BackendUnavailableError(
            f"this OpenCV ({cv2.__version__}) has no GStreamer, which CSI cameras and pipelines need",
            "pip's OpenCV has none: pip uninstall opencv-python, then sudo apt install python3-opencv, and use the "
            "system's Python or a venv made with --system-site-packages",
        )


def _shortened(pipeline: str) -> str:
    text = " ".join(pipeline.split())
    return f"pipeline '{text}'" if len(text) <= 60 else f"pipeline '{text[:57]}...'"
