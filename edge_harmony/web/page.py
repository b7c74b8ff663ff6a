"""The page itself, from its one file, with the hashes that let its own script and style run and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from edge_harmony.web.guard import security_headers


class Page:
    """What browsers get.

    Attributes:
        html: the page.
        door: what those see who come without the token.
        headers: security headers for both.
    """

    def __init__(self) -> None:
        folder = resources.files("edge_harmony.web")
        self.html = (folder / "page.html").read_bytes()
        self.door = (folder / "door.html").read_bytes()
        scripts = _hashes(self.html, b"script")
        styles = f"{_hashes(self.html, b'style')} {_hashes(self.door, b'style')}"
        self.headers = security_headers(scripts, styles)


@cache
def load_page() -> Page:
    """The page, read once."""
    return Page()


def _hashes(html: bytes, tag: bytes) -> str:
    """The CSP sources of all inline elements of a kind."""
    bodies = re.findall(rb"<%s>(.*?)</%s>" % (tag, tag), html, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(body).digest()).decode()}'" for body in bodies)
