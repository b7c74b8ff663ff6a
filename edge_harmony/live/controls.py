"""What can be changed while a stream runs: one table, from which the hotkeys, the page and the settings are made."""

from __future__ import annotations

import difflib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_harmony.errors import ConfigError

Value = float | int | bool | str


@dataclass(frozen=True)
class Control:
    """One setting.

    Attributes:
        name: its name in code, in JSON and on the page.
        label: what people read.
        group: under which heading it stands: ``harmonize``, ``view``, ``matte``, ``finish`` or ``background``.
        kind: ``number`` (float), ``whole`` (int), ``switch`` (bool), ``choice`` (one of ``choices``) or ``text``.
        default: its value at the start.
        low, high: inclusive limits of a ``number`` or ``whole``.
        step: by how much a key or a click changes it.
        choices: all values of a ``choice``.
        key: the hotkey that switches it or goes to its next choice; "" has none.
    """

    name: str
    label: str
    group: str
    kind: str
    default: Value
    low: float = 0.0
    high: float = 1.0
    step: float = 0.05
    choices: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True)
class Action:
    """Something to be done once, with its hotkey."""

    name: str
    label: str
    key: str


CONTROLS: Final = (
    Control("harmonize", "Harmonize", "harmonize", "switch", True, key="h"),
    Control("strength", "Strength", "harmonize", "number", 1.0, step=0.1),
    Control("smoothing", "Smoothing over time", "harmonize", "number", 0.8, high=0.99, step=0.01),
    Control("compare", "Compare", "view", "choice", "off", choices=("off", "split", "side"), key="c"),
    Control("split", "Place of the split", "view", "number", 0.5, step=0.01),
    Control("matte_view", "Show the matte", "view", "switch", False, key="m"),
    Control("figures", "Show figures", "view", "switch", False, key="f"),
    Control("frozen", "Freeze", "view", "switch", False, key=" "),
    Control("background", "Background", "background", "text", ""),
    Control("grow", "Grow or shrink (pixels)", "matte", "number", 0.0, -32.0, 32.0, 0.5),
    Control("feather", "Feather (pixels)", "matte", "number", 0.0, 0.0, 32.0, 0.5),
    Control("snap", "Snap to edges (pixels)", "matte", "whole", 0, 0, 64, 1),
    Control("black", "Levels: black below", "matte", "number", 0.0, 0.0, 0.95, 0.01),
    Control("white", "Levels: white above", "matte", "number", 1.0, 0.05, 1.0, 0.01),
    Control("light_wrap", "Light wrap", "finish", "number", 0.0),
    Control("grain", "Grain", "finish", "number", 0.0),
)

ACTIONS: Final = (
    Action("next_background", "Next background", "b"),
    Action("plate", "Take the clean plate", "p"),
    Action("screenshot", "Save a screenshot", "s"),
    Action("help", "Show the keys", "?"),
    Action("quit", "Quit", "q"),
)

_BY_NAME: Final = {control.name: control for control in CONTROLS}
_LONGEST_TEXT: Final = 4096


