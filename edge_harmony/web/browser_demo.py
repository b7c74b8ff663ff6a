"""The page that runs in the visitor's browser: files of ``web-sdk/``, handed out with the right headers."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from edge_harmony.errors import SinkError
from edge_harmony.web.address import Address, page_url, parse_address

_log = logging.getLogger(__name__)

SDK: Final = Path(__file__).resolve().parents[2] / "web-sdk"
BUILD_HINT: Final = "build it with Node.js 20 or later: npm ci --prefix web-sdk && npm run build --prefix web-sdk"
START: Final = "/demo/index.html"
_PARTS: Final = ("demo", "dist")
_IDLE_S: Final = 30.0  # a connection that says nothing is closed
# Nothing from elsewhere; WebAssembly is compiled, backgrounds and the visitor's own files are blobs. The last two make
# the page cross-origin isolated, without which a browser gives no threads.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".jpg": "image/jpeg",
    ".onnx": "application/octet-stream",
}


class BrowserDemo:
    """Serves the demo page and the built package until it is closed; a context manager.

    Args:
        address: ``[HOST:]PORT``; port 0 lets the system choose. Without a host it is this machine alone, which is also
            the only place where browsers give a page without HTTPS the camera.
        sdk: the folder ``web-sdk`` of a checkout.

    Raises:
        ConfigError: the address cannot be read. SinkError: the package is not there or not built; the address is taken.
    """

    def __init__(self, address: str | int = 8770, sdk: Path = SDK) -> None:
        check_built(sdk)
        wanted = parse_address(address)

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if wanted.is_ipv6 else socket.AF_INET
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                _log.debug("a visitor's connection ended", exc_info=True)

        def answer(*args: Any) -> SimpleHTTPRequestHandler:
            return _Handler(*args, directory=str(sdk))

        try:
            self._server = Server((wanted.host, wanted.port), answer)
        except OSError as error:
            raise SinkError(
                f"the page cannot be served at {wanted.host}:{wanted.port}: {error.strerror or error}",
                "another program may use the port: choose another one, for example --web 8771",
            ) from error
        self.address = Address(wanted.host, self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="browser demo", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to open it."""
        return page_url(self.address).rstrip("/") + START

    def wait(self) -> None:
        """Serve until the process is asked to stop."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)

    def __enter__(self) -> BrowserDemo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_built(sdk: Path) -> None:
    """Say what is missing of a built package.

    Raises:
        SinkError: the folder is not there, or was not built.
    """
    if not (sdk / START.lstrip("/")).is_file():
        raise SinkError(
            f"{sdk} is not there: the browser package is part of the source, not of the installed one",
            "get the source (git clone), and run this command in it",
        )
    missing = [part for part in ("index.js", "models/base.onnx", "ort") if not (sdk / "dist" / part).exists()]
    if missing:
        raise SinkError(f"the browser package is not built: {sdk / 'dist'} has no {', '.join(missing)}", BUILD_HINT)


class _Handler(SimpleHTTPRequestHandler):
    """GET and HEAD of the demo's and the package's files, and of nothing else."""

    protocol_version = "HTTP/1.1"
    server_version = "edge-harmony"
    sys_version = ""
    timeout = _IDLE_S

    def send_head(self) -> Any:
        path = unquote(urlsplit(self.path).path)
        if path == "/":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", START)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        parts = path.strip("/").split("/")
        if parts[0] not in _PARTS or any(part.startswith(".") for part in parts) or path.endswith("/"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        if Path(self.translate_path(self.path)).is_dir():  # which would be listed
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def guess_type(self, path: Any) -> str:
        return _TYPES.get(Path(path).suffix, "application/octet-stream")

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):  # a visitor that went away
            super().handle()
