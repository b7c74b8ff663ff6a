"""Who may speak to the page: the token, and what keeps other web sites out."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from email.message import Message
from typing import Final
from urllib.parse import urlsplit

CSRF_HEADER: Final = "X-Edge-Harmony"  # a header of one's own: other sites' pages cannot send it unasked


class RefusedError(Exception):
    """A request that is not served: an HTTP status, and words for whoever sent it."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


class Guard:
    """Checks requests. It keeps no state, so any number of threads may ask it.

    Three things are kept out: strangers, by a token; web sites whose name was pointed at this machine (DNS
    rebinding), by the ``Host`` header, which must be an IP address or a name of this machine; and web sites that make
    a visitor's browser send requests here (CSRF), by ``Origin``, ``Sec-Fetch-Site`` and a header of our own.

    Attributes:
        token: "" where none is needed.
        cookie: name of the cookie that holds the token; of the port's own, because cookies know no ports.
    """

    def __init__(self, token: str, port: int, host: str) -> None:
        self.token = token
        self.cookie = f"edge_harmony_{port}"
        own = socket.gethostname().lower()
        self._names = {"localhost", own, own.split(".")[0], own.split(".")[0] + ".local", host.lower()} - {""}

    def check_host(self, headers: Message) -> None:
        """Raise ``RefusedError`` unless ``Host`` is an IP address or a name of this machine."""
        host = headers.get("Host", "")
        name = (_host_name(host) or "").rstrip(".").lower()
        if name in self._names or _is_address(name):
            return
        raise RefusedError(421, f"this page is not served as {name[:100]!r}", "open the address that was printed")

    def check_site(self, headers: Message, changes: bool, navigation: bool = False) -> None:
        """Raise ``RefusedError`` for a request that another web site caused.

        Args:
            headers: of the request.
            changes: whether it changes something.
            navigation: whether it may be a link on another site that somebody followed.
        """
        site = headers.get("Sec-Fetch-Site", "none")
        if site not in ("same-origin", "none") and not (navigation and headers.get("Sec-Fetch-Mode") == "navigate"):
            raise RefusedError(403, "requests from other sites are not answered")
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("Host", "").lower():
            raise RefusedError(403, "requests from other sites are not answered")
        if changes and headers.get(CSRF_HEADER) is None:
            hint = f"scripts send the header {CSRF_HEADER}: 1"
            raise RefusedError(403, "the request does not come from the page", hint)

    def knows(self, headers: Message, offered: str) -> bool:
        """Whether a request carries the token: in the query (``offered``), the cookie, or as a bearer."""
        if not self.token:
            return True
        bearer = headers.get("Authorization", "")
        candidates = [offered, self._from_cookie(headers), bearer.removeprefix("Bearer ").strip()]
        wanted = self.token.encode()
        # Each is compared in a time that does not tell how much of it was right.
        return any(hmac.compare_digest(candidate.encode("utf-8", "replace"), wanted) for candidate in candidates)

    def set_cookie(self) -> str:
        """The header's value that makes a browser keep the token, out of reach of scripts and other sites."""
        return f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000"

    def _from_cookie(self, headers: Message) -> str:
        """Ours alone: other programs' cookies of this host come along, and need not make sense."""
        for cookie in headers.get("Cookie", "").split(";"):
            name, _, value = cookie.partition("=")
            if name.strip() == self.cookie:
                return value.strip()
        return ""


def new_token() -> str:
    """A token nobody can guess, of 128 bits, safe in a URL."""
    return secrets.token_urlsafe(16)


def security_headers(scripts: str = "", styles: str = "") -> dict[str, str]:
    """Headers of every answer: nothing from elsewhere runs, nobody frames the page, nothing is kept or told on.

    Args:
        scripts, styles: ``'sha256-...'`` of the page's own script and style sheet; nothing else may run.
    """
    policy = {
        "default-src": "'none'",
        "script-src": scripts or "'none'",
        "style-src": styles or "'none'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _host_name(host: str) -> str | None:
    """The name in a ``Host`` header, without port and brackets; None for rubbish."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
