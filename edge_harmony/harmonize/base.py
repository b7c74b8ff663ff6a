"""What every harmonizing backend is to its caller: checks and timing here, the network in ``_transform_impl``."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.contract import READ_SIZE, TRANSFORM_SHAPE, pack_view, read_down
from edge_harmony.errors import ConfigError, MatteError, ModelError, SourceError
from edge_harmony.harmonize.transfer import Transform, apply_to_checked, packed
from edge_harmony.pixels import passes
from edge_harmony.pixels.frame import Alpha, Frame, check_alpha, check_frame, stretch_binary
from edge_harmony.pixels.row_threads import available_threads
from edge_harmony.run.timing import StageTimer

_log = logging.getLogger(__name__)


class Harmonizer(ABC):
    """A loaded model on a backend. Called with a composite and its mask, it returns the harmonized composite.

    It keeps no state between frames except its timings, so one object may serve several videos; it may be called
    from several threads at once unless its backend says otherwise.

    Attributes:
        name: the model's name, such as ``base``.
        backend: what runs it, such as ``onnxruntime``.
        model_path: the file it was loaded from.
        metadata: the model's own notes: contract version, weights' hash, the meaning of each tensor.
        threads: how many threads a frame is worked on with.
        timings: milliseconds by stage: ``read down``, ``network``, ``apply``, and ``total`` around them.
        refused: with ``backend="auto"``, why each backend tried before this one was not taken, by name.
    """

    backend = ""

    def __init__(self, name: str, model_path: Path, metadata: Mapping[str, str], threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}", "use 1 or more, or leave it out to use all processors")
        self.name = name
        self.model_path = model_path
        self.metadata = dict(metadata)
        self.threads = threads or available_threads()
        self.timings = StageTimer()
        self.refused: dict[str, str] = {}
        passes.load()  # now rather than on the first frame

    def __call__(self, composite_bgr: Frame, mask: Any, strength: float = 1.0, out: Frame | None = None) -> Frame:
        """Harmonize the subject of a composite.

        Args:
            composite_bgr: uint8 (H, W, 3) BGR, sides of at least 64; any memory layout.
            mask: (H, W), how much of each pixel is the subject: uint8 0..255, bool, or float 0..1. One of 0 and 1
                in uint8 is taken as a bool, with a logged warning.
            strength: 0 (untouched) to 1 (fully harmonized).
            out: uint8 (H, W, 3) to write into, so that no frame is allocated; may be ``composite_bgr`` itself.

        Returns:
            uint8 (H, W, 3): ``out``, or a new array that belongs to the caller. Equal to ``composite_bgr`` to the
            bit where the mask is 0. A mask that is empty (or holds no more than specks that vanish when it is
            read down) gives an untouched copy and a logged warning.

        Raises:
            SourceError: the composite is no 8-bit BGR frame. MatteError: the mask is not this composite's, or
            holds NaN or values out of range. ConfigError: strength out of range. ModelError: the network failed.
        """
        with self.timings.stage("total"):
            composite = packed(check_frame(composite_bgr, "composite"), self.threads)
            alpha = packed(stretch_binary(check_alpha(mask, composite.shape[:2], "mask")), self.threads)
            with self.timings.stage("read down"):
                view, alpha_view = read_down(composite), read_down(alpha)
            if not alpha_view.any():
                return self._untouched(composite, out)
            transform = self.transform(view, alpha_view)
            with self.timings.stage("apply"):
                return apply_to_checked(composite, alpha, composite, transform, strength, out=out, threads=self.threads)

    def transform(self, composite512_bgr: Frame, alpha512: Alpha) -> Transform:
        """Predict the colour transform from a composite that has been read down.

        Args:
            composite512_bgr: uint8 (512, 512, 3) BGR, see ``edge_harmony.contract.read_down``.
            alpha512: uint8 (512, 512).

        Returns:
            float32 ``contract.TRANSFORM_SHAPE``, finite; a new array that belongs to the caller.

        Raises:
            SourceError, MatteError: another shape or dtype. ModelError: the network failed or gave nonsense.
        """
        if composite512_bgr.shape != (READ_SIZE, READ_SIZE, 3) or composite512_bgr.dtype != np.uint8:
            raise SourceError(
                f"the view is {composite512_bgr.dtype} {composite512_bgr.shape}, "
                f"not uint8 ({READ_SIZE}, {READ_SIZE}, 3)",
                "make it with edge_harmony.contract.read_down(frame)",
            )
        if alpha512.shape != (READ_SIZE, READ_SIZE) or alpha512.dtype != np.uint8:
            raise MatteError(
                f"the view's alpha is {alpha512.dtype} {alpha512.shape}, not uint8 ({READ_SIZE}, {READ_SIZE})",
                "make it with edge_harmony.contract.read_down(alpha)",
            )
        with self.timings.stage("network"):
            transform = self._predict(composite512_bgr, alpha512)
        if transform.shape != TRANSFORM_SHAPE or not np.isfinite(transform).all():
            raise ModelError(
                f"{self.model_path.name} gave a transform of shape {transform.shape}"
                if transform.shape != TRANSFORM_SHAPE
                else f"{self.model_path.name} gave NaN or infinity",
                "the model is damaged or was exported with too little precision: export it again with "
                "python -m export.to_onnx",
            )
        return transform

    def _predict(self, composite512_bgr: Frame, alpha512: Alpha) -> Transform:
        """What ``transform`` checks and times; for backends that take the view in bytes."""
        return self._transform_impl(*pack_view(composite512_bgr, alpha512))

    @abstractmethod
    def _transform_impl(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Transform:
        """Run the network on the contract's packed inputs; return a float32 array that the caller may keep."""

    def _untouched(self, composite: Frame, out: Frame | None) -> Frame:
        """The composite as it is, in ``out`` or a new array, with a warning."""
        _log.warning("the mask is empty: the picture is returned untouched")
        if out is None:
            return composite.copy()
        if out.shape != composite.shape or out.dtype != np.uint8:
            raise SourceError(f"out is {out.dtype} {out.shape}", f"it must be uint8 {composite.shape}")
        if out is not composite:
            np.copyto(out, composite)
        return out

    def close(self) -> None:  # noqa: B027
        """Let go of what the backend holds (a GPU's memory, a session). Safe to call twice; do not call after."""

    def __enter__(self) -> Harmonizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def summary(self) -> str:
        """What runs, on what, and why no backend that was tried before it: one line for people."""
        words = f"{self.name} on {self.backend}, {self.model_path.name}, {self.threads} threads"
        return words + "".join(f"; not {name}: {reason}" for name, reason in self.refused.items())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.backend}, {self.model_path}>"
