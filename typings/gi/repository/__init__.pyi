from typing import Any

GLib: Any
GObject: Any
Gst: Any
GstBase: Any
GstVideo: Any
