"""The matte that comes with the package: a person, or whatever else is plainly the subject, without any preparation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import cv2

from edge_harmony.errors import ConfigError
from edge_harmony.matte.onnx import OnnxMatte
from edge_harmony.matte.refine import Refinement
from edge_harmony.matte.scale import shrink_to
from edge_harmony.pixels.frame import Alpha, Frame

MODEL = Path(__file__).resolve().parent.parent / "models" / "person.onnx"
_STRIDE = 32
VIEWS: Final = {"usual": 288, "fine": 512}  # longest side, in pixels, of what the network sees


class PersonMatte(OnnxMatte):
    """Finds people with our own small network (``models/person.md`` says how it was made and where it fails).

    The network sees the frame at about ``size`` pixels together with the alpha it found before; its alpha is corrected
    by the colours that subject and background were seen to have, steadied over time along the picture's movement, and
    brought to full size along the picture's edges.

    Args:
        variant: ``usual``, or ``fine``: the same network looks twice, at the usual view and then, knowing what it
            found, at one of 512 pixels, and the mean of both counts. Edges and people far away are found better; for
            files and fast machines: it costs two to four times as much.
        size: longest side, in pixels, of what the network sees, instead of the variant's; sides are multiples of 32
            near the frame's shape. Beyond the usual 288 it looks twice.
        steady: 0..1, how much of the earlier alpha is kept, along the picture's movement, where nothing new is seen; 0
            switches it off.
        follow: whether the picture's movement is followed, and another shot noticed; about 2 ms.
        appearance: how much colours count, from 0 (not at all) to 2; see ``edge_harmony.matte.appearance``.
        snap: whether alpha is brought to the frame's size along the picture's edges.
        threads: for ONNX Runtime; None lets it choose.
        model: another file of the same signature, such as one that you trained (see docs/matte.md).
        refinement, estimate: see ``Matte``.

    Raises:
        BackendUnavailableError: ONNX Runtime is missing.
        MatteError: the model is missing or damaged.
        ConfigError: an option out of range.
    """

    name = "person"

    def __init__(
        self,
        variant: str = "usual",
        size: int | None = None,
        steady: float = 0.7,
        follow: bool = True,
        appearance: float = 1.0,
        snap: bool = True,
        threads: int | None = None,
        model: str | Path = MODEL,
        refinement: Refinement | None = None,
        estimate: bool = True,
    ) -> None:
        if variant not in VIEWS:
            raise ConfigError(f"the person matte has no variant {variant!r}", "write it as person, or person:fine")
        size = VIEWS[variant] if size is None else size
        if not 128 <= size <= 768:
            raise ConfigError(f"the person matte's size {size} is out of range", "use 128 to 768 pixels; 288 is usual")
        super().__init__(
            model, size, snap=snap, threads=threads, steady=steady, follow=follow, appearance=appearance, black=0.06,
            white=0.94, refinement=refinement, estimate=estimate,
        )  # fmt: skip

    def _look(self, view_bgr: Frame, previous: Alpha | None) -> Alpha:
        """As ``OnnxMatte``; of a larger view than the network learned at, twice.

        People who fill such a view are larger than any that it learned from, and are lost; what the usual view showed
        holds them together.
        """
        if self.size <= VIEWS["usual"] or previous is None or self._single is None or any(self._single.size_hw):
            return super()._look(view_bgr, previous)
        rows, columns = self._view_size(view_bgr.shape[0], view_bgr.shape[1], VIEWS["usual"])
        before = cv2.resize(previous, (columns, rows), interpolation=cv2.INTER_AREA)
        whole = super()._look(shrink_to(view_bgr, (columns, rows)), before)
        whole = cv2.resize(whole, view_bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return cv2.addWeighted(whole, 0.5, super()._look(view_bgr, whole), 0.5, 0.0)

    def _view_size(self, height: int, width: int, longest: int | None = None) -> tuple[int, int]:
        """The multiples of 32 whose shape is nearest to the frame's."""
        size = self.size if longest is None else longest
        long, short = size, size * min(height, width) / max(height, width)
        below = max(_STRIDE, math.floor(short / _STRIDE) * _STRIDE)
        nearest = below if short * short < below * (below + _STRIDE) else below + _STRIDE
        long = round(long / _STRIDE) * _STRIDE
        return (nearest, long) if height <= width else (long, nearest)
