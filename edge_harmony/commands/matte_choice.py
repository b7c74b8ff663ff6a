"""The matte that the command line's options and the settings ask for."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.config import parse_value
from edge_harmony.errors import ConfigError
from edge_harmony.run.timing import StageTimer
from edge_harmony.settings import Config
from edge_harmony.subject_choice import SubjectChoice

if TYPE_CHECKING:
    from edge_harmony.capture.source import Source
    from edge_harmony.live.subject import Subject
    from edge_harmony.matte.base import Matte


def open_subject(args: argparse.Namespace, config: Config, source: Source) -> tuple[Source, Subject]:
    """What cuts the subject out of a source of frames, by the options.

    Returns:
        The source to read, with the masks of ``--alpha`` beside its frames (it closes both), and the subject.

    Raises:
        ConfigError: no matte is named and the source has no alpha, or options do not go together.
        MatteError, SourceError, BackendUnavailableError: the matte cannot be had, or masks do not fit the source.
    """
    from edge_harmony.capture.straightened import Straightened
    from edge_harmony.live.masked_source import MaskedSource
    from edge_harmony.live.opening import mask_file
    from edge_harmony.live.subject import Subject
    from edge_harmony.matte.select import refinement_of

    refinement, choice = refinement_of(config.matte), SubjectChoice.parse(config.matte.subject)
    spec, options = matte_choice(args, args.matte or config.matte.kind or None, args.alpha)
    masks = mask_file(spec)
    if masks is not None:
        masked: Source = MaskedSource(source, masks)
        if config.matte.premultiplied:
            masked = Straightened(masked)
        estimate = bool(options.get("estimate", config.matte.estimate)) and not masked.straight
        return masked, Subject(None, estimate, StageTimer(), refinement=refinement, choice=choice)
    matte = open_chosen_matte(args, config, None, source.has_alpha)
    if config.matte.premultiplied:
        source = Straightened(source)
    return source, Subject(matte, False, StageTimer(), refinement=refinement, choice=choice)


def open_chosen_matte(
    args: argparse.Namespace, config: Config, alpha_file: Path | None, has_alpha: bool
) -> Matte | None:
    """The matte that the options ask for; None when the source's own alpha is to be used.

    That is so where no matte is named, and with ``auto``, as long as the source has an alpha that says something.

    Args:
        args: the options of ``add_matte_options``.
        config: says what they leave open.
        alpha_file: what ``--alpha`` names for this picture, or None.
        has_alpha: whether the source has an alpha of its own.

    Raises:
        ConfigError: no matte is named and the source has none, or options do not go together.
        MatteError, SourceError, BackendUnavailableError: the matte cannot be had.
    """
    from edge_harmony.matte.select import open_matte, refinement_of

    spec, options = matte_choice(args, args.matte or config.matte.kind or None, alpha_file)
    own = spec in (None, "none", "auto") and has_alpha
    if config.matte.premultiplied and not own and alpha_file is None:
        raise ConfigError(
            "--premultiplied is for a source with an alpha of its own, or with --alpha",
            "leave it out: a matte finds the subject in the colours as they are",
        )
    if own:
        return None
    if spec is None or spec == "none":
        raise ConfigError(
            "nothing says where the subject is",
            "give --alpha MASK, or --matte chroma, plate or FILE.onnx, or a source with an alpha channel",
        )
    if spec == "plate" and "plate" not in options:
        raise ConfigError("--matte plate needs a picture of the empty scene", "name it with --plate")
    if not config.matte.estimate:
        options["estimate"] = False
    return open_matte(spec, refinement_of(config.matte), **options)


def matte_choice(
    args: argparse.Namespace, kind: str | None, alpha_file: Path | None
) -> tuple[str | None, dict[str, Any]]:
    """What to open and with which options.

    Args:
        args: ``key``, ``plate`` and ``matte_option`` of the command line.
        kind: what ``--matte`` names, or None.
        alpha_file: what ``--alpha`` names, or None; it goes before ``kind``.

    Raises:
        ConfigError: options that belong to another kind, or a kind that is unknown.
    """
    from edge_harmony.matte.select import kinds

    known = kinds()
    spec = f"file:{alpha_file}" if alpha_file is not None else kind
    kind = (spec or "").partition(":")[0]
    for option, belongs_to in (("key", "chroma"), ("plate", "plate")):
        if getattr(args, option) is not None and kind != belongs_to:
            raise ConfigError(f"--{option} belongs to --matte {belongs_to}", f"add --matte {belongs_to}")
    if spec is not None and kind not in (*known, "none") and not Path(spec).suffix and not Path(spec).exists():
        near = difflib.get_close_matches(kind, known, 1)
        hint = f"did you mean {near[0]}?" if near else "use chroma, plate, or FILE.onnx; a mask goes with --alpha"
        raise ConfigError(f"--matte {spec} is unknown", hint)
    options: dict[str, Any] = {"colour": args.key, "plate": args.plate}
    for text in args.matte_option or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--matte-option {text!r} has no value", "write it as NAME=VALUE")
        options[name.strip().replace("-", "_")] = parse_value(value.strip())
    if spec is None and args.matte_option:
        raise ConfigError("--matte-option belongs to --matte or --alpha", "add one of them")
    return spec, {name: value for name, value in options.items() if value is not None}
