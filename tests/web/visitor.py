"""Ways to talk to a web page, pictures that move, and figures."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from edge_harmony.web import WebSink

DEADLINE_S = 20.0


class FixedFigures:
    """Figures as a stream has them, always the same."""

    def snapshot(self) -> dict[str, Any]:
        return {
            "frames": 120, "held": 0, "seconds": 4.0, "fps": 29.9, "fps_mean": 30.0, "notice": "",
            "latency_ms": {"result": {"p50": 31.0, "p95": 44.0, "max": 60.0}},
            "stages": {"matte": {"p50_ms": 8.0, "p95_ms": 11.0}, "composite": {"p50_ms": 6.5, "p95_ms": 9.0}},
            "source": "test", "state": "live", "dropped": {"source": 3}, "outages": 0,
        }  # fmt: skip


class Client:
    """Requests to a sink, each on a connection of its own unless ``keep`` is set."""

    def __init__(self, sink: WebSink, keep: bool = False) -> None:
        self.host, self.port = "127.0.0.1", sink.address.port
        self._kept = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S) if keep else None

    def ask(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._kept or http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            if self._kept is None:
                connection.close()

    def send(self, path: str, thing: Any, **headers: str) -> tuple[int, Any]:
        """POST JSON as the page does."""
        every = {"Content-Type": "application/json", "X-Edge-Harmony": "1", **headers}
        status, _, body = self.ask(path, json.dumps(thing).encode(), every)
        return status, json.loads(body)

    def upload(self, data: bytes, name: str = "picture.jpg") -> tuple[int, Any]:
        headers = {"Content-Type": "application/octet-stream", "X-Edge-Harmony": "1"}
        status, _, body = self.ask(f"/api/upload?name={name}", data, headers)
        return status, json.loads(body)

    def state(self) -> dict[str, Any]:
        status, _, body = self.ask("/api/state")
        assert status == 200, body
        return json.loads(body)

    def picture(self, after: str = "", plain: bool = False) -> tuple[str, list[np.ndarray]]:
        """Number and pictures of the next moment."""
        status, headers, body = self.ask(f"/picture?after={after}" + ("&plain=1" if plain else ""))
        assert status == 200, body
        first = int(headers["X-First-Bytes"])
        parts = [part for part in (body[:first], body[first:]) if part]
        return headers["X-Sequence"], [cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_COLOR) for p in parts]


class Player:
    """Writes pictures of one grey after another into a sink; the plain composite is darker by 100."""

    def __init__(self, sink: WebSink, size_hw: tuple[int, int] = (180, 320)) -> None:
        self.written = 0
        self._sink, self._size_hw = sink, size_hw
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="player")
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)

    def _play(self) -> None:
        while not self._stop.wait(0.02):
            image = np.full((*self._size_hw, 3), 110 + self.written * 7 % 140, np.uint8)
            plain = image - np.uint8(100) if self._sink.wants_plain else None
            self._sink.write(image, self.written / 50, plain)
            self.written += 1


def eventually(what: Callable[[], Any], seconds: float = DEADLINE_S) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def web_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("web ")]


def encode(image: np.ndarray, kind: str = ".jpg") -> bytes:
    return cv2.imencode(kind, image)[1].tobytes()