class Controls:
    """The settings of one running stream. Every method may be called from any thread and returns at once.

    A change takes effect with the next frame. The stream looks at ``snapshot()`` once a frame, so changes made by
    ``update`` appear together.

    Args:
        values: settings that differ from the defaults, by name.

    Raises:
        ConfigError: an unknown name, or a value of the wrong kind or out of range.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, Value] = {control.name: control.default for control in CONTROLS}
        self._suggested: dict[str, tuple[str, ...]] = {}
        self._actions: deque[str] = deque(maxlen=64)
        self._revision = 0
        if values:
            self.update(values)

    @property
    def revision(self) -> int:
        """A number that grows with every change, for those who show the settings elsewhere."""
        with self._lock:
            return self._revision

    def get(self, name: str) -> Any:
        """One setting's value; ``ConfigError`` for an unknown name."""
        _find(name)
        with self._lock:
            return self._values[name]

    def set(self, name: str, value: Any) -> None:
        """Change one setting.

        Args:
            name: see ``CONTROLS``.
            value: of its kind. A whole number is welcome as a ``number``; nothing is clipped.

        Raises:
            ConfigError: unknown name (the hint names the nearest), wrong kind, out of range, not finite, or black
                and white levels that would cross.
        """
        self.update({name: value})

    def update(self, values: Mapping[str, Any]) -> None:
        """Change several settings at once: all of them, or none when one is refused (see ``set``)."""
        checked = {name: _check(_find(name), value) for name, value in values.items()}
        with self._lock:
            new = {**self._values, **checked}
            if float(new["black"]) >= float(new["white"]):
                raise ConfigError(f"black is {new['black']} and white is {new['white']}", "black must stay below white")
            if new != self._values:
                self._values = new
                self._revision += 1

    def step(self, name: str, steps: int = 1) -> Any:
        """Go ``steps`` steps on: a number moves within its limits, a switch turns, a choice goes round.

        Returns:
            The new value.

        Raises:
            ConfigError: unknown name, or a text, which has no steps.
        """
        control = _find(name)
        if control.kind == "text":
            raise ConfigError(f"{name} has no steps", "set it to a value")
        with self._lock:
            value = self._values[name]
        if control.kind == "switch":
            value = bool(value) != bool(steps % 2)
        elif control.kind == "choice":
            value = control.choices[(control.choices.index(str(value)) + steps) % len(control.choices)]
        else:
            moved = min(max(float(value) + steps * control.step, control.low), control.high)
            value = round(moved) if control.kind == "whole" else round(moved, 6)
        self.set(name, value)
        return value

    def suggest(self, name: str, choices: Sequence[str]) -> None:
        """Name the values worth offering for a ``text``, such as the backgrounds at hand; others stay possible.

        A front end that strangers can reach should offer these alone: a background is the name of a file.
        """
        _find(name)
        with self._lock:
            self._suggested[name] = tuple(choices)
            self._revision += 1

    def suggested(self, name: str) -> tuple[str, ...]:
        """What ``suggest`` and ``offer`` named, less what was withdrawn."""
        _find(name)
        with self._lock:
            return self._suggested.get(name, ())

    def offer(self, name: str, choice: str) -> None:
        """Add one value to those suggested, at the end, unless it is among them."""
        _find(name)
        with self._lock:
            known = self._suggested.get(name, ())
            if choice not in known:
                self._suggested[name] = (*known, choice)
                self._revision += 1

    def withdraw(self, name: str, choice: str) -> None:
        """Take one value from those suggested, if it is among them."""
        _find(name)
        with self._lock:
            known = self._suggested.get(name, ())
            if choice in known:
                self._suggested[name] = tuple(one for one in known if one != choice)
                self._revision += 1

    def snapshot(self) -> dict[str, Any]:
        """All values by name, of one moment: a dictionary that belongs to the caller, ready for JSON."""
        with self._lock:
            return dict(self._values)

    def describe(self) -> list[dict[str, Any]]:
        """Every setting, ready for JSON.

        Returns:
            In the order in which to show them: ``name, label, group, kind, value, default, low, high, step, choices,
            key``; limits and step are None where the kind has none; ``choices`` of a ``text`` are what ``suggest``
            named.
        """
        with self._lock:
            values, suggested = dict(self._values), dict(self._suggested)
        described = []
        for control in CONTROLS:
            ranged = control.kind in ("number", "whole")
            described.append(
                {
                    "name": control.name,
                    "label": control.label,
                    "group": control.group,
                    "kind": control.kind,
                    "value": values[control.name],
                    "default": control.default,
                    "low": control.low if ranged else None,
                    "high": control.high if ranged else None,
                    "step": control.step if ranged else None,
                    "choices": list(suggested.get(control.name, control.choices)),
                    "key": control.key,
                }
            )
        return described

    def describe_actions(self) -> list[dict[str, str]]:
        """Every action, ready for JSON: ``name, label, key``."""
        return [{"name": action.name, "label": action.label, "key": action.key} for action in ACTIONS]

    def act(self, action: str) -> None:
        """Ask for something to be done once, soon: one of ``ACTIONS``.

        Raises:
            ConfigError: unknown; the hint names the nearest.
        """
        names = [known.name for known in ACTIONS]
        if action not in names:
            raise ConfigError(f"the action {action!r} is unknown", _nearest(action, names))
        with self._lock:
            self._actions.append(action)

    def take_actions(self) -> list[str]:
        """What was asked for since the last call, oldest first; the stream calls this."""
        with self._lock:
            taken = list(self._actions)
            self._actions.clear()
        return taken


def _find(name: str) -> Control:
    if name not in _BY_NAME:
        raise ConfigError(f"the setting {name!r} is unknown", _nearest(str(name), list(_BY_NAME)))
    return _BY_NAME[name]


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"


def _check(control: Control, value: Any) -> Value:
    """The value in its own type, or ``ConfigError``."""
    name = control.name
    if control.kind == "switch":
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}", "it must be true or false")
        return value
    if control.kind in ("choice", "text"):
        if not isinstance(value, str):
            raise ConfigError(f"{name} is {value!r}", "it must be text")
        if control.kind == "choice" and value not in control.choices:
            raise ConfigError(f"{name} is {value[:100]!r}", f"use one of: {', '.join(control.choices)}")
        if len(value) > _LONGEST_TEXT or "\0" in value:
            raise ConfigError(f"{name} is {len(value)} characters of no use", "name a file or a colour")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise ConfigError(f"{name} is {value!r}", "it must be a number")
    if not control.low <= value <= control.high:
        raise ConfigError(f"{name} is out of range", f"it must lie in {control.low:g} .. {control.high:g}")
    if control.kind == "whole" and value != int(value):
        raise ConfigError(f"{name} is {value}", "it must be a whole number")
    return int(value) if control.kind == "whole" else float(value)
