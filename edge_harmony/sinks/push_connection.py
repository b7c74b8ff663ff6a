"""One connection to a streaming server: an encoder here, and a process that holds the line."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_harmony.capture.container import import_av
from edge_harmony.sinks.bt709 import YuvConverter, tag
from edge_harmony.sinks.encoders import ENCODERS

_TIME_BASE: Final = Fraction(1, 90_000)
_SOUND_RATE: Final = 44_100
_LONGEST_SILENCE_S: Final = 5  # to fill a gap with; a longer one stays a gap
_GOODBYE_S: Final = 3.0  # for the server to take leave


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded for a server.

    Attributes:
        bitrate: bits a second, kept all the time.
        preset: x264's speed.
        codec: one of ``edge_harmony.sinks.encoders.ENCODERS`` that gives H.264.
        key_every_s: seconds between key frames: who joins waits so long, and many servers ask for 2.
        silence: whether a silent sound track goes along, which some services insist on.
    """

    bitrate: int
    preset: str = "veryfast"
    key_every_s: float = 2.0
    silence: bool = False
    codec: str = "h264"


class PushConnection:
    """Encodes pictures with little delay and sends them; begins with a key frame at time 0.

    Attributes:
        connected: whether the server has accepted the stream.
        reason: why it ended, in FFmpeg's words; "" while nothing was said.
    """

    def __init__(self, task: Mapping[str, Any], size_hw: tuple[int, int], rate: Fraction, encoding: Encoding) -> None:
        """Start the process and the encoder; does not wait for the server.

        Args:
            task: what ``push_process`` reads: ``url, format, options, timeout_s``.
            size_hw: even.
            rate: pictures a second to expect.
            encoding: how.
        """
        self._av = import_av("streaming to a server")
        self.connected = False
        self.reason = ""
        self._encoding = encoding
        self._first_s: float | None = None
        self._last_pts, self._next_key = -1, 0
        self._sound_samples = 0
        # The address may hold a password or key, so it goes in by the pipe and not by the command line.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, name="edge-harmony push listener", daemon=True)
        self._listener.start()
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(dict(task)).encode() + b"\n")
            self._process.stdin.flush()
            self._pipe = _Pipe(self._process)
            self._container = self._av.open(self._pipe, "w", format="nut", options={"flush_packets": "1"})
            self._video = self._add_video(size_hw, rate)
            self._sound = self._add_sound() if encoding.silence else None
            self._yuv = YuvConverter()
        except BaseException:
            self.kill()
            raise

    def send(self, image_bgr: NDArray[np.uint8], pts_s: float) -> None:
        """Encode one picture and hand it on; blocks while the connection is congested.

        Raises:
            OSError, FFmpegError: the process, and so the connection, is gone (``reason``).
        """
        if self._first_s is None:
            self._first_s = pts_s
        pts = max(round((pts_s - self._first_s) / _TIME_BASE), self._last_pts + 1)
        self._last_pts = pts
        frame = self._yuv(image_bgr)
        frame.pts, frame.time_base = pts, _TIME_BASE
        if pts >= self._next_key:
            frame.pict_type = 1  # I
            self._next_key = pts + round(self._encoding.key_every_s / _TIME_BASE)
        if self._sound is not None:
            self._send_silence(pts * _TIME_BASE)
        for packet in self._video.encode(frame):
            self._container.mux(packet)
        if self._pipe.error is not None:
            raise self._pipe.error

    def close(self) -> None:
        """Take leave of the server; bounded in time."""
        with contextlib.suppress(Exception):
            if self._first_s is not None and self._process.poll() is None:
                for packet in self._video.encode():
                    self._container.mux(packet)
            self._container.close()
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()  # type: ignore[union-attr]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GOODBYE_S)
        self.kill()

    def kill(self) -> None:
        """End the process at once; may come from any thread, any number of times."""
        self._process.kill()
        self._process.wait()
        self._listener.join(_GOODBYE_S)
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()  # type: ignore[union-attr]

    def wait_for_reason(self) -> str:
        """Why the connection ended, once the process has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GOODBYE_S)
        self._listener.join(_GOODBYE_S)
        return self.reason or ("the server does not answer" if not self.connected else "the server takes no more")

    def _add_video(self, size_hw: tuple[int, int], rate: Fraction) -> Any:
        bitrate = self._encoding.bitrate
        encoder = ENCODERS[self._encoding.codec]
        stream = self._container.add_stream(encoder.name, rate=rate.limit_denominator(1_000_000))
        stream.height, stream.width = size_hw
        stream.pix_fmt = encoder.pixel_format
        stream.bit_rate = bitrate
        stream.options = {
            **({"preset": self._encoding.preset} if encoder.takes_speed else {}),
            **dict(encoder.live or ()),
            "maxrate": str(bitrate),
            "bufsize": str(bitrate),
            "g": str(max(1, round(10 * self._encoding.key_every_s * float(rate)))),  # key frames go by time, in send
        }
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        tag(stream.codec_context)
        return stream

    def _add_sound(self) -> Any:
        stream = self._container.add_stream("aac", rate=_SOUND_RATE)
        stream.layout = "stereo"
        stream.bit_rate = 64_000
        return stream

    def _send_silence(self, until_s: Fraction) -> None:
        assert self._sound is not None
        size = self._sound.codec_context.frame_size or 1024
        if until_s * _SOUND_RATE - self._sound_samples > _LONGEST_SILENCE_S * _SOUND_RATE:
            self._sound_samples = int(until_s * _SOUND_RATE)
        while self._sound_samples <= until_s * _SOUND_RATE:
            frame = self._av.AudioFrame.from_ndarray(np.zeros((2, size), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, self._sound_samples, Fraction(1, _SOUND_RATE)
            for packet in self._sound.encode(frame):
                self._container.mux(packet)
            self._sound_samples += size

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    self.connected = self.connected or bool(said.get("connected"))
                    self.reason = str(said.get("error", self.reason))


class _Pipe:
    """The process's standard input, as PyAV wants it.

    An error is kept, not raised: FFmpeg would give it back once more when PyAV 17 disposes of the container, where
    nobody can catch it.

    Attributes:
        error: why nothing goes through any more; None while it does.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self._stdin = process.stdin
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                self._stdin.write(data)
                self._stdin.flush()
            except OSError as error:
                self.error = error
            except ValueError:  # closed by kill
                self.error = BrokenPipeError("the connection was ended")
        return len(data)


_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edge_harmony.sinks.push_process import main; raise SystemExit(main())"
)
