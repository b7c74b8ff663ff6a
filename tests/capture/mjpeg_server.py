"""A small HTTP server for the tests: motion JPEG as cameras serve it (multipart/x-mixed-replace)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np


def encode_jpeg(picture: np.ndarray) -> bytes:
    """A picture (BGR) as JPEG."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


class MjpegServer:
    """Serves JPEGs over and over at ``/cam``, and bytes as a file at ``/file``.

    Attributes:
        frames: the JPEGs; may be replaced while it runs. Anything that is not a JPEG is sent as it is.
        clients: how many clients asked for the stream so far.
        silent: when set, connections stay open and nothing is sent any more.
    """

    def __init__(self, frames: list[bytes], rate: float = 25.0, port: int = 0, file: bytes = b"") -> None:
        self.frames, self.rate, self.file = frames, rate, file
        self.clients = 0
        self.silent = threading.Event()
        self._stop = threading.Event()
        self._sockets: list[socket.socket] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/cam"):
                    outer._stream(self)
                elif self.path.startswith("/file") and outer.file:
                    self.send_response(200)
                    self.send_header("Content-Type", "video/mp4")
                    self.send_header("Content-Length", str(len(outer.file)))
                    self.end_headers()
                    with contextlib.suppress(OSError):
                        self.wfile.write(outer.file)
                else:
                    self.send_error(404)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the stream is."""
        return f"http://127.0.0.1:{self.port}/cam"

    def cut(self) -> None:
        """Cut every connection, and go on listening."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def close(self) -> None:
        """Cut every connection and stop listening."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self.cut()
        self._thread.join(10)

    def __enter__(self) -> MjpegServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        self._sockets.append(handler.connection)
        self.clients += 1
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        start, sent = time.monotonic(), 0
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                data = self.frames[sent % len(self.frames)]
                if not self.silent.is_set():
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    handler.wfile.write(head.encode() + data + b"\r\n")
                    handler.wfile.flush()
                sent += 1
                self._stop.wait(max(0.0, start + sent / self.rate - time.monotonic()))
