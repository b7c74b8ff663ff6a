"""Which kind of source is meant: one rule for every command."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from edge_harmony import plugins
from edge_harmony.capture.options import CaptureOptions
from edge_harmony.capture.source import Source
from edge_harmony.errors import SourceError
from edge_harmony.run.redact import redact

NETWORK_SCHEMES: Final = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "udp", "tcp")
SCHEMES: Final = (*NETWORK_SCHEMES, "csi", "file")

_DEVICE: Final = re.compile(r"/dev/(video\d+|v4l/by-(id|path)/.+)")


def open_source(spec: str | int | Path, options: CaptureOptions | None = None) -> Source:
    """Open what a user calls a source.

    Args:
        spec: the first of these rules that fits decides:

            - a whole number, ``/dev/videoN`` or ``/dev/v4l/by-id/...``: a camera (write ``./0`` for a file ``0``);
            - the name of a file or folder that exists: that file, though it be called ``http:clip.mp4``;
            - ``csi://N``: a CSI camera through NVIDIA's Argus;
            - ``test:...``: the synthetic pattern;
            - something with `` ! `` in it: a GStreamer pipeline;
            - ``scheme://...``: a network stream; ``file://...`` is a file;
            - ``NAME:...``, where another package has registered the name (see ``edge_harmony.plugins``);
            - anything else: a file, a folder or a glob pattern.
        options: what to ask of it.

    Returns:
        The source, open, with its first frame's size known. ``live`` says whether to read it with ``LiveReader``.

    Raises:
        SourceError: nothing there, not readable, no such scheme, or holding what we refuse. The message carries the
            words of FFmpeg, GStreamer or OpenCV, and no password.
        BackendUnavailableError: this kind needs PyAV, or an OpenCV with GStreamer, which is not here.
        ConfigError: ``test:`` with an option that it does not have.
    """
    options = options or CaptureOptions()
    if isinstance(spec, Path):
        return _open_file(spec, options)
    text = str(spec).strip()
    if not text.isdigit() and _exists(text):  # whatever its name looks like
        return _open_file(text, options)
    if re.fullmatch(r"\d+", text) or _DEVICE.fullmatch(text):
        from edge_harmony.capture.camera import Camera

        return Camera(int(text) if text.isdigit() else text, options)
    if text.startswith("test:"):
        from edge_harmony.capture.pattern import open_pattern

        return open_pattern(text, options)
    if " ! " in text:
        from edge_harmony.capture.gstreamer import GStreamerPipeline

        return GStreamerPipeline(text, options)
    scheme, separator, _ = text.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES and ":" in text and not Path(text).exists():
        found = plugins.find(plugins.SOURCES, text)
        if found is not None:
            open_registered, argument = found
            return _paced(plugins.require(open_registered(argument, options), Source, text), options)
    if not separator:
        return _open_file(text, options)
    if scheme == "csi":
        from edge_harmony.capture.gstreamer import CsiCamera

        return CsiCamera(text, options)
    if scheme == "file":
        return _open_file(unquote(urlsplit(text).path), options)
    if scheme in NETWORK_SCHEMES:
        from edge_harmony.capture.network import NetworkStream

        stream = NetworkStream(text, options)
        return _paced(stream, options)
    known = (*SCHEMES, *plugins.registered(plugins.SOURCES))
    near = difflib.get_close_matches(scheme, known, 1)
    raise SourceError(
        f"{redact(text)}: sources do not begin with {scheme}://",
        f"did you mean {near[0]}://?" if near else f"known are {', '.join(name + '://' for name in known)}",
    )


def _exists(name: str) -> bool:
    try:
        path = Path(name)
        return path.is_file() or path.is_dir()
    except (OSError, ValueError):  # too long for a name, or with a null in it
        return False


def _open_file(path: str | Path, options: CaptureOptions) -> Source:
    from edge_harmony.capture.file import open_file
    from edge_harmony.capture.picture import DEFAULT_RATE

    return _paced(open_file(path, options.rate or DEFAULT_RATE, options.threads, options.hdr), options)


def _paced(source: Source, options: CaptureOptions) -> Source:
    if not options.realtime or source.live:
        return source
    from edge_harmony.capture.pace import Paced

    return Paced(source)
