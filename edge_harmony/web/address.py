"""Where the page is served: ``[HOST:]PORT``, the address that people type, and its QR code."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final

import cv2

from edge_harmony.errors import ConfigError

LOOPBACK: Final = "127.0.0.1"
_ANYWHERE: Final = ("0.0.0.0", "::", "")


@dataclass(frozen=True)
class Address:
    """A place to listen at.

    Attributes:
        host: a name or an IP address, without brackets; ``0.0.0.0`` and ``::`` are every network of this machine.
        port: 0 lets the system choose one.
    """

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether programs on this machine alone can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is written as an IPv6 address."""
        return ":" in self.host


def parse_address(text: str | int) -> Address:
    """Read ``PORT``, ``HOST:PORT`` or ``[IPV6]:PORT``; without a host it is this machine alone.

    Raises:
        ConfigError: anything else, or a port outside 0 .. 65535.
    """
    match = re.fullmatch(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]*):)?(?P<port>[0-9]{1,5})", str(text).strip())
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(
            f"the web address {str(text)!r} is not [HOST:]PORT",
            "for example 8765 for this machine alone, or 0.0.0.0:8765 for phones in the same network",
        )
    host = match["host"]
    if host is None:
        host = LOOPBACK
    return Address(host.strip("[]") or "0.0.0.0", int(match["port"]))


def reachable_host(address: Address) -> str:
    """The host under which others reach an address: this machine's own one where it listens everywhere."""
    if address.host not in _ANYWHERE:
        return address.host
    family, far = (socket.AF_INET6, "2001:db8::1") if address.is_ipv6 else (socket.AF_INET, "192.0.2.1")
    try:
        # Connecting a datagram socket sends nothing; it only makes the system choose the network to leave by.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            return probe.getsockname()[0]
    except OSError:
        return socket.gethostname() or LOOPBACK


def page_url(address: Address, token: str = "") -> str:
    """The full URL of the page, with its token where there is one."""
    host = reachable_host(address)
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{address.port}/" + (f"?token={token}" if token else "")


def qr_code(text: str) -> list[str]:
    """A QR code as lines of half blocks, light on dark, for a terminal; empty where OpenCV cannot make one."""
    try:
        modules = cv2.QRCodeEncoder.create().encode(text)
    except (cv2.error, AttributeError):
        return []
    # OpenCV draws one pixel a module, dark on light, with a quiet zone of its own of varying width.
    padded = cv2.copyMakeBorder(modules, 1, 1 + (modules.shape[0] % 2), 1, 1, cv2.BORDER_CONSTANT, value=(255,)) > 127
    glyphs = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    rows = [padded[i : i + 2] for i in range(0, padded.shape[0] - 1, 2)]
    return ["".join(glyphs[bool(a), bool(b)] for a, b in zip(*pair, strict=True)) for pair in rows]
