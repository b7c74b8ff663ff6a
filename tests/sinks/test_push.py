"""Push to real RTMP and RTSP peers on this machine (FFmpeg's own), which come late, leave, hang and come back."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from edge_harmony.errors import SinkError
from edge_harmony.run.redact import redact
from edge_harmony.sinks.base import LiveSink
from edge_harmony.sinks.fanout import Fanout
from edge_harmony.sinks.push import Push

PATIENCE_S = 40.0
SIZE = (120, 160)
RATE = Fraction(25)
LISTEN = {"rtmp": {"listen": "1"}, "rtsp": {"rtsp_flags": "listen", "listen_timeout": "30"}}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Peer:
    """A server that takes one connection, decodes so many pictures, and leaves."""

    def __init__(self, url: str, pictures: int) -> None:
        self.shades: list[float] = []
        self.times_s: list[float] = []
        self.kinds: list[str] = []
        self.first_is_key = False
        self.error: Exception | None = None
        self._url, self._pictures = url, pictures
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def serving(self) -> bool:
        return self._thread.is_alive()

    def _serve(self) -> None:
        try:
            with av.open(self._url, "r", options=LISTEN[self._url[:4]]) as file:
                self.kinds = sorted(stream.type for stream in file.streams)
                for frame in file.decode(video=0):
                    self.first_is_key = self.first_is_key or (not self.shades and frame.key_frame)
                    self.shades.append(float(frame.to_ndarray(format="gray").mean()))
                    self.times_s.append(float(frame.time or 0.0))
                    if len(self.shades) >= self._pictures:
                        return
        except Exception as error:
            self.error = error


class Feeder:
    """Writes grey pictures, ever lighter, until told otherwise; stands for the sink's thread."""

    def __init__(self, sink: Any) -> None:
        self._sink, self._started_s = sink, time.monotonic()
        self.count = 0

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, "nothing happened"
            shade = self.count % 200
            self._sink.write(np.full((*SIZE, 3), shade, np.uint8), time.monotonic() - self._started_s)
            self.count += 1
            time.sleep(0.02)


def _push(url: str, **settings: Any) -> Push:
    sink = Push(url, backoff_s=(0.1, 0.5), **settings)
    sink.start(SIZE, RATE)
    return sink


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
def test_server_that_comes_late_and_restarts(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = f"{scheme}://127.0.0.1:{_free_port()}/live/sesame-key"
    sink = _push(url)
    assert isinstance(sink, LiveSink)
    feeder = Feeder(sink)
    try:
        feeder.until(lambda: sink.outages == 1)  # nobody is there: no error
        assert not sink.connected
        for restart in range(2):
            peer = Peer(url, 15)
            feeder.until(lambda peer=peer: not peer.serving)
            assert peer.error is None
            assert len(peer.shades) == 15
            assert peer.first_is_key
            times_s = peer.times_s[1:]  # RTSP says only after the first how its clock is to be read
            assert times_s == sorted(times_s)
            assert times_s[0] < 1.0  # the time starts anew with each connection
            assert peer.kinds == (["audio", "video"] if scheme == "rtmp" else ["video"])
            outages = restart + 2
            feeder.until(lambda outages=outages: sink.outages >= outages)
    finally:
        sink.close()
    assert sink.lost > 0
    text = caplog.text
    assert text.count(f"{sink.name} cannot be reached") == 1
    assert text.count(f"{sink.name} is lost") == 2
    assert text.count(f"streaming to {sink.name}") == 2
    assert ("sesame-key" in text) == (scheme == "rtsp")  # the end of an RTMP address is a secret


def test_closing_hands_over_the_last_picture() -> None:
    url = f"rtmp://127.0.0.1:{_free_port()}/live/x"
    sink = _push(url)
    peer = Peer(url, 10**6)
    feeder = Feeder(sink)
    feeder.until(lambda: sink.connected)
    feeder.until(lambda: len(peer.shades) >= 5)
    for _ in range(3):
        sink.write(np.full((*SIZE, 3), 255, np.uint8), 1000.0 + feeder.count)
    sink.close()
    sink.close()
    peer._thread.join(PATIENCE_S)
    assert peer.shades[-1] > 225  # white, in limited range or stretched


def test_a_server_that_says_nothing_holds_up_nobody() -> None:
    """The worst peer: it accepts and never answers. The rest of the program must not even notice."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = _push(f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/x", timeout_s=60.0)
        fanout = Fanout([sink], waiting=2, close_s=1.0)
        fanout.start((1080, 1920), RATE)  # pictures that no pipe can swallow
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (1080, 1920, 3), np.uint8) for _ in range(3)]
        deadline, count = time.monotonic() + PATIENCE_S, 0
        while fanout.dropped[sink.name] < 20:
            assert time.monotonic() < deadline
            fanout.write(images[count % 3], count / 25)
            count += 1
            time.sleep(0.02)
        fanout.close()  # long before the server's time is up
    assert not sink.connected
    assert not [t for t in threading.enumerate() if t.name.startswith(("edge-harmony sink", "edge-harmony push"))]


def test_a_server_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = _push(f"rtsp://127.0.0.1:{server.getsockname()[1]}/live", timeout_s=0.5)
        Feeder(sink).until(lambda: sink.outages == 1)
        sink.close()
    assert "does not answer" in caplog.text


def test_size_of_the_first_picture_is_kept() -> None:
    url = f"rtmp://127.0.0.1:{_free_port()}/live/x"
    sink = _push(url, silence=False)
    peer = Peer(url, 30)
    feeder = Feeder(sink)
    try:
        feeder.until(lambda: len(peer.shades) >= 3)
        for index in range(5):
            sink.write(np.full((200, 100, 3), 200, np.uint8), 100.0 + index)
        feeder.until(lambda: not peer.serving)
    finally:
        sink.close()
    assert peer.error is None
    assert peer.kinds == ["video"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtmp://live.example.com/app/abcd-efgh", "rtmp://live.example.com/app/***"),
        ("rtmp://host/app/inner/key?name=1", "rtmp://host/app/***"),
        ("rtmp://host/app/key?secret=abcdef", "rtmp://host/app/***"),
        ("rtmp://host/app", "rtmp://host/app"),
        ("rtsp://ann:pass@word@host:554/cam", "rtsp://***@host:554/cam"),
    ],
)
def test_names_hold_no_secret(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert Push(url).name == shown


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://host/x", {}),
        ("rtmp:///app/key", {}),
        ("rtmp://[bad/app", {}),
        ("rtmp://host/app", {"bitrate_kbit": 1}),
        ("rtmp://host/app", {"preset": "quick"}),
    ],
)
def test_bad_settings(url: str, settings: dict[str, Any]) -> None:
    with pytest.raises(SinkError) as caught:
        Push(url, **settings)
    assert caught.value.hint
