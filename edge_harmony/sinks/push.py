"""Streaming to a server: RTMP and RTSP push through PyAV (FFmpeg)."""

from __future__ import annotations

import contextlib
import logging
import time
from fractions import Fraction
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backgrounds.fit import fit
from edge_harmony.capture.container import import_av
from edge_harmony.errors import SinkError
from edge_harmony.run.redact import redact
from edge_harmony.sinks.bt709 import even
from edge_harmony.sinks.encoders import encoder_of
from edge_harmony.sinks.push_connection import Encoding, PushConnection
from edge_harmony.sinks.video import PRESETS

_log = logging.getLogger(__name__)

FORMATS: Final = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "rtsps": "rtsp"}
_OPTIONS: Final = {"flv": {"flvflags": "no_duration_filesize"}, "rtsp": {"rtsp_transport": "tcp"}}
_STEADY_S: Final = 10.0  # a connection that lasts this long is a good one: the next outage starts with short waits
_BITS_A_PIXEL: Final = 0.08  # 5 Mbit/s for 1080p at 30 a second, which is what services recommend
_LEAST_BITRATE: Final = 400_000
_MOST_BITRATE: Final = 12_000_000


class Push:
    """Streams H.264 with little delay to an RTMP or RTSP server; a ``LiveSink``.

    The connection is made with the first picture and held by a process of its own, so no network trouble holds up
    anything. When it breaks it is made again, after ``backoff_s[0]`` seconds, then twice that, up to
    ``backoff_s[1]``; pictures meanwhile are lost. One line is logged for an outage (warning) and one when the server
    takes the stream (info). The size is that of the first picture; others are fitted into it with bars.

    Attributes:
        name: the address without password and stream key.
        outages: how often the connection broke, or could not be made in the first place.
        lost: pictures that came while there was none.
    """

    lossless = False

    def __init__(
        self,
        url: str,
        *,
        bitrate_kbit: int | None = None,
        preset: str = "veryfast",
        codec: str = "h264",
        silence: bool | None = None,
        backoff_s: tuple[float, float] = (0.5, 10.0),
        timeout_s: float = 10.0,
    ) -> None:
        """Take the address; nothing is connected yet.

        Args:
            url: ``rtmp[s]://host/app/key`` or ``rtsp[s]://[user:password@]host/path``.
            bitrate_kbit: thousands of bits a second; None chooses by size and rate.
            preset: x264's speed, one of ``PRESETS``.
            codec: one of ``edge_harmony.sinks.encoders.ENCODERS`` that gives H.264.
            silence: whether a silent sound track goes along; None: with RTMP, whose services often insist on one.
            backoff_s: shortest and longest wait between two tries.
            timeout_s: after which a server that takes nothing is given up.

        Raises:
            SinkError: no such scheme, no host, or a setting that makes no sense.
            BackendUnavailableError: PyAV is not installed, or has no such encoder.
        """
        scheme = url.partition("://")[0].lower()
        self.name = redact(url)
        if scheme not in FORMATS:
            raise SinkError(f"{self.name} is no address to stream to", "write rtmp://host/app/key or rtsp://host/path")
        if not _host(url):
            raise SinkError(f"{self.name} names no host", "write rtmp://host/app/key or rtsp://host/path")
        if bitrate_kbit is not None and not 50 <= bitrate_kbit <= 200_000:
            raise SinkError(f"{bitrate_kbit} kbit a second cannot be streamed", "5000 suits 1080p, 2500 suits 720p")
        if preset not in PRESETS:
            raise SinkError(f"the preset {preset!r} is unknown", f"use one of {' '.join(PRESETS)}")
        self._av = import_av("streaming to a server")
        if encoder_of(codec).live is None:
            raise SinkError(f"servers take no {codec}", "use an H.264 encoder: --codec h264 or h264_nvenc")
        self.outages = 0
        self.lost = 0
        self._url, self._format = url, FORMATS[scheme]
        self._bitrate_kbit, self._preset, self._codec = bitrate_kbit, preset, codec
        self._silence = self._format == "flv" if silence is None else silence
        self._backoff_s, self._timeout_s = backoff_s, timeout_s
        self._wait_s, self._retry_at_s = backoff_s[0], 0.0
        self._size_hw, self._rate = (0, 0), Fraction(30)
        self._connection: PushConnection | None = None
        self._made_at_s = 0.0
        self._announced = self._out = self._closed = False

    @property
    def connected(self) -> bool:
        """Whether the server takes the stream now."""
        connection = self._connection
        return connection is not None and connection.connected

    def start(self, size_hw: tuple[int, int], rate: Fraction) -> None:
        """Note size and rate; see ``LiveSink``."""
        self._size_hw = even(size_hw)
        self._rate = rate if rate > 0 else Fraction(30)

    def write(self, image_bgr: NDArray[np.uint8], pts_s: float) -> None:
        """Stream one picture; see ``LiveSink``. A connection that breaks raises nothing."""
        if self._closed:
            return
        now_s = time.monotonic()
        if self._connection is None:
            if now_s < self._retry_at_s:
                self.lost += 1
                return
            self._made_at_s, self._announced = now_s, False
            self._connection = PushConnection(self._task(), self._size_hw, self._rate, self._encoding())
        image_bgr = fit(image_bgr, self._size_hw, "contain")
        try:
            self._connection.send(image_bgr, pts_s)
        except (OSError, self._av.error.FFmpegError) as error:
            self._lose(error)
            return
        if self._connection.connected and not self._announced:
            self._announced, self._out = True, False
            _log.info("streaming to %s", self.name)

    def close(self) -> None:
        """Take leave of the server; see ``LiveSink``. Takes three seconds at most."""
        self._closed = True
        connection = self._connection
        if connection is not None:
            connection.close()  # still at hand for abort, which may have to cut this short
            self._connection = None

    def abort(self) -> None:
        """End the connection at once; may come from another thread, where it ends a ``write`` that hangs."""
        self._closed = True
        connection = self._connection
        if connection is not None:
            connection.kill()

    def _lose(self, error: Exception) -> None:
        self.lost += 1
        connection, self._connection = self._connection, None
        now_s = time.monotonic()
        words = str(error)
        if connection is not None:
            words = connection.wait_for_reason()
            if connection.connected and now_s - self._made_at_s > _STEADY_S:
                self._wait_s = self._backoff_s[0]
            with contextlib.suppress(Exception):
                connection.kill()
        if self._closed:
            return
        if not self._out:  # one line an outage
            self.outages += 1
            reached = connection is not None and connection.connected
            _log.warning(
                "%s %s: %s; trying again", self.name, "is lost" if reached else "cannot be reached",
                redact(words, self._url),
            )  # fmt: skip
            self._out = True
        self._retry_at_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, self._backoff_s[1])

    def _task(self) -> dict[str, Any]:
        return {
            "url": self._url,
            "format": self._format,
            "options": _OPTIONS[self._format],
            "timeout_s": self._timeout_s,
        }

    def _encoding(self) -> Encoding:
        bitrate = (self._bitrate_kbit or 0) * 1000
        if not bitrate:
            height, width = self._size_hw
            wanted = round(_BITS_A_PIXEL * height * width * float(self._rate))
            bitrate = min(max(wanted, _LEAST_BITRATE), _MOST_BITRATE)
        return Encoding(bitrate, self._preset, silence=self._silence, codec=self._codec)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
