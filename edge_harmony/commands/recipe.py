"""What a result of ``image``, ``process`` and ``batch`` depends on, of all that the command line says."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from edge_harmony.settings import Config


def settings_of(args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """The settings and options that change a picture, as JSON holds them; files are named by ``sources_of``."""
    settings = dataclasses.asdict(config)
    del settings["stream"], settings["harmonize"]["threads"]
    options = ("compare", "cut_out", "matte", "key", "matte_option", "fps", "hdr")
    return {**settings, "options": {name: getattr(args, name) for name in options if getattr(args, name, None)}}


def sources_of(args: argparse.Namespace, config: Config) -> dict[str, str | Path | None]:
    """The files that a result depends on whatever its own picture or clip is: the model, a plate, a matting network.

    Raises:
        ModelError: there is no such model.
    """
    from edge_harmony.harmonize.load import find_model

    wanted = config.harmonize.model
    matte = args.matte or config.matte.kind
    return {
        "model": None if wanted == "none" else find_model(wanted or None),
        "plate": args.plate,
        "matte": matte if matte and Path(matte).is_file() else None,
    }
