"""Settings: frozen dataclasses, a TOML file under the command line, and errors that name the nearest key."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_harmony.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def _setting(default: Any, low: float | None = None, high: float | None = None, choices: tuple = ()) -> Any:
    """A field with its range (inclusive) or its choices."""
    return field(default=default, metadata={"low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class HarmonizeConfig:
    """``[harmonize]``: the model and how strongly and steadily it acts.

    Attributes:
        model: path of an ONNX model; "" is the one that comes with the package, "none" leaves colours alone.
        backend: "auto" or a backend's name.
        threads: threads of the backend; 0 lets it choose.
        strength: 0 leaves colours alone, 1 harmonizes fully.
        smoothing: 0 follows every frame, towards 1 follows slowly; video only.
    """

    model: str = ""
    backend: str = "auto"
    threads: int = _setting(0, 0, 1024)
    strength: float = _setting(1.0, 0.0, 1.0)
    smoothing: float = _setting(0.8, 0.0, 0.999)


@dataclass(frozen=True)
class FinishConfig:
    """``[finish]``: what makes a subject sit in its background; each is off at 0.

    Attributes:
        light_wrap: how much of the background's light spills over the subject's edge.
        grain: how much of the background's noise the subject takes on.
    """

    light_wrap: float = _setting(0.0, 0.0, 1.0)
    grain: float = _setting(0.0, 0.0, 1.0)


@dataclass(frozen=True)
class BackgroundConfig:
    """``[background]``: what is behind the subject, and how another shape fills the frame.

    Attributes:
        source: of a stream, where the command line names none: a picture, a video, a folder, "#rrggbb" or "blur".
        fit: "cover" fills the frame and crops, "contain" shows all with bars, "stretch" distorts.
    """

    source: str = ""
    fit: str = _setting("cover", choices=("cover", "contain", "stretch"))


@dataclass(frozen=True)
class MatteConfig:
    """``[matte]``: where the alpha comes from, and how it is refined.

    Attributes:
        kind: of a stream, where the command line names none: "auto", "person", "chroma", "plate", "none" or a file.
        black: alphas up to this one (0..1) become 0.
        white: alphas from this one on become 1.
        grow: pixels by which the edge moves outwards; negative moves it inwards.
        feather: blur of the edge in pixels.
        snap: radius in pixels of the filter that pulls soft edges onto the picture's; 0 is off.
        estimate: whether the subject's own colour is estimated at soft edges.
    """

    kind: str = ""
    black: float = _setting(0.0, 0.0, 0.95)
    white: float = _setting(1.0, 0.05, 1.0)
    grow: float = _setting(0.0, -64.0, 64.0)
    feather: float = _setting(0.0, 0.0, 64.0)
    snap: int = _setting(0, 0, 64)
    estimate: bool = True


@dataclass(frozen=True)
class OutputConfig:
    """``[output]``: how a video is written.

    Attributes:
        crf: x264's quality, 0 lossless .. 51; 18 looks like the source.
        preset: x264's speed, "ultrafast" .. "veryslow".
        audio: whether the source's sound is copied.
    """

    crf: int = _setting(18, 0, 51)
    preset: str = _setting(
        "medium",
        choices=(
            "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
        ),
    )  # fmt: skip
    audio: bool = True


@dataclass(frozen=True)
class StreamConfig:
    """``[stream]``: what belongs to live use alone.

    Attributes:
        source: where the command line names none: "0" is the first camera.
        web: address of the page, as [HOST:]PORT; "" is none.
        hold: while the source is lost: "picture" shows the last one, "background" the background alone.
        compare: "off", "split" (before and after in one picture) or "side" (side by side).
        figures: whether figures are drawn over the window's picture.
    """

    source: str = ""
    web: str = ""
    hold: str = _setting("picture", choices=("picture", "background"))
    compare: str = _setting("off", choices=("off", "split", "side"))
    figures: bool = False


@dataclass(frozen=True)
class Config:
    """All settings, one section a field; every section and key may be left out of the file."""

    harmonize: HarmonizeConfig = field(default_factory=HarmonizeConfig)
    finish: FinishConfig = field(default_factory=FinishConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    matte: MatteConfig = field(default_factory=MatteConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)


def load_config(path: str | Path, base: Config | None = None) -> Config:
    """Read a TOML file over the defaults, or over other settings.

    Raises:
        ConfigError: no such file, not TOML, an unknown section or key (the hint names the nearest), a value of
            another type or out of range.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "check the path after --config") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8", "write the settings as TOML") from error
    try:
        sections = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} is not TOML: {error}", 'write [section] lines and key = value, text in "..."'
        ) from error
    return override(base or Config(), sections, str(path))


def override(config: Config, sections: Mapping[str, Any], origin: str) -> Config:
    """Return the settings with some replaced.

    Args:
        config: what to start from.
        sections: section name to a mapping of keys to values.
        origin: where they come from (a file's name, "command line"), for messages.

    Raises:
        ConfigError: unknown section or key, wrong type, out of range.
    """
    changed: dict[str, Any] = {}
    known = [f.name for f in dataclasses.fields(config)]
    for name, values in sections.items():
        if name not in known:
            _refuse_unknown(origin, "section", name, known)
        if not isinstance(values, Mapping):
            raise ConfigError(f"{origin}: {name} is a section, not a value", f"write [{name}] and its keys below")
        changed[name] = _override_section(getattr(config, name), name, values, origin)
    return dataclasses.replace(config, **changed)


def parse_value(text: str) -> Any:
    """A value as TOML reads it: a number, true, false; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _override_section(section: Any, name: str, values: Mapping[str, Any], origin: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(section)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            _refuse_unknown(origin, f"key in [{name}]", key, list(fields))
        checked[key] = _check(value, type(getattr(section, key)), fields[key].metadata, f"{origin}: {name}.{key}")
    return dataclasses.replace(section, **checked)


def _refuse_unknown(origin: str, what: str, name: str, known: list[str]) -> None:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
    raise ConfigError(f"{origin}: unknown {what}: {name!r}", hint)


def _check(value: Any, kind: type, limits: Mapping[str, Any], name: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        words = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        raise ConfigError(f"{name} is {value!r}", f"it must be {words[kind]}")
    choices = limits.get("choices")
    if choices and value not in choices:
        near = difflib.get_close_matches(str(value), choices, 1)
        raise ConfigError(f"{name} is {value!r}", f"use one of: {', '.join(near or choices)}")
    low, high = limits.get("low"), limits.get("high")
    if low is not None and high is not None and not low <= value <= high:
        raise ConfigError(f"{name} is {value}", f"it must lie in {low:g} .. {high:g}")
    return value
