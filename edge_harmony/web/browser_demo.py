"""The page that runs in the visitor's browser: files of ``web-sdk/``, handed out with the right headers."""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from edge_harmony.errors import SinkError
from edge_harmony.web.address import page_url, parse_address
from edge_harmony.web.server import ANSWER_S, ConnectionHandler, ConnectionServer

SDK: Final = Path(__file__).resolve().parents[2] / "web-sdk"
BUILD_HINT: Final = "build it with Node.js 20 or later: npm ci --prefix web-sdk && npm run build --prefix web-sdk"
START: Final = "/demo/index.html"
_PARTS: Final = ("demo", "dist")
_PIECE: Final = 1 << 20  # bytes of a file that have to be taken in the time of an answer
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
        most_connections: how many there may be at a time; a browser takes up to six.

    Raises:
        ConfigError: the address cannot be read. SinkError: the package is not there or not built; the address is taken.
    """

    def __init__(self, address: str | int = 8770, sdk: Path = SDK, most_connections: int = 48) -> None:
        check_built(sdk)
        handler = partial(_Handler, directory=str(sdk))
        self._server = ConnectionServer(parse_address(address), handler, most_connections)
        self.address = self._server.address

    @property
    def url(self) -> str:
        """Where to open it."""
        return page_url(self.address).rstrip("/") + START

    @property
    def connections(self) -> int:
        """How many there are now."""
        return self._server.connections

    def wait(self) -> None:
        """Serve until the process is asked to stop."""
        while not self._server.stopped:
            time.sleep(0.5)

    def close(self) -> None:
        """Stop listening and cut every connection; safe to call twice."""
        self._server.stop()

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


class _Handler(ConnectionHandler, SimpleHTTPRequestHandler):
    """GET and HEAD of the demo's and the package's files, and of nothing else."""

    def send_head(self) -> Any:
        self._connection.busy(ANSWER_S)
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
        self._connection.trusted = True
        return super().send_head()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file; however large it is, each piece of it has the time of an answer."""
        while piece := source.read(_PIECE):
            self._connection.allow(ANSWER_S)
            outputfile.write(piece)

    def guess_type(self, path: Any) -> str:
        return _TYPES.get(Path(path).suffix, "application/octet-stream")

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()
