"""What can be asked of a source when it is opened."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from edge_harmony.errors import ConfigError

TRANSPORTS: Final = ("tcp", "udp")
HDR_MODES: Final = ("tonemap", "refuse")
LOCK: Final = "lock"  # for exposure and white balance: stay at what the camera found by itself


@dataclass(frozen=True)
class CaptureOptions:
    """What to ask of a source; None leaves it to the source. What was obtained is in ``Source.describe()``.

    Attributes:
        size_hw: height and width asked of a camera.
        rate: frames a second asked of a camera; of a folder or pattern of pictures, exactly.
        fourcc: pixel format asked of a camera, such as ``MJPG`` or ``YUYV``.
        exposure: ``"lock"`` lets the camera find its exposure for a second and then holds it; a number sets it, in
            the driver's own units (V4L2: 100 µs; CSI: ns).
        white_balance: the same for the white balance; a number is a colour temperature in kelvin.
        transport: how RTSP brings its packets, ``tcp`` or ``udp``.
        open_timeout_s: longest wait for a network stream to answer.
        read_timeout_s: longest wait for the next packet of a network stream before it counts as lost.
        threads: the decoder's threads; None lets FFmpeg choose, for a file ``VideoFile``.
        realtime: show a file at its own speed, as if it were a camera: a slow reader leaves frames out.
        hdr: what becomes of HDR video (HLG, PQ): ``tonemap`` or ``refuse``.
    """

    size_hw: tuple[int, int] | None = None
    rate: Fraction | None = None
    fourcc: str | None = None
    exposure: float | str | None = None
    white_balance: float | str | None = None
    transport: str = "tcp"
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0
    threads: int | None = None
    realtime: bool = False
    hdr: str = "tonemap"

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for a value that no source could take."""
        if self.size_hw is not None:
            _require(min(self.size_hw) > 0, f"a camera size of {self.size_hw}", "write WIDTHxHEIGHT, as 1280x720")
        if self.rate is not None:
            _require(0 < self.rate <= 1000, f"{self.rate} frames a second", "use a rate such as 25 or 30000/1001")
        if self.fourcc is not None:
            good = len(self.fourcc) == 4 and self.fourcc.isascii() and self.fourcc.isprintable()
            _require(good, f"FOURCC {self.fourcc!r}", "use four letters such as MJPG, YUYV or H264")
        for name in ("exposure", "white_balance"):
            value = getattr(self, name)
            if isinstance(value, str):
                _require(value == LOCK, f"{name} {value!r}", f"use a number, or '{LOCK}' to hold what the camera found")
            elif value is not None:
                _require(math.isfinite(value), f"{name} {value}", "use a number")
        if self.hdr not in HDR_MODES:
            raise ConfigError(f"--hdr {self.hdr!r} is unknown", f"use {' or '.join(HDR_MODES)}")
        if self.transport not in TRANSPORTS:
            near = difflib.get_close_matches(self.transport, TRANSPORTS, 1)
            raise ConfigError(
                f"RTSP transport {self.transport!r} is unknown", f"use {near[0] if near else ' or '.join(TRANSPORTS)}"
            )
        for name in ("open_timeout_s", "read_timeout_s"):
            _require(0 < getattr(self, name) < 3600, f"{name} of {getattr(self, name)}", "use a few seconds")


def _require(good: bool, what: str, hint: str) -> None:
    if not good:
        raise ConfigError(f"{what} is not possible", hint)
