"""Opening what a stream is made with: the source with its masks, the matte, the compositor."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.capture import CaptureOptions, open_source
from edge_harmony.capture.looped import Looped
from edge_harmony.capture.pace import Paced
from edge_harmony.capture.source import Source
from edge_harmony.capture.straightened import Straightened
from edge_harmony.compose.compositor import Compositor
from edge_harmony.contract import MIN_FRAME_SIZE
from edge_harmony.errors import ConfigError
from edge_harmony.harmonize import Harmonizer, load_harmonizer
from edge_harmony.live.controls import Controls
from edge_harmony.live.masked_source import MaskedSource
from edge_harmony.live.subject import Subject
from edge_harmony.matte import Matte, Refinement, open_matte
from edge_harmony.matte.auto import AutoMatte
from edge_harmony.matte.foreground import estimate_foreground
from edge_harmony.pixels.row_threads import available_threads
from edge_harmony.run.timing import StageTimer


def open_live_source(
    source: Source | str | int | Path,
    masks: str | None,
    options: CaptureOptions | None = None,
    realtime: bool = False,
    loop: bool = False,
    premultiplied: bool = False,
) -> Source:
    """Open a source for a stream.

    Args:
        source: what ``open_source`` opens, or a source that is open.
        masks: a mask video or picture that belongs to it frame by frame, or None.
        options: what to ask of a camera, network stream or file.
        realtime: play a file at its own speed, as if it were a camera.
        loop: start a file again when it ends.
        premultiplied: its colours are multiplied by its alpha, or by the masks, already.

    Raises:
        SourceError, MatteError, BackendUnavailableError: it cannot be opened.
        ConfigError: masks or a loop for a camera; premultiplied without an alpha.
    """
    opened = source if isinstance(source, Source) else open_source(source, options)
    try:
        if masks is not None:
            if opened.live:
                raise ConfigError(
                    f"a mask file does not fit {opened.name}, which is live",
                    "use --matte person, chroma or plate; a mask belongs to the frames of a file",
                )
            opened = MaskedSource(opened, masks)
        if premultiplied:
            opened = Straightened(opened)
        if loop and not opened.live:
            opened = Looped(opened)
        elif loop and opened.reconnects:
            raise ConfigError(f"{opened.name} has no end, so it cannot be looped", "leave --loop out")
        if realtime and not opened.live:
            opened = Paced(opened)
    except BaseException:
        opened.close()
        raise
    return opened


def mask_file(matte: Matte | str | None) -> str | None:
    """The mask video or picture that a matte's name means, or None when it means something else."""
    from edge_harmony.matte.select import kinds

    if not isinstance(matte, str) or matte == "none":
        return None
    if Path(matte).is_file() and not matte.lower().endswith(".onnx"):
        return matte
    kind, colon, argument = matte.partition(":")
    if kind == "file" and colon:
        return argument
    if kind in kinds() or matte.lower().endswith(".onnx"):
        return None
    return matte if Path(matte).exists() or Path(matte).suffix or "*" in matte else None


def open_subject(
    matte: Matte | str | None,
    source: Source,
    controls: Controls,
    timer: StageTimer,
    options: Mapping[str, Any],
    estimate: bool,
    closing: contextlib.ExitStack,
) -> Subject:
    """Prepare what cuts the subject out.

    Args:
        matte: see ``Pipeline``.
        source: as ``open_live_source`` gave it, masks included.
        controls: give the refinement.
        timer: notes the stages.
        options: of the matte's class.
        estimate: whether the subject's own colour is estimated at soft edges.
        closing: closes the matte, if it was opened here.

    Raises:
        ConfigError, MatteError, SourceError, BackendUnavailableError: the matte cannot be opened.
    """
    settings = controls.snapshot()
    refinement = Refinement(**{name: settings[name] for name in ("black", "white", "grow", "snap", "feather")})
    if isinstance(matte, Matte):
        return Subject(matte, estimate, timer)
    own_alpha = mask_file(matte) is not None or (source.has_alpha and matte in ("auto", "none", None))
    if own_alpha or matte in ("none", None):
        note = f"matte: the alpha that comes with {source.name}" if matte == "auto" else ""
        return Subject(None, estimate and not source.straight, timer, refinement=refinement, note=note)
    assert matte is not None
    wanted = dict(options) if estimate else {**options, "estimate": False}
    if matte == "plate" and not wanted.get("plate"):
        wanted.pop("plate", None)
        return Subject(None, estimate, timer, by_plate=True, plate_options=wanted, refinement=refinement)
    if matte == "auto":
        opened = AutoMatte(lambda chosen: open_matte(chosen, **_few_threads(chosen, wanted)), refinement)
    else:
        opened = open_matte(matte, refinement, **_few_threads(matte, wanted))
    closing.callback(opened.close)
    return Subject(opened, estimate, timer)


def open_compositor(
    harmonizer: Harmonizer | str | None, controls: Controls, fit: str, closing: contextlib.ExitStack
) -> Compositor:
    """Prepare what composites; what it will run has run once, so that the first frame is not a second late.

    Args:
        harmonizer: see ``Pipeline``.
        controls: give strength, smoothing, light wrap and grain.
        fit: how a background of another shape fills the frame.
        closing: closes the harmonizer, if it was opened here.

    Raises:
        ModelError, BackendUnavailableError: the model cannot be loaded.
    """
    if isinstance(harmonizer, str):
        harmonizer = load_harmonizer(None if harmonizer == "auto" else harmonizer)
        closing.callback(harmonizer.close)
    size = 4 * MIN_FRAME_SIZE
    frame = np.full((size, size, 3), 128, np.uint8)
    alpha = np.zeros((size, size), np.uint8)
    alpha[:, size // 2 :] = 255
    alpha[:, size // 2] = 128
    Compositor(harmonizer).process(estimate_foreground(frame, alpha), alpha, frame)
    settings = controls.snapshot()
    return Compositor(
        harmonizer, settings["strength"], settings["smoothing"], settings["light_wrap"], settings["grain"], fit
    )


def _few_threads(matte: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A network's options with half of the processors: reading and compositing go on meanwhile."""
    if matte.partition(":")[0] != "person" and not matte.lower().endswith(".onnx"):
        return dict(options)
    return {"threads": max(1, available_threads() // 2), **options}
