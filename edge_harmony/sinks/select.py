"""Which kind of live sink is meant: one rule for every command."""

from __future__ import annotations

import contextlib
import difflib
import logging
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

from edge_harmony import plugins
from edge_harmony.capture.network import WebFile
from edge_harmony.capture.source import Source, TimedFrame
from edge_harmony.errors import SinkError
from edge_harmony.notice import note
from edge_harmony.run.redact import redact
from edge_harmony.sinks.base import LiveSink
from edge_harmony.sinks.encoders import WITH_ALPHA
from edge_harmony.sinks.video import OUTPUT_SUFFIXES, VideoOptions

KINDS: Final = """\
window                     a window on this machine
out.mp4, out.mkv           a file, with the source's sound where that is a file; also .mov and .m4v
out.mov, out.webm          with --cut-out: the subject alone, with its alpha
shots/, shots/%05d.png     numbered pictures
virtual, /dev/video10      a camera for other programs (v4l2loopback)
rtmp://host/app/key        a streaming service
rtsp://host/path           a streaming server"""

_log = logging.getLogger(__name__)

_DEVICE: Final = re.compile(r"/dev/(video\d+|v4l/by-(id|path)/.+)")
_NUMBERED: Final = re.compile(r"%0?\d*d")
_PUSHED: Final = ("rtmp", "rtmps", "rtsp", "rtsps")


@dataclass(frozen=True)
class LiveSinkOptions:
    """What to ask of live sinks; each looks at what concerns it.

    Attributes:
        video: quality, speed and encoder of a file, encoder of a stream to a server; None keeps up with a camera.
        constant_rate: frames a second of a file, exact; None keeps every frame's own time.
        audio: whether a file gets the source's sound.
        along: whether it gets anything of the source beside the picture; say no where the source is looped.
        overwrite: whether files of that name may be replaced.
        alpha: whether files get the subject alone with its alpha; whatever is no file is opaque all the same.
        bitrate_kbit: of a stream to a server; None chooses by size and rate.
        title: the window's.
    """

    video: VideoOptions | None = None
    constant_rate: Fraction | None = None
    audio: bool = True
    along: bool = True
    overwrite: bool = False
    alpha: bool = False
    bitrate_kbit: int | None = None
    title: str = "edge-harmony"


def open_live_sink(
    spec: str | Path,
    source: Source | None = None,
    options: LiveSinkOptions | None = None,
    on_key: Callable[[str], object] | None = None,
) -> LiveSink:
    """Make the sink that a user names; it begins to work with ``start``.

    Args:
        spec: one of ``KINDS``; the first of these rules that fits decides:

            - ``window``, ``virtual``;
            - ``rtmp[s]://...``, ``rtsp[s]://...``: push to a server;
            - ``/dev/videoN``: a virtual camera;
            - ``NAME:...``, where another package has registered the name (see ``edge_harmony.plugins``);
            - with a number's place (``%05d``) in its name, ending in ``/``, or a folder: numbered pictures;
            - a name that ends in a video's suffix: a file.
        source: where the pictures come from. A source that is not live makes files lossless: they wait for nothing
            to be dropped. Its sound and pixel shape go into a video file.
        options: what to ask of it.
        on_key: told of keys pressed in a window, each one character; Escape when the window was closed.

    Raises:
        SinkError: none of these, with a hint that names the nearest.
        BackendUnavailableError: PyAV is needed and is not installed.
    """
    options = options or LiveSinkOptions()
    text = str(spec)
    lossless = source is not None and not source.live
    if text == "window":
        from edge_harmony.sinks.window import Window

        return Window(options.title, on_key)
    if text == "virtual" or _DEVICE.fullmatch(text):
        from edge_harmony.sinks.virtual_camera import VirtualCamera

        return VirtualCamera(text)
    scheme, separator, _ = text.partition("://")
    if scheme.lower() not in _PUSHED and ":" in text:
        found = plugins.find(plugins.SINKS, text)
        if found is not None:
            open_registered, argument = found
            return plugins.require(open_registered(argument, source, options), LiveSink, text)
    if separator:
        return _open_push(text, scheme.lower(), options)
    if Path(text).is_dir() and not text.endswith(("/", "\\")):
        text += "/"
    if text.endswith(("/", "\\")) or _NUMBERED.search(text):
        from edge_harmony.sinks.picture_folder import PictureFolder

        return PictureFolder(text, overwrite=options.overwrite, lossless=lossless, alpha=options.alpha)
    if Path(text).suffix.lower() in (*OUTPUT_SUFFIXES, *WITH_ALPHA):
        return _open_recording(text, source, options, lossless)
    near = difflib.get_close_matches(text, ("window", "virtual"), 1)
    raise SinkError(
        f"{text} is nothing that a stream can go to",
        f"did you mean {near[0]}?" if near else f"name a file in {' '.join(OUTPUT_SUFFIXES)}, FOLDER/%05d.png, window, "
        "virtual, /dev/videoN, rtmp://... or rtsp://...",
    )  # fmt: skip


def _open_push(url: str, scheme: str, options: LiveSinkOptions) -> LiveSink:
    from edge_harmony.sinks.push import Push

    if scheme not in _PUSHED:
        near = difflib.get_close_matches(scheme, (*_PUSHED, *plugins.registered(plugins.SINKS)), 1)
        hint = f"did you mean {near[0]}://?" if near else "streams go to rtmp://host/app/key or rtsp://host/path"
        raise SinkError(f"{redact(url)}: streams do not go to {scheme}://", hint)
    codec = VideoOptions.codec if options.video is None else options.video.codec
    return Push(url, bitrate_kbit=options.bitrate_kbit, codec=codec)


def _open_recording(path: str, source: Source | None, options: LiveSinkOptions, lossless: bool) -> LiveSink:
    from edge_harmony.sinks.recording import LIVE_OPTIONS, Recording

    audio_from, audio_start_s = _file_of(source) if options.along else (None, Fraction(0))
    if source is not None and source.live and options.audio and getattr(source.original(), "has_audio", False):
        note(_log, "%s: its sound is not recorded: that of files is, on a disk or behind http://", source.name)
    return Recording(
        path,
        replace(options.video or LIVE_OPTIONS, alpha=options.alpha),
        constant_rate=options.constant_rate,
        audio_from=audio_from,
        audio_start_s=audio_start_s,
        sound=options.audio,
        sample_aspect_ratio=source.sample_aspect_ratio if source is not None else Fraction(1),
        overwrite=options.overwrite,
        lossless=lossless,
    )


def _file_of(source: Source | None) -> tuple[Path | WebFile | None, Fraction]:
    """The video file that a source is, and the moment of it at which its first picture is shown."""
    from edge_harmony.sinks.file import file_behind

    found, start_s = file_behind(source)
    if source is None or not isinstance(found, Path):
        return found, start_s
    with contextlib.closing(cast("Generator[TimedFrame, None, None]", iter(source.original()))) as frames:
        return found, next(frames).time_s
