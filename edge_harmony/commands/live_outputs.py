"""What ``edge-harmony stream`` writes to, from its options; and what it does where there is no display."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from edge_harmony.capture.source import Source
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.live import Controls, Figures
from edge_harmony.settings import Config, OutputConfig
from edge_harmony.sinks.base import Display, LiveSink
from edge_harmony.sinks.recording import LIVE_OPTIONS
from edge_harmony.sinks.select import LiveSinkOptions, open_live_sink

_PAGE: Final = "8765"


@dataclass
class OpenOutputs:
    """Sinks for the pipeline, and the window if there is one."""

    sinks: list[LiveSink] = field(default_factory=list)
    window: Display | None = None

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
        wanted = [*args.output, *args.push]
        wanted += [] if args.virtual is None else [args.virtual or "virtual"]
        options = _sink_options(args, config)
        opened.sinks += [open_live_sink(spec, source, options) for spec in wanted]
        opaque = [sink.name for sink in opened.sinks if not getattr(sink, "alpha", False)]
        if args.cut_out and opaque:
            say(f"no alpha goes to {', '.join(opaque)}: the background is behind the subject there")
        others = bool(opened.sinks)
        if args.window is not False:
            watched = others or bool(config.stream.web)
            opened.window = _window(controls, say, asked=bool(args.window), others=watched)
        address = config.stream.web
        if not address and not others and opened.window is None:
            address = _PAGE
        if address:
            _add_page(opened, address, config, controls, figures, say)
    except BaseException:
        opened.abort()
        raise
    return opened


def _sink_options(args: argparse.Namespace, config: Config) -> LiveSinkOptions:
    """Quality, speed and encoder where the settings or options say something; else what keeps up with a camera."""
    output = config.output
    said = {
        name: getattr(output, name)
        for name in ("crf", "speed", "codec")
        if getattr(args, f"output.{name}", None) is not None or getattr(output, name) != getattr(OutputConfig, name)
    }
    if "speed" in said:
        said["preset"] = said.pop("speed")
    return LiveSinkOptions(
        video=replace(LIVE_OPTIONS, **said),
        audio=output.audio,
        along=not args.loop,
        overwrite=args.overwrite,
        alpha=args.cut_out,
    )


def _window(controls: Controls, say: Callable[[str], None], asked: bool, others: bool) -> Display | None:
    """The window; None where none can be opened, which is said unless there is something else to look at."""
    from edge_harmony.sinks.window import Window, why_no_window

    reason = why_no_window()
    if not reason:

        def clicked(x: float, y: float) -> None:
            if controls.get("compare") == "side":  # both halves show the whole picture
                x = 2 * x % 1
            controls.set("subject", f"{x:.3f},{y:.3f}")

        return Window(on_click=clicked)
    if asked or not others:
        say(f"no window: {reason}")
    return None


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
