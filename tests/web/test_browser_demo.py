"""The server of the demo's files: how many visitors it takes, and how long each may take."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_harmony.web import browser_demo
from edge_harmony.web.browser_demo import BrowserDemo
from tests.web.visitor import DEADLINE_S, eventually, web_threads

MOST = 4
LARGE = bytes(range(256)) * (48 << 10)  # 12 MiB, more than any buffer on the way holds


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[BrowserDemo]:
    """A demo of made-up files."""
    for name in ("demo/index.html", "dist/index.js", "dist/models/base.onnx", "dist/ort/ort.wasm"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LARGE if name.endswith(".wasm") else name.encode())
    with BrowserDemo(0, tmp_path, most_connections=MOST) as demo:
        yield demo
    assert not web_threads()


def _connect(demo: BrowserDemo, path: str = "") -> socket.socket:
    """A client that asks for a file, or for nothing."""
    client = socket.create_connection((demo.address.host, demo.address.port), DEADLINE_S)
    if path:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    return client


def _get(demo: BrowserDemo, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(demo.address.host, demo.address.port, timeout=DEADLINE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_connections_are_bounded_and_a_visitor_gets_in_all_the_same(demo: BrowserDemo) -> None:
    silent = [_connect(demo) for _ in range(3 * MOST)]
    try:
        eventually(lambda: demo.connections == MOST)
        assert len([name for name in web_threads() if name == "web client"]) <= MOST
        assert _get(demo, "/demo/index.html") == (200, b"demo/index.html")
        assert demo.connections <= MOST
    finally:
        for client in silent:
            client.close()


def test_where_all_places_are_taken_by_downloads_one_more_is_turned_away(demo: BrowserDemo) -> None:
    busy = [_connect(demo, "/dist/ort/ort.wasm") for _ in range(MOST)]
    try:
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in busy)
        with _connect(demo) as one_more:
            assert one_more.recv(12) == b"HTTP/1.1 503"
        assert demo.connections == MOST
    finally:
        for client in busy:
            client.close()
    eventually(lambda: demo.connections == 0)
    assert _get(demo, "/demo/index.html")[0] == 200


def test_a_large_file_may_take_long_but_not_stand_still(demo: BrowserDemo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_demo, "ANSWER_S", 1.0)
    slow, asleep = _connect(demo, "/dist/ort/ort.wasm"), _connect(demo, "/dist/ort/ort.wasm")
    started, taken = time.monotonic(), b""
    with slow.makefile("rb") as answer:
        while answer.readline().strip():
            pass  # the head
        while len(taken) < len(LARGE):
            piece = answer.read(1 << 19)
            assert piece, "it was cut off"
            taken += piece
            time.sleep(0.1)
    assert time.monotonic() - started > 2.0  # twice as long as one answer may take
    assert taken == LARGE
    eventually(lambda: demo.connections == 1)  # the other one is gone, having taken nothing
    slow.close()
    asleep.close()
