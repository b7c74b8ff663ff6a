"""What is answered to which request: the page, the picture, the settings, the backgrounds."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.run.redact import redact_values
from edge_harmony.web.backgrounds import Backgrounds
from edge_harmony.web.decoding import MOST_S
from edge_harmony.web.guard import Guard, RefusedError, security_headers
from edge_harmony.web.live_picture import LivePicture
from edge_harmony.web.page import Page
from edge_harmony.web.server import ANSWER_S, BODY_S, Connection, ConnectionHandler, ConnectionServer
from edge_harmony.web.uploads import MOST_BYTES

_log = logging.getLogger(__name__)

_WAIT_S: Final = 2.5  # how long a request waits for the next picture before it is answered that there is none
_MOST_JSON: Final = 64 * 1024
_BOUNDARY: Final = "edge-harmony-picture"
UPLOADS_AT_ONCE: Final = 2


class Site(Protocol):
    """What the routes need of the sink."""

    guard: Guard
    page: Page
    picture: LivePicture
    backgrounds: Backgrounds | None
    session: str
    upload_places: threading.Semaphore

    def state(self, revision: str) -> dict[str, Any]:
        """See ``WebSink.state``."""
        ...

    def change(self, values: dict[str, Any]) -> None:
        """See ``WebSink.change``."""
        ...

    def act(self, action: str) -> None:
        """See ``WebSink.act``."""
        ...


class _TokenError(RefusedError):
    """Somebody opens the page without its token: asked for it, in a page of its own."""


class Answerer(ConnectionHandler):
    """What one visitor asks for, and what is answered."""

    server: ConnectionServer  # type: ignore[assignment]

    def __init__(self, client: Any, address: Any, server: ConnectionServer, connection: Connection, site: Site) -> None:
        self._site = site
        self._query: dict[str, str] = {}
        self._has_body = False
        super().__init__(client, address, server, connection)

    # -- one request ---------------------------------------------------------------------------------------------

    def do_GET(self) -> None:  # noqa: N802 - as the library calls it
        """Pages, pictures, figures."""
        self._answer(
            {
                "/": self._get_page,
                "/picture": self._get_picture,
                "/stream.mjpg": self._get_stream,
                "/api/state": self._get_state,
                "/api/thumbnail": self._get_thumbnail,
            },
            changes=False,
        )

    def do_POST(self) -> None:  # noqa: N802
        """Whatever changes something."""
        self._answer(
            {
                "/api/controls": self._post_controls,
                "/api/action": self._post_action,
                "/api/background": self._post_background,
                "/api/upload": self._post_upload,
            },
            changes=True,
        )

    def _answer(self, routes: dict[str, Callable[[], None]], changes: bool) -> None:
        """Check a request, then call its route; every error becomes an answer."""
        self._connection.busy(ANSWER_S)
        lengths = self.headers.get("Content-Length", "0"), self.headers.get("Transfer-Encoding")
        self._has_body = lengths != ("0", None)
        try:
            url = urlsplit(self.path)
            self._query = {name: values[-1] for name, values in parse_qs(url.query, max_num_fields=16).items()}
            self._check(url.path, changes)
            route = routes.get(url.path)
            if route is None:
                raise RefusedError(404, "there is nothing here")
            self._connection.trusted = True
            route()
        except _TokenError as refused:
            self._send(refused.status, self._site.page.door, "text/html; charset=utf-8", self._site.page.headers)
        except RefusedError as refused:
            self._refuse(refused.status, refused.message, refused.hint)
        except EdgeHarmonyError as error:
            self._refuse(400, error.message, error.hint)
        except OSError:
            raise
        except (ValueError, RecursionError):
            self._refuse(400, "the request makes no sense")

    def _check(self, path: str, changes: bool) -> None:
        guard = self._site.guard
        guard.check_host(self.headers)
        guard.check_site(self.headers, changes, navigation=path == "/")
        if self.headers.get("Transfer-Encoding") is not None:
            raise RefusedError(411, "the length must be stated")
        if self._has_body and not changes:
            raise RefusedError(400, "a request for something has no body")
        if not guard.knows(self.headers, self._query.get("token", "")):
            if path == "/":
                raise _TokenError(401, "the token is missing or wrong")
            raise RefusedError(401, "the token is missing or wrong", "open the full address that was printed")

    # -- routes --------------------------------------------------------------------------------------------------

    def _get_page(self) -> None:
        headers = dict(self._site.page.headers)
        if self._site.guard.token:
            headers["Set-Cookie"] = self._site.guard.set_cookie()
        self._send(200, self._site.page.html, "text/html; charset=utf-8", headers)

    def _get_picture(self) -> None:
        """The next picture, and with ``plain=1`` the plain composite of the same moment behind it."""
        session, _, number = self._query.get("after", "").partition(".")
        after = int(number or "0") if session == self._site.session else 0
        plain = self._query.get("plain") == "1"
        shot = self._site.picture.wait(after, _WAIT_S, plain)
        if shot is None:
            self._send(204, b"", "")
            return
        self._connection.allow(ANSWER_S)
        main = self._site.picture.jpeg(shot)
        second = self._site.picture.jpeg(shot, plain=True) if plain else b""
        place = {
            "X-Sequence": f"{self._site.session}.{shot.sequence}",
            "X-First-Bytes": str(len(main)),
        }
        self._send(200, main + second, "application/octet-stream" if second else "image/jpeg", place)

    def _get_stream(self) -> None:
        """Endless MJPEG for other programs. A slow one gets fewer pictures, never older ones than its line holds."""
        if not self.server.watch(self._connection):
            raise RefusedError(503, "as many watch as can be: try again later, or open the page")
        self.close_connection = True
        self.send_response(200)
        self._send_headers(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", {"Connection": "close"})
        self.end_headers()
        self.wfile.write(f"--{_BOUNDARY}\r\n".encode())
        after = 0
        while not self.server.stopped:
            shot = self._site.picture.wait(after, _WAIT_S)
            self._connection.allow(ANSWER_S)
            if shot is None:
                continue
            after = shot.sequence
            data = self._site.picture.jpeg(shot)
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            # The next boundary goes with the picture: until it comes, browsers do not know that this one is whole.
            self.wfile.write(head.encode() + data + f"\r\n--{_BOUNDARY}\r\n".encode())

    def _get_state(self) -> None:
        self._send_json(self._site.state(self._query.get("revision", "")))

    def _get_thumbnail(self) -> None:
        data = self._shelf().thumbnail(self._query.get("id", ""))
        if data is None:
            raise RefusedError(404, "there is no picture of it")
        self._send(200, data, "image/jpeg", {"Cache-Control": "private, max-age=3600"})

    def _post_controls(self) -> None:
        self._site.change(self._read_json())
        self._send_json({})

    def _post_action(self) -> None:
        self._site.act(str(self._read_json().get("action", "")))
        self._send_json({})

    def _post_background(self) -> None:
        asked = self._read_json()
        if "colour" in asked:
            self._shelf().choose_colour(str(asked["colour"]))
        else:
            self._shelf().choose(str(asked.get("id", "")))
        self._send_json({})

    def _post_upload(self) -> None:
        shelf = self._shelf()
        length = self._length(MOST_BYTES)
        if not self._site.upload_places.acquire(timeout=5.0):
            raise RefusedError(503, "other pictures are being sent", "try again in a moment")
        try:
            data = self._read(length)
            self._connection.allow(MOST_S + ANSWER_S)  # who is cut off would find the picture there all the same
            path = shelf.upload(data, self._query.get("name", ""))
        finally:
            self._site.upload_places.release()
        self._send_json({"name": path.stem})

    def _shelf(self) -> Backgrounds:
        if self._site.backgrounds is None:
            raise RefusedError(404, "this stream has no settings")
        return self._site.backgrounds

    # -- reading and writing -------------------------------------------------------------------------------------

    def _length(self, most: int) -> int:
        """The length of the body, at most ``most``."""
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise RefusedError(411, "the length must be stated")
        if int(text) > most:
            raise RefusedError(413, f"that is too large: at most {most // 2**10} KiB are taken", "send a smaller one")
        return int(text)

    def _read(self, length: int) -> bytes:
        """The body; ``ConnectionError`` when the client leaves before its end."""
        self._connection.allow(BODY_S)
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionError("the client left while sending")
        self._has_body = False
        self._connection.allow(ANSWER_S)
        return data

    def _read_json(self) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(415, "JSON is wanted")
        asked = json.loads(self._read(self._length(_MOST_JSON)))
        if not isinstance(asked, dict):
            raise ConfigError("a JSON object is wanted", "send names and values")
        return asked

    def _refuse(self, status: int, message: str, hint: str = "") -> None:
        self._send_json({"error": message, "hint": hint}, status)

    def _send_json(self, thing: Any, status: int = 200) -> None:
        self._send(status, json.dumps(redact_values(thing)).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = dict(extra or {})
        if self._has_body or not self._connection.trusted:  # what was not read cannot be skipped
            self.close_connection = True
            headers["Connection"] = "close"
        self._send_headers(kind, headers)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body:
            self.wfile.write(body)

    def _send_headers(self, kind: str, extra: dict[str, str]) -> None:
        headers = {**security_headers(), **({"Content-Type": kind} if kind else {}), **extra}
        for name, value in headers.items():
            self.send_header(name, value)

    # -- what the library calls ----------------------------------------------------------------------------------

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The library's refusals (no HTTP, too long, unknown method) in our own form; the connection ends."""
        self.close_connection = True
        self._has_body = True
        self.requestline = self.requestline if hasattr(self, "requestline") else ""
        self._refuse(405 if code == 501 else int(code), "the request cannot be answered")
