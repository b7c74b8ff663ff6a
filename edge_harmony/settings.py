"""The one table of settings: name, kind, range, default, words, option and place on the page of each.

Everything that sets a value looks here: the configuration file and the presets (``edge_harmony.config``), the command
line (``edge_harmony.commands.options``), the controls of a running stream and its page (``edge_harmony.live.controls``)
and the classes that use the value. So a value out of range is refused everywhere in the same words, and one that is
taken somewhere is taken everywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

from edge_harmony.errors import ConfigError
from edge_harmony.setting_value import check_value
from edge_harmony.subject_choice import SubjectChoice

Value: TypeAlias = float | int | bool | str
Kind: TypeAlias = Literal["number", "whole", "switch", "choice", "text"]

_TYPES: Final = {"number": float, "whole": int, "switch": bool, "choice": str, "text": str}


@dataclass(frozen=True)
class OnPage:
    """How a setting that may change while a stream runs is shown there.

    Attributes:
        label: what people read.
        group: under which heading it stands: ``harmonize``, ``view``, ``background``, ``matte`` or ``finish``.
        name: its name in ``Controls``, in JSON and on the page; "" is the setting's own.
        step: by how much a key or a click changes it.
        key: the hotkey that switches it or goes to its next choice; "" has none.
    """

    label: str
    group: str
    name: str = ""
    step: float = 0.05
    key: str = ""


@dataclass(frozen=True)
class Setting:
    """One setting; see ``SETTINGS``.

    Attributes:
        section, name: its place in the configuration file.
        kind: ``number`` (float), ``whole`` (int), ``switch`` (bool), ``choice`` (one of ``choices``) or ``text``.
        default: its value where nothing is said.
        help: what it does, for ``--help`` and the documentation; without the default.
        low, high: inclusive limits of a ``number`` or ``whole``.
        choices: all values of a ``choice``.
        option: on the command line; "" has none. A ``switch`` that is on by default is switched off by it.
        option_help: what the option does, where ``help`` does not say it.
        metavar: what stands for its value in ``--help``.
        on_page: how it is changed while a stream runs; None: not at all.
        in_file: whether a configuration file may set it.
        parse: raises ``ConfigError`` for a ``text`` that means nothing.
    """

    section: str
    name: str
    kind: Kind
    default: Value
    help: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()
    option: str = ""
    option_help: str = ""
    metavar: str = ""
    on_page: OnPage | None = None
    in_file: bool = True
    parse: Callable[[str], object] | None = None

    def check(self, value: Any, name: str = "") -> Any:
        """Return a value in the setting's own type; a whole number is welcome as a ``number``, nothing is clipped.

        Args:
            value: what somebody wants it to be.
            name: what to call it in the error.

        Raises:
            ConfigError: of another kind, out of range, not finite, or none of the choices.
        """
        name = name or f"{self.section}.{self.name}"
        return check_value(value, _TYPES[self.kind], name, self.low, self.high, self.choices, self.parse)


def _setting(default: Value, help: str, **more: Any) -> Any:
    """A field that is a setting: its default, and all else that ``Setting`` says of it."""
    if more.get("choices"):
        kind: Kind = "choice"
    elif isinstance(default, bool):
        kind = "switch"
    elif isinstance(default, str):
        kind = "text"
    else:
        kind = "whole" if isinstance(default, int) else "number"
    limits = {"low": 0.0, "high": 1.0} if kind in ("number", "whole") else {}
    return field(default=default, metadata={"kind": kind, "help": help, **limits, **more})


@dataclass(frozen=True)
class HarmonizeConfig:
    """``[harmonize]``: the model and how strongly and steadily it acts."""

    model: str = _setting(
        "", "an ONNX model of our contract, or 'none' to composite without harmonizing (default: the model that comes "
        "with the package)", option="--model", metavar="FILE|none",
    )  # fmt: skip
    backend: str = _setting(
        "auto", "what runs the model: auto, onnxruntime, tensorrt; a backend asked for by name runs or is an error, "
        "never replaced by another", option="--backend", metavar="NAME",
    )  # fmt: skip
    threads: int = _setting(0, "threads for the model; 0 lets it choose", high=1024, option="--threads", metavar="N")
    harmonize: bool = _setting(
        True, "whether the subject's colours are changed at all", in_file=False,
        on_page=OnPage("Harmonize", "harmonize", key="h"),
    )  # fmt: skip
    strength: float = _setting(
        1.0, "how much of the correction is applied: 0 leaves colours alone, 1 harmonizes fully", option="--strength",
        on_page=OnPage("Strength", "harmonize", step=0.1),
    )  # fmt: skip
    smoothing: float = _setting(
        0.8, "how much of the earlier frames' correction is kept: 0 follows every frame, towards 1 follows slowly; a "
        "cut starts afresh; video only", high=0.999, option="--smoothing",
        on_page=OnPage("Smoothing over time", "harmonize", step=0.01),
    )  # fmt: skip


@dataclass(frozen=True)
class FinishConfig:
    """``[finish]``: what makes a subject sit in its background; each is off at 0."""

    light_wrap: float = _setting(
        0.0, "let the background's light spill over the subject's edge", option="--light-wrap",
        on_page=OnPage("Light wrap", "finish"),
    )  # fmt: skip
    grain: float = _setting(
        0.0, "give the subject the background's noise", option="--grain", on_page=OnPage("Grain", "finish")
    )


@dataclass(frozen=True)
class BackgroundConfig:
    """``[background]``: what is behind the subject, and how another shape fills the frame."""

    source: str = _setting(
        "", "where the command line names none: a picture, a video, a folder, '#rrggbb' or 'blur'",
        on_page=OnPage("Background", "background", name="background"),
    )  # fmt: skip
    fit: str = _setting(
        "cover", "background of another shape: cover fills the frame and crops, contain shows all with bars, stretch "
        "distorts", choices=("cover", "contain", "stretch"), option="--fit", metavar="MODE",
    )  # fmt: skip


@dataclass(frozen=True)
class MatteConfig:
    """``[matte]``: where the alpha comes from, and how it is refined."""

    kind: str = _setting(
        "", "where the command line names none: 'auto', 'person', 'person:fine', 'chroma', 'plate', 'none' or a file"
    )
    grow: float = _setting(
        0.0, "move its edge outwards, or inwards if negative", low=-64.0, high=64.0, option="--grow", metavar="PX",
        on_page=OnPage("Grow or shrink (pixels)", "matte", step=0.5),
    )  # fmt: skip
    feather: float = _setting(
        0.0, "blur its edge", high=64.0, option="--feather", metavar="PX",
        on_page=OnPage("Feather (pixels)", "matte", step=0.5),
    )  # fmt: skip
    snap: int = _setting(
        0, "pull soft edges onto the picture's, in this radius", high=64, option="--snap", metavar="PX",
        on_page=OnPage("Snap to edges (pixels)", "matte", step=1),
    )  # fmt: skip
    black: float = _setting(
        0.0, "alphas up to this one become 0", high=0.95, option="--black",
        on_page=OnPage("Levels: black below", "matte", step=0.01),
    )  # fmt: skip
    white: float = _setting(
        1.0, "alphas from this one on become 1", low=0.05, option="--white",
        on_page=OnPage("Levels: white above", "matte", step=0.01),
    )  # fmt: skip
    subject: str = _setting(
        "all", "who of several people: all, largest, centre, or X,Y as shares of the picture", option="--subject",
        metavar="WHO", on_page=OnPage("Who", "matte"), parse=SubjectChoice.parse,
    )  # fmt: skip
    estimate: bool = _setting(
        True, "whether the subject's own colour is estimated at soft edges", option="--no-estimate",
        option_help="keep the colours at soft edges as filmed, old background mixed in",
    )  # fmt: skip
    premultiplied: bool = _setting(
        False, "whether the source's colours are multiplied by its alpha already", option="--premultiplied",
        option_help="the source's colours are multiplied by its alpha (or --alpha) already, as renderers have it",
    )  # fmt: skip

    def __post_init__(self) -> None:
        refuse_crossing(self.black, self.white)


@dataclass(frozen=True)
class OutputConfig:
    """``[output]``: how a video is written."""

    crf: int = _setting(
        18, "quality: 0 is lossless, 18 looks like the source", high=51, option="--crf", metavar="0..51"
    )
    speed: str = _setting(
        "medium", "the encoder's speed: the slower, the smaller the file", option="--speed", metavar="NAME",
        choices=("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
    )  # fmt: skip
    codec: str = _setting(
        "h264", "the video's encoder: h264 is x264, under the GPL; doctor shows which are here", option="--codec",
        metavar="NAME", choices=("h264", "h264_nvenc", "h264_qsv", "libopenh264", "av1"),
    )  # fmt: skip
    audio: bool = _setting(
        True, "whether the source's sound goes along", option="--no-audio", option_help="leave a file's sound away"
    )


@dataclass(frozen=True)
class StreamConfig:
    """``[stream]``: what belongs to live use alone."""

    source: str = _setting(
        "", "where the command line names none: any source; '0' is the first camera",
        option="--source", metavar="SOURCE", option_help="any source, see above",
    )  # fmt: skip
    web: str = _setting("", "a page with picture, controls, figures", option="--web", metavar="[HOST:]PORT")
    hold: str = _setting(
        "picture", "what is shown while the source is lost: the last picture, or the background alone",
        choices=("picture", "background"), option="--hold",
    )  # fmt: skip
    nobody: str = _setting(
        "background", "what is shown while the matte finds nobody: the background alone, or the picture as filmed",
        choices=("background", "picture"), option="--nobody", on_page=OnPage("While nobody is there", "matte"),
    )  # fmt: skip
    compare: str = _setting(
        "off", "start with before and after compared", choices=("off", "split", "side"), option="--compare",
        on_page=OnPage("Compare", "view", key="c"),
    )  # fmt: skip
    split: float = _setting(
        0.5, "where the split stands", in_file=False, on_page=OnPage("Place of the split", "view", step=0.01)
    )
    matte_view: bool = _setting(
        False, "show the matte instead", in_file=False, on_page=OnPage("Show the matte", "view", key="m")
    )
    figures: bool = _setting(
        False, "start with figures over the window", option="--figures",
        on_page=OnPage("Show figures", "view", key="f"),
    )  # fmt: skip
    frozen: bool = _setting(False, "hold the picture", in_file=False, on_page=OnPage("Freeze", "view", key=" "))


@dataclass(frozen=True)
class Config:
    """All settings, one section a field; every section and key may be left out of the file."""

    harmonize: HarmonizeConfig = field(default_factory=HarmonizeConfig)
    finish: FinishConfig = field(default_factory=FinishConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    matte: MatteConfig = field(default_factory=MatteConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)


def refuse_crossing(black: float, white: float) -> None:
    """Raise ``ConfigError`` unless the matte's black level lies below its white level."""
    if not black < white:
        raise ConfigError(f"black is {black} and white is {white}", "black must stay below white")


def _all_settings() -> Iterator[Setting]:
    for section in dataclasses.fields(Config):
        for one in dataclasses.fields(getattr(Config(), section.name)):
            yield Setting(section=section.name, name=one.name, default=cast(Any, one.default), **one.metadata)


SETTINGS: Final[dict[str, Setting]] = {f"{one.section}.{one.name}": one for one in _all_settings()}
"""Every setting by ``section.name``, in the order of the sections."""


class Checked:
    """An attribute that has a setting's name and takes its values, checked whenever it is set.

        strength = Checked("harmonize.strength")

    Args:
        place: which setting, as in ``SETTINGS``.
    """

    def __init__(self, place: str) -> None:
        self._setting = SETTINGS[place]

    def __get__(self, instance: Any, owner: type) -> float:
        return instance.__dict__[self._setting.name]

    def __set__(self, instance: Any, value: float) -> None:
        instance.__dict__[self._setting.name] = self._setting.check(value, self._setting.name)
