"""Where the page is served, and how that is told."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from edge_harmony.errors import ConfigError
from edge_harmony.web.address import Address, page_url, parse_address, qr_code


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("8765", "127.0.0.1", 8765, True),
        (8765, "127.0.0.1", 8765, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        (":8765", "0.0.0.0", 8765, False),
        ("localhost:1", "localhost", 1, True),
        ("[::1]:8765", "::1", 8765, True),
        ("[::]:0", "::", 0, False),
        ("studio.local:65535", "studio.local", 65535, False),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int, loopback: bool) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)


@pytest.mark.parametrize("text", ["", "http://a:1", "1.2.3.4", "65536", "a b:1", "::1:80", "a:-1", "٣"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[HOST:\]PORT"):
        parse_address(text)


def test_url_of_every_network_is_one_that_others_can_use() -> None:
    url = page_url(Address("0.0.0.0", 8765), "secret")
    assert re.fullmatch(r"http://[^/]+:8765/\?token=secret", url)
    assert "0.0.0.0" not in url
    assert page_url(Address("::1", 1)) == "http://[::1]:1/"


def test_qr_code_can_be_read_from_the_terminal() -> None:
    url = "http://192.0.2.17:8765/?token=abcdefghijklmnopqrstuv"
    lines = qr_code(url)
    assert lines
    assert len({len(line) for line in lines}) == 1
    halves = {" ": (0, 0), "▀": (255, 0), "▄": (0, 255), "█": (255, 255)}
    rows = [[halves[c][half] for c in line] for line in lines for half in (0, 1)]
    picture = cv2.resize(np.array(rows, np.uint8), None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    picture = cv2.copyMakeBorder(picture, 64, 64, 64, 64, cv2.BORDER_CONSTANT, value=(255,))
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == url
