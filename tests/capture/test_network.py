"""Network streams against real servers on loopback that restart, fall silent, change and send rubbish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.capture import CaptureOptions, open_source
from edge_harmony.capture.live import LiveReader
from edge_harmony.capture.network import NetworkStream
from edge_harmony.capture.source import TimedFrame
from edge_harmony.errors import SourceError
from tests.capture.mjpeg_server import MjpegServer, encode_jpeg
from tests.capture.rtsp_server import RtspServer, encode_h264
from tests.capture.scenes import pictures_in_cycles, write_clip

PATIENCE_S = 30.0
QUICK = (0.02, 0.2)
TIMEOUTS = CaptureOptions(open_timeout_s=10.0, read_timeout_s=10.0)


def pictures(count: int, size_hw: tuple[int, int] = (96, 128)) -> list[np.ndarray]:
    """Textured, each of another brightness, so that damage shows and order can be told."""
    grain = np.random.default_rng(3).integers(-40, 40, (*size_hw, 1))
    return [np.clip(60 + 6 * i + grain, 0, 255).astype(np.uint8).repeat(3, 2) for i in range(count)]


def read_until(reader: LiveReader, condition: Callable[[TimedFrame], bool]) -> TimedFrame:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        frame = reader.read(1.0)
        if frame is not None and condition(frame):
            return frame
    raise AssertionError("no such frame came")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_no_picture_outlives_its_turn(rtsp: RtspServer) -> None:
    def read() -> None:
        source = NetworkStream(rtsp.url, TIMEOUTS)
        for index, _ in enumerate(source):
            if index == 20:
                break
        source.close()

    assert pictures_in_cycles(read) <= 1  # the one in hand


@pytest.fixture(scope="module")
def small() -> list[list[bytes]]:
    return encode_h264(pictures(25))


@pytest.fixture
def rtsp(small: list[list[bytes]]) -> Iterator[RtspServer]:
    with RtspServer(small) as server:
        yield server


@pytest.fixture
def mjpeg() -> Iterator[MjpegServer]:
    with MjpegServer([encode_jpeg(p) for p in pictures(25)]) as server:
        yield server


def test_rtsp_frames_arrive_as_they_were_sent(rtsp: RtspServer) -> None:
    source = open_source(rtsp.url, TIMEOUTS)
    assert source.live
    assert source.size_hw == (96, 128)
    assert "h264 128x96" in source.describe()
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) == 20:
            break
    source.close()
    sent = pictures(25)
    for frame in frames:
        error = min(np.abs(frame.image_bgr.astype(int) - picture).mean() for picture in sent)
        assert error < 4
    steps = np.diff([float(frame.time_s) for frame in frames])
    assert (steps > 0).all()
    assert np.isclose(steps % 0.04, 0, atol=1e-3).sum() + np.isclose(steps % 0.04, 0.04, atol=1e-3).sum() >= 18
    assert source.undecodable == 0


def test_an_rtsp_server_that_restarts_with_another_size(small: list[list[bytes]], caplog) -> None:
    caplog.set_level(logging.INFO)
    server = RtspServer(small)
    with LiveReader(open_source(server.url, TIMEOUTS), backoff_s=QUICK) as reader:
        before = read_until(reader, lambda f: f.index >= 5)
        server.close()
        wait_for(lambda: reader.state == "lost")
        time.sleep(0.5)  # some tries that fail
        with RtspServer(encode_h264(pictures(25, (64, 160))), port=server.port):
            after = read_until(reader, lambda f: f.image_bgr.shape == (64, 160, 3))
            assert reader.state == "live"
            assert after.time_s > before.time_s + Fraction(2, 5)
            assert reader.outages == 1
            assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1  # the end is another outage


def test_rtsp_changes_its_size_in_mid_stream_without_an_outage(rtsp: RtspServer) -> None:
    with LiveReader(open_source(rtsp.url, TIMEOUTS)) as reader:
        read_until(reader, lambda f: f.image_bgr.shape == (96, 128, 3))
        rtsp.frames = encode_h264(pictures(25, (128, 176)))
        read_until(reader, lambda f: f.image_bgr.shape == (128, 176, 3))
        assert (reader.outages, rtsp.clients) == (0, 1)


def test_rtsp_frames_that_do_not_decode_are_left_out_and_counted(small: list[list[bytes]]) -> None:
    with RtspServer(small) as server:
        server.damage = set(range(30, 1000, 10))  # each is a key frame, the ones after it lean on it
        with LiveReader(open_source(server.url, TIMEOUTS)) as reader:
            wait_for(lambda: reader.undecodable >= 3)
            received = reader.received
            wait_for(lambda: reader.received >= received + 10)
            assert (reader.outages, reader.state) == (0, "live")


def test_an_rtsp_server_that_falls_silent_is_lost_and_found(rtsp: RtspServer) -> None:
    options = CaptureOptions(open_timeout_s=2.0, read_timeout_s=0.5)
    with LiveReader(open_source(rtsp.url, options), backoff_s=QUICK) as reader:
        read_until(reader, lambda f: f.index >= 3)
        rtsp.silent.set()
        wait_for(lambda: reader.outages == 1)
        received = reader.received
        rtsp.silent.clear()
        wait_for(lambda: reader.received > received and reader.state == "live")


def test_a_password_opens_the_stream_and_appears_nowhere(small: list[list[bytes]], caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    with RtspServer(small, password="admin:geheim-7") as server:
        good = server.url.replace("rtsp://", "rtsp://admin:geheim-7@")
        wrong = server.url.replace("rtsp://", "rtsp://admin:falsch-9@")
        with LiveReader(open_source(good, TIMEOUTS), backoff_s=QUICK) as reader:
            read_until(reader, lambda f: True)
            told = [reader.source.name, reader.source.describe(), repr(reader._thread)]
            server.close()
            wait_for(lambda: reader.state == "lost")
            time.sleep(0.3)
    with RtspServer(small, password="admin:geheim-7", port=server.port):
        with pytest.raises(SourceError, match="401") as caught:
            open_source(wrong, TIMEOUTS)
        assert "USER:PASSWORD@" in caught.value.hint
    told += [caught.value.message, caught.value.hint, caplog.text, *capfd.readouterr()]
    for text in told:
        assert "geheim" not in text
        assert "falsch" not in text
    assert f"rtsp://***@127.0.0.1:{server.port}/cam" in caplog.text


def test_http_mjpeg_arrives_picture_for_picture(mjpeg: MjpegServer) -> None:
    with LiveReader(open_source(mjpeg.url, TIMEOUTS)) as reader:
        frame = read_until(reader, lambda f: f.index >= 5)
        error = min(np.abs(frame.image_bgr.astype(int) - picture).mean() for picture in pictures(25))
        assert error < 3
        latency = time.monotonic() - frame.captured_s
        assert latency < 5


def test_http_mjpeg_that_disconnects_comes_back(mjpeg: MjpegServer, caplog) -> None:
    with LiveReader(open_source(mjpeg.url, TIMEOUTS), backoff_s=QUICK) as reader:
        read_until(reader, lambda f: f.index >= 3)
        for outage in (1, 2):
            mjpeg.cut()
            wait_for(lambda outage=outage: reader.outages == outage)
            read_until(reader, lambda f: True)
        assert mjpeg.clients == 3
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 2


def test_http_mjpeg_with_rubbish_between_the_pictures(mjpeg: MjpegServer) -> None:
    good = list(mjpeg.frames)
    mjpeg.frames = [*good[:5], b"no picture", *good[5:8], b"\xff\xd8 nor this \xff\xd9", *good[8:]]
    with LiveReader(open_source(mjpeg.url, TIMEOUTS)) as reader:
        wait_for(lambda: reader.undecodable >= 3)
        read_until(reader, lambda f: f.index >= 30)
        assert reader.outages == 0


def test_http_mjpeg_changes_its_size_in_mid_stream(mjpeg: MjpegServer) -> None:
    with LiveReader(open_source(mjpeg.url, TIMEOUTS)) as reader:
        read_until(reader, lambda f: f.image_bgr.shape == (96, 128, 3))
        mjpeg.frames = [encode_jpeg(p) for p in pictures(9, (120, 100))]
        read_until(reader, lambda f: f.image_bgr.shape == (120, 100, 3))
        assert reader.outages == 0


def test_a_file_on_a_web_server_is_a_file(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", 20, size_hw=(96, 128))
    with MjpegServer([b""], file=clip.read_bytes()) as server:
        url = server.url.replace("/cam", "/file")
        source = open_source(url, TIMEOUTS)
        assert not source.live
        assert [f.index for f in source] == list(range(20))
        assert [float(f.time_s) for f in source] == pytest.approx([i / 25 for i in range(20)], abs=2e-3)
        assert open_source(url, CaptureOptions(realtime=True)).live


def test_frames_that_piled_up_are_caught_up_with(rtsp: RtspServer) -> None:
    """The connection lies idle for two seconds, as while a model loads: what is shown then is new all the same."""
    source = NetworkStream(rtsp.url, TIMEOUTS)
    time.sleep(2.0)
    with LiveReader(source) as reader:
        read_until(reader, lambda f: f.time_s > 1.5)
        wait_for(lambda: reader.dropped > 5)
        assert source.skipped > 5


@pytest.mark.parametrize(
    ("path", "hint"),
    [("rtsp://127.0.0.1:1/x", "is the server running"), ("http://127.0.0.1:1/x", "is the server running")],
)
def test_nothing_listens(path: str, hint: str) -> None:
    with pytest.raises(SourceError, match="refused") as caught:
        open_source(path.replace("//", "//me:geheim@"), TIMEOUTS)
    assert hint in caught.value.hint
    assert "geheim" not in str(caught.value)


def test_a_web_page_that_is_not_there(mjpeg: MjpegServer) -> None:
    with pytest.raises(SourceError, match="404"):
        open_source(mjpeg.url.replace("/cam", "/nope"), TIMEOUTS)
