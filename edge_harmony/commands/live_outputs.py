"""What ``edge-harmony stream`` writes to, from its options; and what it does where there is no display."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from edge_harmony.capture.file import VideoFile
from edge_harmony.capture.source import Source
from edge_harmony.config import Config
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.live import Controls, Figures

_PAGE: Final = "8765"


@dataclass
class OpenOutputs:
    """Sinks for the pipeline, and the window if there is one."""

    sinks: list[Any] = field(default_factory=list)
    window: Any = None

    def abort(self) -> None:
        """Close everything: the stream did not start."""
        for sink in (*self.sinks, self.window):
            if sink is not None:
                sink.close()


def open_outputs(
    args: argparse.Namespace,
    config: Config,
    source: Source,
    controls: Controls,
    figures: Figures,
    say: Callable[[str], None],
) -> OpenOutputs:
    """Open what the options ask for; without any, a window, or a page where there is no display.

    Raises:
        SinkError, ConfigError, BackendUnavailableError: one of them cannot be had; nothing stays open then.
    """
    opened = OpenOutputs()
    try:
        for target in args.output:
            opened.sinks.append(_file(target, args, config, source))
        others = bool(opened.sinks)
        if args.window is not False:
            opened.window = _window(
                args, controls, say, asked=bool(args.window), others=others or bool(config.stream.web)
            )
        address = config.stream.web
        if not address and not others and opened.window is None:
            address = _PAGE
        if address:
            _add_page(opened, address, config, controls, figures, say)
    except BaseException:
        opened.abort()
        raise
    return opened


def _file(target: str, args: argparse.Namespace, config: Config, source: Source) -> Any:
    """A video, or a folder of numbered pictures. From a file nothing is left out, from a camera what does not fit."""
    from edge_harmony.sinks.picture_folder import PictureFolder
    from edge_harmony.sinks.recording import Recording

    lossless = not source.live
    if target.endswith(("/", os.sep)) or not Path(target).suffix or Path(target).suffix == ".png":
        return PictureFolder(target, overwrite=args.overwrite, lossless=lossless)
    innermost: Any = source
    while hasattr(innermost, "source"):
        innermost = innermost.source
    sounds = config.output.audio and isinstance(innermost, VideoFile) and innermost.has_audio and not args.loop
    return Recording(
        target,
        audio_from=innermost.path if sounds and isinstance(innermost, VideoFile) else None,
        audio_start_s=Fraction(0),
        sample_aspect_ratio=source.sample_aspect_ratio,
        overwrite=args.overwrite,
        lossless=lossless,
    )


def _window(args: argparse.Namespace, controls: Controls, say: Callable[[str], None], asked: bool, others: bool) -> Any:
    """The window; None where there is no display, which is said unless there is something else to look at."""
    reason = no_display()
    if not reason:
        return None
    if asked or not others:
        say(f"no window: {reason}")
    return None


def no_display() -> str:
    """Why no window can be opened here; "" when one can."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""


def _add_page(
    opened: OpenOutputs,
    address: str,
    config: Config,
    controls: Controls,
    figures: Figures,
    say: Callable[[str], None],
) -> None:
    from edge_harmony.web import WebSink

    try:
        page = WebSink(address, controls, figures)
    except EdgeHarmonyError:
        if config.stream.web:  # asked for
            raise
        page = WebSink("0", controls, figures)  # the usual port is taken: any other
    opened.sinks.append(page)
    say(page.announcement())
