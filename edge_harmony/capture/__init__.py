"""Where frames come from: one file a kind. ``open_source`` opens any of them."""

from edge_harmony.capture.options import CaptureOptions
from edge_harmony.capture.select import open_source
from edge_harmony.capture.source import Source, TimedFrame

__all__ = ["CaptureOptions", "TimedFrame", "Source", "open_source"]
