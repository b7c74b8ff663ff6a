"""Opening a matte by what the user wrote."""

from __future__ import annotations

import difflib
import glob
import inspect
from pathlib import Path
from typing import Any

from edge_harmony.errors import ConfigError, MatteError
from edge_harmony.matte.base import Matte
from edge_harmony.matte.refine import Refinement
from edge_harmony.pixels.frame import Frame
from edge_harmony.plugins import MATTES, find, registered, require
from edge_harmony.settings import MatteConfig

KINDS = ("auto", "person", "chroma", "plate", "file", "onnx")
_WITH_FILE = ("plate", "file", "onnx")


def open_matte(
    spec: str | Path, refinement: Refinement | None = None, *, frame: Frame | None = None, **options: Any
) -> Matte:
    """Open a matte.

    Args:
        spec: ``person`` (people, with the network that comes with the package; ``person:fine`` shows it a larger view);
            ``auto`` (``chroma`` before a screen, else ``person``, chosen by the first frame and said in the log);
            ``chroma`` or ``chroma:COLOUR`` (a chroma key; its colour from the picture's border, or given);
            ``plate:FILE`` (a clean plate); ``onnx:FILE`` or just ``FILE.onnx`` (a matting model); ``file:FILE`` or just
            ``FILE`` (a mask picture, a mask video, or a picture with an alpha channel); ``NAME`` or ``NAME:ARGUMENT``,
            where another package has registered the name (see ``edge_harmony.plugins``).
        refinement: what to do to every alpha afterwards.
        frame: uint8 (H, W, 3) by which ``auto`` chooses now; without it, it does so when it gets its first.
        options: keyword options of the kind's class: ``PersonMatte``, ``ChromaKey``, ``CleanPlate``, ``OnnxMatte``,
            ``AlphaFile``. An option that is None is left at its default.

    Returns:
        A matte, to be used for one source.

    Raises:
        ConfigError: an unknown kind or option, or one out of range; the hint names the nearest.
        MatteError, SourceError, BackendUnavailableError: the matte cannot be opened.
    """
    kind, argument = _split(str(spec))
    options = {name: value for name, value in options.items() if value is not None}
    if kind == "auto":
        from edge_harmony.matte.auto import AutoMatte, announce, choose_matte

        if argument:
            raise ConfigError(f"the auto matte takes no argument, {argument!r} was given", "write it as auto")
        if frame is not None:
            return open_matte(announce(choose_matte(frame)).spec, refinement, **options)
        return AutoMatte(lambda chosen: open_matte(chosen, **options), refinement)
    matte_class = _class_of(kind)
    parameters = [p for p in inspect.signature(matte_class).parameters if p != "refinement"]
    first, others = (parameters or [""])[0], parameters[1:]
    if argument:
        if not first:
            raise ConfigError(f"the {kind} matte takes no argument, {argument!r} was given", f"write it as {kind}")
        if first in options:
            raise ConfigError(f"{first} is given twice, in {spec} and by itself", "leave one out")
        options[first] = argument
    for name in options:
        if name not in parameters:
            near = difflib.get_close_matches(name, others, n=1)
            known = f"did you mean {near[0]}?" if near else f"it has: {', '.join(parameters) or 'none'}"
            raise ConfigError(f"the {kind} matte has no option {name}", known)
    if first not in options and kind in _WITH_FILE:
        raise ConfigError(f"the {kind} matte needs a file", f"write it as {kind}:FILE")
    return require(matte_class(refinement=refinement, **options), Matte, kind)


def kinds() -> tuple[str, ...]:
    """Every kind of matte by name, those of other packages too."""
    return (*KINDS, *registered(MATTES))


def refinement_of(settings: MatteConfig) -> Refinement:
    """What the settings ask to be done to every alpha."""
    return Refinement(
        black=settings.black, white=settings.white, grow=settings.grow, snap=settings.snap, feather=settings.feather
    )


def _split(spec: str) -> tuple[str, str]:
    kind, _, argument = spec.partition(":")
    if kind in kinds() and not Path(spec).exists():
        return kind, argument
    if spec.lower().endswith(".onnx"):
        return "onnx", spec
    if Path(spec).exists() or Path(spec).suffix or glob.has_magic(spec):
        return "file", spec
    near = difflib.get_close_matches(kind, kinds(), n=1, cutoff=0.5)
    raise (
        ConfigError(f"the matte {spec!r} is unknown", f"did you mean {near[0]}?")
        if near
        else MatteError(f"the matte {spec!r} is neither a file nor a kind", f"the kinds are: {', '.join(kinds())}")
    )


def _class_of(kind: str) -> Any:
    if kind == "chroma":
        from edge_harmony.matte.chroma import ChromaKey

        return ChromaKey
    if kind == "person":
        from edge_harmony.matte.person import PersonMatte

        return PersonMatte
    if kind == "plate":
        from edge_harmony.matte.plate import CleanPlate

        return CleanPlate
    if kind == "onnx":
        from edge_harmony.matte.onnx import OnnxMatte

        return OnnxMatte
    if kind == "file":
        from edge_harmony.matte.file import AlphaFile

        return AlphaFile
    found = find(MATTES, kind)
    assert found is not None  # _split took it from the names that are registered
    return found[0]
