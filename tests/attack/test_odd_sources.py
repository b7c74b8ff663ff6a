"""Sources that are no files, coded in unknown ways, or that shrink: said in words, or counted and waited for."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from edge_harmony.capture import open_source
from edge_harmony.capture.live import LiveReader
from edge_harmony.capture.picture import read_picture
from edge_harmony.errors import SourceError
from tests.capture.rtsp_server import RtspServer, encode_h264

CODED_AS = {".mp4": (b"avc1", b"zzz9"), ".mkv": (b"V_MPEG4/ISO/AVC", b"V_ZZZZZ/ISO/AVC")}


def grey(level: int, size_hw: tuple[int, int]) -> np.ndarray:
    return np.full((*size_hw, 3), level, np.uint8)


def clip_of_an_unknown_codec(path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for level in range(0, 200, 20):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey(level, (96, 128)), format="bgr24")))
        file.mux(stream.encode())
    data, (known, unknown) = path.read_bytes(), CODED_AS[path.suffix]
    assert known in data
    path.write_bytes(data.replace(known, unknown))


@contextlib.contextmanager
def served(folder: Path) -> Generator[str, None, None]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("suffix", CODED_AS)
def test_a_codec_that_nobody_knows(suffix: str, tmp_path: Path) -> None:
    clip_of_an_unknown_codec(tmp_path / f"a{suffix}")
    with served(tmp_path) as address:
        for source in (str(tmp_path / f"a{suffix}"), f"{address}/a{suffix}"):
            with pytest.raises(SourceError, match="does not know") as error:
                open_source(source)
            assert "convert it" in error.value.hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
@pytest.mark.parametrize("name", ["pipe", "pipe.png", "pipe.mp4"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    for read in (open_source, read_picture):
        with pytest.raises(SourceError, match="is a pipe or a device"):
            read(str(tmp_path / name))


def test_a_stream_that_shrinks_is_waited_for() -> None:
    large = encode_h264([grey(20 * i, (96, 128)) for i in range(10)])
    tiny = encode_h264([grey(20 * i, (48, 48)) for i in range(10)])
    with RtspServer(large) as server, LiveReader(open_source(server.url)) as reader:
        ends = time.monotonic() + 60

        def wait_for_more(received: int, undecodable: int) -> None:
            while reader.received < received or reader.undecodable < undecodable:
                assert time.monotonic() < ends
                frame = reader.read(0.1)
                assert frame is None or frame.image_bgr.shape == (96, 128, 3)

        wait_for_more(10, 0)
        server.frames = tiny
        wait_for_more(0, reader.undecodable + 10)
        server.frames = large
        wait_for_more(reader.received + 10, 0)
        assert reader.outages == 0
