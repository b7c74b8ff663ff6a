"""The GStreamer element ``edgeharmony``; ``edge_harmony.gstreamer.install`` installs it. See ``docs/gstreamer.md``."""
