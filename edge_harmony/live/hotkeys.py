"""Keys pressed in a window, and the list of them."""

from __future__ import annotations

from typing import Final

from edge_harmony.live.controls import ACTIONS, CONTROLS, Controls

_STRENGTH_KEYS: Final = {"[": -1, "]": 1}
_NAMES: Final = {" ": "space"}
_ESCAPE: Final = "\x1b"


def press(controls: Controls, key: str) -> str:
    """Do what a key stands for.

    Args:
        controls: what the key acts on.
        key: one character, as typed; Escape quits like ``q``.

    Returns:
        What happened, to be shown ("strength 0.9"); "" for a key without a meaning.
    """
    if key in _STRENGTH_KEYS:
        return f"strength {controls.step('strength', _STRENGTH_KEYS[key]):.1f}"
    key = "q" if key == _ESCAPE else key.lower()
    for control in CONTROLS:
        if control.key and control.key == key:
            value = controls.step(control.name)
            shown = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
            return f"{control.label.lower()}: {shown}"
    for action in ACTIONS:
        if action.key == key:
            controls.act(action.name)
            return action.label.lower()
    return ""


def help_lines() -> list[str]:
    """Every key and what it does, one a line."""
    lines = [f"{_NAMES.get(entry.key, entry.key)}   {entry.label}" for entry in (*CONTROLS, *ACTIONS) if entry.key]
    return [*lines, "[ ]   Strength down, up"]
