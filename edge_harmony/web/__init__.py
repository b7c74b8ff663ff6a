"""The web page: the live picture, its controls and figures in any browser, a phone's too."""

from edge_harmony.web.address import Address, parse_address
from edge_harmony.web.sink import WebSink

__all__ = ["Address", "WebSink", "parse_address"]
