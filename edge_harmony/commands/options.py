"""Options that several commands share, and the settings and stages that come of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.config import load_config, override
from edge_harmony.errors import ConfigError
from edge_harmony.run.arguments import Options
from edge_harmony.settings import SETTINGS, Config, Setting

if TYPE_CHECKING:  # the stages are imported when they are needed, so that --help is quick
    from edge_harmony.harmonize.base import Harmonizer


def add_setting(parser: Options, place: str) -> None:
    """Add the option of a setting (``section.name``) to a parser or a group of one."""
    setting = SETTINGS[place]
    words = setting.option_help or setting.help
    how: dict[str, Any] = {"dest": _dest(setting), "help": words}
    if setting.kind == "switch":
        parser.add_argument(setting.option, action="store_const", const=not setting.default, **how)
        return
    if setting.default != "" and "(default" not in words:
        shown = "all" if place == "harmonize.threads" else setting.default
        how["help"] = f"{words} (default {shown:g})" if isinstance(shown, float) else f"{words} (default {shown})"
    metavar = setting.metavar or ("|".join(setting.choices) if setting.kind == "choice" else "0..1")
    kind = {"number": float, "whole": int}.get(setting.kind, str)
    parser.add_argument(setting.option, type=kind, metavar=metavar, **how)


def _dest(setting: Setting) -> str:
    """Where the parsed arguments have a setting: no other option's name has a point in it."""
    return f"{setting.section}.{setting.name}"


def add_harmonize_options(parser: argparse.ArgumentParser, video: bool) -> None:
    """How strongly, steadily and by which model; ``--smoothing`` for video alone; and settings from files."""
    group = parser.add_argument_group("harmonizing")
    add_setting(group, "harmonize.strength")
    if video:
        add_setting(group, "harmonize.smoothing")
    for name in ("model", "backend", "threads"):
        add_setting(group, f"harmonize.{name}")
    add_config_options(group)


def add_config_options(parser: Options) -> None:
    """``--config`` and ``--preset``: settings from files."""
    from edge_harmony.presets import list_presets

    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings in TOML, in the sections [harmonize], [finish], [background], [matte], [output], [stream], "
        "named as the options (light_wrap = 0.3); options on the command line go before them",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME|FILE",
        help=f"settings by name: {', '.join(sorted(list_presets()))}; those of --config go before them",
    )


def add_finish_options(parser: argparse.ArgumentParser) -> None:
    """``--light-wrap``, ``--grain`` and ``--fit``."""
    group = parser.add_argument_group("fitting in")
    for place in ("finish.light_wrap", "finish.grain", "background.fit"):
        add_setting(group, place)


def add_matte_options(parser: argparse.ArgumentParser) -> None:
    """Where the subject's alpha comes from, and how it is refined."""
    group = parser.add_argument_group(
        "the subject's matte", "One of these says which pixels are the subject; white is subject."
    )
    group.add_argument("--alpha", type=Path, metavar="FILE", help="mask picture, mask video, or file with alpha")
    group.add_argument(
        "--matte",
        metavar="KIND",
        help="compute it: 'person' finds people, 'person:fine' does so more slowly and with more detail, 'chroma' keys "
        "a green or blue screen, 'plate' compares with --plate, "
        "FILE.onnx runs a matting network, 'auto' looks at the first frame and says what it took",
    )
    group.add_argument("--key", metavar="COLOUR", help="screen colour for chroma, as #rrggbb (default: measured)")
    group.add_argument("--plate", type=Path, metavar="PICTURE", help="the empty scene, for --matte plate")
    group.add_argument(
        "--matte-option",
        action="append",
        metavar="NAME=VALUE",
        help="more for the kind of matte, may be repeated. chroma: tolerance, softness, acceptance, despill, "
        "speckle; plate: align, threshold, band, smallest; network: size, normalise, sigmoid, snap",
    )
    for name in ("black", "white", "grow", "feather", "snap", "estimate", "premultiplied"):
        add_setting(group, f"matte.{name}")


def read_config(args: argparse.Namespace) -> Config:
    """Defaults, a preset over them, the ``--config`` file over both, and the options given over all.

    Raises:
        ConfigError: the file or a value is bad.
    """
    config = Config()
    if args.preset:
        from edge_harmony.presets import find_preset

        config = load_config(find_preset(args.preset))
    if args.config:
        config = load_config(args.config, config)
    given: dict[str, dict[str, Any]] = {}
    for setting in SETTINGS.values():
        value = getattr(args, _dest(setting), None)
        if value is not None:
            given.setdefault(setting.section, {})[setting.name] = value
    return override(config, given, "command line")


def load_harmonizer_for(
    config: Config, threads: int | None = None, say: Callable[[str], None] = print
) -> Harmonizer | None:
    """The harmonizer that the settings ask for; None for ``model = "none"``. One line says what it is.

    Args:
        config: the settings.
        threads: how many to use where the settings leave it open.
        say: prints the line; by default on standard output.

    Raises:
        ModelError, BackendUnavailableError: it cannot be had; nothing else is taken instead.
    """
    from edge_harmony.harmonize import load_harmonizer

    wanted = config.harmonize
    if wanted.model == "none":
        if wanted.backend != "auto":
            raise ConfigError("--model none needs no backend", "leave --backend out")
        return None
    harmonizer = load_harmonizer(wanted.model or None, wanted.backend, wanted.threads or threads)
    say(f"harmonized by {harmonizer.summary}")
    return harmonizer


def refuse_together(args: argparse.Namespace, first: str, others: Sequence[str], why: str) -> None:
    """Raise ``ConfigError`` when ``first`` is given together with one of ``others`` (option names)."""
    for other in others:
        if getattr(args, first.strip("-").replace("-", "_")) is not None and (
            getattr(args, other.strip("-").replace("-", "_")) is not None
        ):
            raise ConfigError(f"{first} and {other} do not go together", why)
