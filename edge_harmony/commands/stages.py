"""The stages that the command line's options ask for: mattes and backgrounds."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from edge_harmony.backgrounds.fit import fit, solid
from edge_harmony.backgrounds.looped import LoopedBackground
from edge_harmony.capture import open_source
from edge_harmony.capture.file import open_file
from edge_harmony.capture.picture import is_picture, read_colour
from edge_harmony.config import Config, parse_value
from edge_harmony.errors import ConfigError, SourceError
from edge_harmony.pixels.colour import parse_colour

if TYPE_CHECKING:
    from edge_harmony.matte.base import Matte
    from edge_harmony.pixels.frame import Alpha, Frame


_SETTLE_S: Final = 1.0  # for a camera's exposure


class Background:
    """What is behind the subject at any time: a colour, a picture, or a video looped by its own clock."""

    def __init__(self, spec: str, size_hw: tuple[int, int], mode: str) -> None:
        """Open it.

        Args:
            spec: ``#rrggbb``, a picture, a video, a folder or a pattern of pictures.
            size_hw: size of the frames to come.
            mode: ``cover``, ``contain`` or ``stretch``.

        Raises:
            SourceError: it cannot be read. ConfigError: not a colour.
        """
        self._size_hw, self._mode = size_hw, mode
        self._video: LoopedBackground | None = None
        self._still: Frame | None = None
        if spec.startswith("#") or is_picture(Path(spec)):
            self._still = fit(read_background(spec, size_hw), size_hw, mode)
            self._still.setflags(write=False)
        else:
            self._video = LoopedBackground(open_file(spec))

    def at(self, time_s: Fraction) -> Frame:
        """The background at a time since the start: uint8 (h, w, 3), fitted if it is a still one."""
        if self._video is None:
            assert self._still is not None
            return self._still
        return self._video.at(time_s)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._video is not None:
            self._video.close()


def names_live_source(spec: str) -> bool:
    """Whether a picture's name means a camera, a stream, a pipeline or the test pattern instead."""
    if Path(spec).exists():
        return False
    return spec.isdigit() or spec.startswith(("/dev/", "test:")) or "://" in spec or " ! " in spec


def grab_frame(spec: str) -> tuple[Frame, Alpha | None]:
    """One frame of a source, and its alpha where it has one; a camera is first given a second to settle.

    Raises:
        SourceError: it cannot be opened, or gives no frame.
    """
    with open_source(spec) as source, contextlib.closing(cast(Any, iter(source))) as frames:
        first_s = time.monotonic()
        for frame in frames:
            if not source.reconnects or time.monotonic() - first_s > _SETTLE_S:
                return frame.image_bgr, frame.alpha
    raise SourceError(f"{spec} gives no frame", "is it in use by another program?")


def read_background(spec: str | Path, size_hw: tuple[int, int]) -> Frame:
    """A still background: a picture of its own size, or a colour (``#rrggbb``) of the frame's."""
    if str(spec).startswith("#"):
        return solid(parse_colour(str(spec)), size_hw)
    return read_colour(spec)


def open_subject_matte(
    args: argparse.Namespace, config: Config, alpha_file: Path | None, has_alpha: bool
) -> Matte | None:
    """The matte that the options ask for; None when the source's own alpha is to be used as it is.

    Raises:
        ConfigError: no matte is named and the source has none, or options do not go together.
        MatteError, SourceError, BackendUnavailableError: the matte cannot be had.
    """
    from edge_harmony.matte import Refinement, open_matte

    wanted = config.matte
    spec, options = matte_spec(args, args.matte, alpha_file)
    if spec is None:
        if not has_alpha:
            raise ConfigError(
                "nothing says where the subject is",
                "give --alpha MASK, or --matte chroma, plate or FILE.onnx, or a source with an alpha channel",
            )
        return None
    if spec == "plate" and "plate" not in options:
        raise ConfigError("--matte plate needs a picture of the empty scene", "name it with --plate")
    if not wanted.estimate:
        options["estimate"] = False
    refinement = Refinement(
        black=wanted.black, white=wanted.white, grow=wanted.grow, snap=wanted.snap, feather=wanted.feather
    )
    return open_matte(spec, refinement, **options)


def matte_spec(
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
    from edge_harmony.matte.select import KINDS

    spec = f"file:{alpha_file}" if alpha_file is not None else kind
    kind = (spec or "").partition(":")[0]
    for option, belongs_to in (("key", "chroma"), ("plate", "plate")):
        if getattr(args, option) is not None and kind != belongs_to:
            raise ConfigError(f"--{option} belongs to --matte {belongs_to}", f"add --matte {belongs_to}")
    if spec is not None and kind not in (*KINDS, "none") and not Path(spec).suffix and not Path(spec).exists():
        near = difflib.get_close_matches(kind, KINDS, 1)
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
