"""Settings under a name: TOML files in this folder, and in the user's own."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from edge_harmony.errors import ConfigError
from edge_harmony.settings import SETTINGS

_SHIPPED = Path(__file__).resolve().parent


def own_folder() -> Path:
    """Where a user's presets lie: ``edge-harmony/presets`` in the configuration folder; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA") or Path.home() / ".config"
    return Path(base) / "edge-harmony" / "presets"


def list_presets() -> dict[str, Path]:
    """Every preset by its name; the user's go before those that come with the package."""
    return {path.stem: path for folder in (_SHIPPED, own_folder()) for path in sorted(folder.glob("*.toml"))}


def find_preset(name: str) -> Path:
    """The file of a preset.

    Args:
        name: a preset's name, or the path of a TOML file (anything that ends in .toml).

    Raises:
        ConfigError: there is none; the hint names the nearest.
    """
    if name.endswith(".toml"):
        return Path(name)
    known = list_presets()
    if name not in known:
        if name in SETTINGS["output.speed"].choices:
            raise ConfigError(f"the preset {name!r} is unknown", f"for the encoder's speed use --speed {name}")
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}; or name a .toml file"
        raise ConfigError(f"the preset {name!r} is unknown", hint)
    return known[name]
