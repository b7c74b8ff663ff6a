"""Where frames come from: one file a kind. ``open_source`` opens any of them."""

from edge_harmony.capture.options import CaptureOptions
from edge_harmony.capture.select import open_source
from edge_harmony.capture.source import Frame, Source

__all__ = ["CaptureOptions", "Frame", "Source", "open_source"]
