"""Options that several commands share, and the settings and stages that come of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.config import Config, load_config, override
from edge_harmony.errors import ConfigError

if TYPE_CHECKING:  # the stages are imported when they are needed, so that --help is quick
    from edge_harmony.harmonize.base import Harmonizer

# Where each option's value goes: section and key of the settings.
_SETTINGS = {
    "model": ("harmonize", "model"),
    "backend": ("harmonize", "backend"),
    "threads": ("harmonize", "threads"),
    "strength": ("harmonize", "strength"),
    "smoothing": ("harmonize", "smoothing"),
    "light_wrap": ("finish", "light_wrap"),
    "grain": ("finish", "grain"),
    "fit": ("background", "fit"),
    "black": ("matte", "black"),
    "white": ("matte", "white"),
    "grow": ("matte", "grow"),
    "feather": ("matte", "feather"),
    "snap": ("matte", "snap"),
    "estimate": ("matte", "estimate"),
    "crf": ("output", "crf"),
    "preset": ("output", "preset"),
    "audio": ("output", "audio"),
    "source": ("stream", "source"),
    "web": ("stream", "web"),
    "hold": ("stream", "hold"),
    "figures": ("stream", "figures"),
    "view": ("stream", "compare"),
}


def add_harmonize_options(parser: argparse.ArgumentParser, video: bool) -> None:
    """``--strength``, ``--model``, ``--backend``, ``--threads``, ``--config``, and for video ``--smoothing``."""
    group = parser.add_argument_group("harmonizing")
    group.add_argument(
        "--strength", type=float, metavar="0..1", help="how much of the correction is applied (default 1)"
    )
    if video:
        group.add_argument(
            "--smoothing",
            type=float,
            metavar="0..1",
            help="how much of the earlier frames' correction is kept; a cut starts afresh (default 0.8)",
        )
    group.add_argument(
        "--model",
        metavar="FILE|none",
        help="an ONNX model of our contract, or 'none' to composite without harmonizing "
        "(default: the model that comes with the package)",
    )
    group.add_argument(
        "--backend",
        metavar="NAME",
        help="what runs the model: auto, onnxruntime, tensorrt; a backend asked for by name runs or is an "
        "error, never replaced by another (default auto)",
    )
    group.add_argument("--threads", type=int, metavar="N", help="threads for the model (default: all)")
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings in TOML, in the sections [harmonize], [finish], [background], [matte], [output], [stream], "
        "named as the options (light_wrap = 0.3); options on the command line go before them",
    )


def add_finish_options(parser: argparse.ArgumentParser) -> None:
    """``--light-wrap``, ``--grain`` and ``--fit``."""
    group = parser.add_argument_group("fitting in")
    group.add_argument(
        "--light-wrap",
        type=float,
        metavar="0..1",
        help="let the background's light spill over the subject's edge (default 0, off)",
    )
    group.add_argument(
        "--grain", type=float, metavar="0..1", help="give the subject the background's noise (default 0, off)"
    )
    group.add_argument(
        "--fit",
        metavar="MODE",
        help="background of another shape: cover fills the frame and crops, contain shows all with bars, "
        "stretch distorts (default cover)",
    )


def add_matte_options(parser: argparse.ArgumentParser) -> None:
    """Where the subject's alpha comes from, and how it is refined."""
    group = parser.add_argument_group(
        "the subject's matte", "One of these says which pixels are the subject; white is subject."
    )
    group.add_argument("--alpha", type=Path, metavar="FILE", help="mask picture, mask video, or file with alpha")
    group.add_argument(
        "--matte",
        metavar="KIND",
        help="compute it: 'person' finds people, 'chroma' keys a green or blue screen, 'plate' compares with --plate, "
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
    group.add_argument("--black", type=float, metavar="0..1", help="alphas up to this one become 0 (default 0)")
    group.add_argument("--white", type=float, metavar="0..1", help="alphas from this one on become 1 (default 1)")
    group.add_argument("--grow", type=float, metavar="PX", help="move its edge outwards, or inwards if negative")
    group.add_argument("--feather", type=float, metavar="PX", help="blur its edge")
    group.add_argument("--snap", type=int, metavar="PX", help="pull soft edges onto the picture's, in this radius")
    group.add_argument(
        "--no-estimate",
        dest="estimate",
        action="store_const",
        const=False,
        help="keep the colours at soft edges as filmed, old background mixed in",
    )


def read_config(args: argparse.Namespace) -> Config:
    """Defaults, a preset over them, the ``--config`` file over both, and the options given over all.

    Raises:
        ConfigError: the file or a value is bad.
    """
    config = Config()
    if getattr(args, "preset_name", None):
        from edge_harmony.presets import find_preset

        config = load_config(find_preset(args.preset_name))
    if args.config:
        config = load_config(args.config, config)
    given: dict[str, dict[str, Any]] = {}
    for option, (section, key) in _SETTINGS.items():
        value = getattr(args, option, None)
        if value is not None:
            given.setdefault(section, {})[key] = value
    return override(config, given, "command line")


def load_harmonizer_for(config: Config, threads: int | None = None) -> Harmonizer | None:
    """The harmonizer that the settings ask for; None for ``model = "none"``.

    Args:
        config: the settings.
        threads: how many to use where the settings leave it open.

    Raises:
        ModelError, BackendUnavailableError: it cannot be had; nothing else is taken instead.
    """
    from edge_harmony.harmonize import load_harmonizer

    wanted = config.harmonize
    if wanted.model == "none":
        if wanted.backend != "auto":
            raise ConfigError("--model none needs no backend", "leave --backend out")
        return None
    return load_harmonizer(wanted.model or None, wanted.backend, wanted.threads or threads)


def refuse_together(args: argparse.Namespace, first: str, others: Sequence[str], why: str) -> None:
    """Raise ``ConfigError`` when ``first`` is given together with one of ``others`` (option names)."""
    for other in others:
        if getattr(args, first.strip("-").replace("-", "_")) is not None and (
            getattr(args, other.strip("-").replace("-", "_")) is not None
        ):
            raise ConfigError(f"{first} and {other} do not go together", why)
