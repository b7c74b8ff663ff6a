"""Files behind http://, on loopback: a transport stream and a playlist are read and recorded as files on a disk are."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import av
import cv2
import numpy as np
import pytest

from edge_harmony.capture import open_source
from edge_harmony.cli import main
from edge_harmony.errors import SourceError
from tests.capture.scenes import write_clip

COUNT = 40


class _Quiet(SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *arguments: object) -> None:
        self.asked.append(self.path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _playlist(source: Path, folder: Path, kind: str) -> str:
    """The same clip as HLS: the playlist's name. Segments are MPEG-TS or fragments of MP4."""
    options = {"hls_time": "0.4", "hls_list_size": "0", "hls_segment_type": kind, "hls_playlist_type": "vod"}
    options |= {"hls_flags": "split_by_time", "hls_fmp4_init_filename": "init.mp4"}
    with av.open(str(source)) as given, av.open(str(folder / "x.m3u8"), "w", format="hls", options=options) as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    assert len(list(folder.glob("x*.*s"))) > 1, "several segments"
    return "x.m3u8"


def _clip(path: Path) -> Path:
    return write_clip(path, COUNT, pts=range(0, 2 * COUNT, 2), time_base=Fraction(1, 50), audio_s=1.6)


def _held(path: Path) -> tuple[int, float]:
    """Frames of the picture and seconds of the sound."""
    with av.open(str(path)) as file:
        pictures = sum(1 for _ in file.decode(video=0))
    with av.open(str(path)) as file:
        return pictures, sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
@pytest.mark.parametrize("place", ["disk", "web"])
@pytest.mark.parametrize("command", ["stream", "process"])
def test_hls_keeps_its_sound(
    served: tuple[Path, str], tmp_path: Path, kind: str, place: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, address = served
    name = _playlist(_clip(tmp_path / f"in.{'ts' if kind == 'mpegts' else 'mp4'}"), folder, kind)
    source = str(folder / name) if place == "disk" else f"{address}/{name}"
    mask = np.zeros((*open_source(source).size_hw,), np.uint8)
    mask[: mask.shape[0] // 2] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    words = [command, *(["--source", source, "--no-window"] if command == "stream" else [source])]
    words += ["--alpha", str(tmp_path / "mask.png"), "--bg", "#336699", "--model", "none"]
    assert main([*words, "-o", str(tmp_path / "out.mp4")]) == 0, capfd.readouterr().err
    pictures, sound_s = _held(tmp_path / "out.mp4")
    assert pictures == COUNT
    assert sound_s == pytest.approx(1.6, abs=0.1)


def test_a_playlist_on_the_disk_asks_nobody(served: tuple[Path, str], tmp_path: Path) -> None:
    """Whatever it names: a file's name makes no request."""
    folder, address = served
    name = _playlist(_clip(tmp_path / "in.ts"), folder, "mpegts")
    lines = (folder / name).read_text().splitlines()
    local = tmp_path / "local.m3u8"
    local.write_text("\n".join(line if line.startswith("#") else f"{address}/{line}" for line in lines) + "\n")
    _Quiet.asked.clear()
    with pytest.raises(SourceError, match="not a video that can be read") as caught:
        open_source(local)
    assert "give the address" in caught.value.hint
    assert _Quiet.asked == []


def test_a_transport_stream_has_an_end(served: tuple[Path, str]) -> None:
    folder, address = served
    _clip(folder / "in.ts")
    source = open_source(f"{address}/in.ts")
    assert not source.live
    assert [frame.index for frame in source] == list(range(COUNT))


def test_sound_that_is_gone_costs_no_picture(served: tuple[Path, str], tmp_path: Path) -> None:
    """The server has the file no more when its sound is to be read."""
    from edge_harmony.sinks.file import open_sink

    folder, address = served
    _clip(folder / "in.ts")
    source = open_source(f"{address}/in.ts")
    (folder / "in.ts").rename(folder / "elsewhere.ts")
    sink = open_sink(tmp_path / "out.mp4", source)
    for frame in source:
        sink.write(frame.image_bgr, frame.pts, 0)
    sink.close()
    assert "its sound cannot be had" in sink.faults[0]
    with av.open(str(sink.path)) as file:
        assert sum(1 for _ in file.decode(video=0)) == COUNT


def test_interlaced_frames_of_a_stream_are_made_whole(
    served: tuple[Path, str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, address = served
    rows = np.arange(96)[:, None, None]
    with av.open(str(folder / "in.ts"), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"qp": "4", "preset": "ultrafast", "x264-params": "tff=1:interlaced=1"}
        for index in range(6):
            image = np.zeros((96, 128, 3), np.uint8)
            image[:, 20 + 8 * index : 60 + 8 * index] = 220
            later = np.roll(image, 4, axis=1)
            frame = av.VideoFrame.from_ndarray(np.where(rows % 2 == 0, image, later).astype(np.uint8), format="bgr24")
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    with caplog.at_level(logging.INFO):
        web = [frame.image_bgr for frame in open_source(f"{address}/in.ts")]
    assert sum("deinterlaced with bwdif" in record.message for record in caplog.records) == 1
    disk = [frame.image_bgr for frame in open_source(folder / "in.ts")]
    assert len(web) == len(disk) == 6
    assert all(np.array_equal(one, other) for one, other in zip(web, disk, strict=True))
    combed = [np.abs(np.diff(image[..., 1].astype(int), axis=0)).max() for image in web[1:]]
    assert max(combed) < 120, "the two fields lie 4 pixels apart"
