"""Text that is not UTF-8, in files, streams and file names, stops nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edge_harmony.capture.file import open_file
from edge_harmony.capture.live import LiveReader
from edge_harmony.capture.network import NetworkStream
from edge_harmony.run.terminal import terminal
from tests.capture.rtsp_server import RtspServer, encode_h264

REPOSITORY = Path(__file__).resolve().parents[2]
TITLE = "Gr\u00fc\u00dfe aus K\u00f6ln"
STAND_IN = "a title, ASCII"  # as long in bytes as the title is in Latin-1
assert len(STAND_IN.encode()) == len(TITLE.encode("latin-1"))


def clip_with_a_latin_1_title(path: Path) -> bytes:
    """A clip of five frames: its title, its track's and its chapter's are Latin-1, put into the finished file's bytes.

    No PyAV but those before 19 can be told to write another encoding than UTF-8.
    """
    with av.open(str(path), "w") as file:
        file.metadata["title"] = STAND_IN
        file.set_chapters(
            [{"id": 1, "start": 0, "end": 5, "time_base": Fraction(1, 25), "metadata": {"title": STAND_IN}}]
        )
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.metadata["title"] = STAND_IN
        stream.time_base = Fraction(1, 25)
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 * index, np.uint8), format="bgr24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    data = path.read_bytes()
    assert data.count(STAND_IN.encode()) >= 3
    data = data.replace(STAND_IN.encode(), TITLE.encode("latin-1"))
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_titles_in_another_encoding(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    clip_with_a_latin_1_title(path)
    assert len(list(open_file(path))) == 5
    command = [sys.executable, "-m", "edge_harmony", "process", str(path), "--matte", "chroma", "--key", "#00ff00",
               "--bg", "#102030", "--model", "none", "-o", str(tmp_path / "out.mp4")]  # fmt: skip
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(list(open_file(tmp_path / "out.mp4"))) == 5
    # The file's title and the chapter's go on: byte for byte from PyAV 19 on, before with a sign for each odd byte.
    before_19 = int(av.__version__.split(".")[0]) < 19
    carried = TITLE.encode("latin-1").decode(errors="replace").encode() if before_19 else TITLE.encode("latin-1")
    assert (tmp_path / "out.mp4").read_bytes().count(carried) >= 2


def test_a_stream_whose_title_is_in_another_encoding(tmp_path: Path) -> None:
    data = clip_with_a_latin_1_title(tmp_path / "a.mkv")

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert len(list(NetworkStream(f"http://127.0.0.1:{server.server_port}/a.mkv"))) == 5
    finally:
        server.shutdown()
        server.server_close()


def test_a_camera_whose_session_has_a_name_in_another_encoding() -> None:
    with RtspServer(encode_h264([np.full((96, 128, 3), 20 * i, np.uint8) for i in range(10)])) as server:
        server.session = TITLE
        reader = LiveReader(NetworkStream(server.url), backoff_s=(0.02, 0.2))
        with reader:
            ends = time.monotonic() + 60
            while reader.received < 12:
                assert time.monotonic() < ends
                time.sleep(0.02)
            assert reader.outages == 0


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "latin-1:strict"])
def test_file_names_that_are_no_text_on_a_strict_terminal(tmp_path: Path, encoding: str) -> None:
    name = os.fsencode(tmp_path) + b"/K\xf6ln-\xe2\x82\xac.png"
    command = [sys.executable, "-m", "edge_harmony", "image", name, "--mask", name, "-o", str(tmp_path / "out.png")]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, timeout=60, env={**os.environ, "PYTHONIOENCODING": encoding}
    )
    assert done.returncode == 1
    lines = done.stderr.decode("latin-1").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], lines
    assert "no such file" in lines[0]


def test_the_terminal_is_as_before() -> None:
    before = sys.stdout, sys.stderr
    with terminal():
        assert sys.stdout is not before[0]
        print("nothing")
    assert (sys.stdout, sys.stderr) == before
