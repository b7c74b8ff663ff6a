"""Whoever operates the page gets in, however many look on and however little the system has left."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge_harmony.live.controls import Controls
from edge_harmony.web import WebSink
from tests.web.visitor import Client, FixedFigures, Player, eventually

REPOSITORY = Path(__file__).resolve().parents[2]
NO_DESCRIPTORS = """
import logging, os, resource, socket, sys, time
from edge_harmony.web import WebSink
said = []
class Noted(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("edge_harmony").addHandler(Noted())
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with WebSink(0) as sink:
    client = socket.create_connection(("127.0.0.1", sink.address.port), timeout=20)
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    os.close(held.pop())
    other = socket.create_connection(("127.0.0.1", sink.address.port), timeout=20)
    client.sendall(b"GET /api/state HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    other.sendall(b"GET /api/state HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    time.sleep(0.5)
    used_s, start_s = time.process_time(), time.monotonic()
    time.sleep(1.5)
    share = (time.process_time() - used_s) / (time.monotonic() - start_s)
    for number in held:
        os.close(number)
    assert client.recv(12) == b"HTTP/1.1 200", "the first was not answered"
    assert other.recv(12) == b"HTTP/1.1 200", "the other was not answered"
    assert share < 0.3, share
    assert len([words for words in said if "has to wait" in words]) == 1, said
"""


def test_an_operator_among_48_viewers() -> None:
    controls = Controls()
    with WebSink(0, controls, FixedFigures()) as sink, contextlib.closing(Player(sink)):
        viewers, answers = [], []
        for _ in range(48):
            viewer = socket.create_connection(("127.0.0.1", sink.address.port), timeout=20)
            viewer.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers.append(viewer.recv(12))
            viewers.append(viewer)
        assert answers.count(b"HTTP/1.1 200") == 40
        assert answers.count(b"HTTP/1.1 503") == 8
        operator = Client(sink)
        assert operator.ask("/")[0] == 200
        assert operator.send("/api/controls", {"strength": 0.25})[0] == 200
        assert controls.get("strength") == 0.25
        assert operator.picture()[1]
        for viewer in viewers:
            viewer.close()
        eventually(lambda: sink.connections <= 1)


@pytest.mark.skipif(sys.platform == "win32", reason="limits on descriptors are POSIX's")
def test_without_descriptors_visitors_wait() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_DESCRIPTORS], env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, timeout=120,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
