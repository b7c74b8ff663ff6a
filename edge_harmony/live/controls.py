"""What can be changed while a stream runs: those of the settings that have a place on the page, and what to do once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_harmony.errors import ConfigError
from edge_harmony.setting_value import unknown
from edge_harmony.settings import SETTINGS, Config, Kind, OnPage, Setting, Value, refuse_crossing

_GROUPS: Final = ("harmonize", "view", "background", "matte", "finish")  # in the order in which they are shown


@dataclass(frozen=True)
class Control:
    """One setting as it is shown and changed while a stream runs; see ``Setting`` and ``OnPage``."""

    setting: Setting
    place: OnPage

    @property
    def name(self) -> str:
        """Its name in code, in JSON and on the page."""
        return self.place.name or self.setting.name

    @property
    def label(self) -> str:
        """What people read."""
        return self.place.label

    @property
    def kind(self) -> Kind:
        """``number`` (float), ``whole`` (int), ``switch`` (bool), ``choice`` or ``text``."""
        return self.setting.kind

    @property
    def default(self) -> Value:
        """Its value at the start."""
        return self.setting.default

    @property
    def key(self) -> str:
        """The hotkey that switches it or goes to its next choice; "" has none."""
        return self.place.key

    def check(self, value: Any) -> Value:
        """The value in its own type, or ``ConfigError``."""
        return self.setting.check(value, self.name)


@dataclass(frozen=True)
class Action:
    """Something to be done once, with its hotkey."""

    name: str
    label: str
    key: str


CONTROLS: Final = tuple(
    Control(setting, setting.on_page)
    for group in _GROUPS
    for setting in SETTINGS.values()
    if setting.on_page is not None and setting.on_page.group == group
)

ACTIONS: Final = (
    Action("next_background", "Next background", "b"),
    Action("plate", "Take the clean plate", "p"),
    Action("screenshot", "Save a screenshot", "s"),
    Action("help", "Show the keys", "?"),
    Action("quit", "Quit", "q"),
)

_BY_NAME: Final = {control.name: control for control in CONTROLS}


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

    @classmethod
    def of(cls, config: Config) -> Controls:
        """The controls of a stream that begins with these settings."""
        return cls({one.name: getattr(getattr(config, one.setting.section), one.setting.name) for one in CONTROLS})

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
        checked = {name: _find(name).check(value) for name, value in values.items()}
        with self._lock:
            new = {**self._values, **checked}
            refuse_crossing(float(new["black"]), float(new["white"]))
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
            choices = control.setting.choices
            value = choices[(choices.index(str(value)) + steps) % len(choices)]
        else:
            moved = float(value) + steps * control.place.step
            moved = min(max(moved, control.setting.low), control.setting.high)
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
                    "group": control.place.group,
                    "kind": control.kind,
                    "value": values[control.name],
                    "default": control.default,
                    "low": control.setting.low if ranged else None,
                    "high": control.setting.high if ranged else None,
                    "step": control.place.step if ranged else None,
                    "choices": list(suggested.get(control.name, control.setting.choices)),
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
            raise unknown(f"the action {action!r} is unknown", action, names)
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
        raise unknown(f"the setting {name!r} is unknown", str(name), _BY_NAME)
    return _BY_NAME[name]
