"""Does an exported graph compute what the generator computes? Export fails when it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from edge_harmony import contract
from edge_harmony.errors import BackendUnavailableError, ModelError
from export import reference
from export.runtime import frame_feeds, session
from export.scenes import Scene, synthetic_scenes
from training.generator import FusionGenerator

MAX_TRANSFORM_ERROR = 1e-4  # absolute, the transform graph on the same view
MAX_FRAME_TRANSFORM_ERROR = 1e-3  # a runtime's own resize moves the view by 1e-5, which the network amplifies
MAX_CODE_ERROR = 1  # code values, on at least this part of the pixels:
MIN_PIXELS_WITHIN = 0.999

_HINT = "do not use this export; report the torch, onnx and onnxruntime versions with the message"


@dataclass(frozen=True)
class Parity:
    """The worst that was seen."""

    transform_error: float = 0.0  # largest absolute difference
    pixels_within: float = 1.0  # smallest part of a frame's pixels at most MAX_CODE_ERROR off


def check_transform(model: onnx.ModelProto, generator: FusionGenerator, scenes: Iterable[Scene] = ()) -> Parity:
    """Hold a transform graph against the generator.

    Raises:
        ModelError: the largest difference is above ``MAX_TRANSFORM_ERROR``, or a result is not finite.
    """
    run = session(model)
    worst = 0.0
    for scene in scenes or synthetic_scenes():
        view = reference.working_view(scene.foreground_bgr, scene.alpha, scene.background_bgr)
        with torch.no_grad():
            expected = generator(*view).numpy()
        feeds = dict(zip(contract.TRANSFORM_GRAPH_INPUTS, (x.numpy() for x in view), strict=True))
        got = np.asarray(run.run(None, feeds)[0])
        error = float(np.abs(got - expected).max())
        if not error <= MAX_TRANSFORM_ERROR:  # NaN fails too
            raise ModelError(
                f"the exported transform is {error:.2g} off PyTorch's on {scene.name}, "
                f"at most {MAX_TRANSFORM_ERROR:.0e} is allowed",
                _HINT,
            )
        worst = max(worst, error)
    return Parity(transform_error=worst)


def check_frame(model: onnx.ModelProto, generator: FusionGenerator, scenes: Iterable[Scene] = ()) -> Parity:
    """Hold a frame graph against PyTorch, and against the runtime's own full-resolution step.

    Strength, smoothing and the previous transform vary from scene to scene.

    Raises:
        ModelError: more than 0.1 % of a frame's pixels are over one code value off, a pixel outside the alpha is
            touched, or the transform is off.
    """
    run = session(model)
    rng = np.random.default_rng(7)
    settings = ((1.0, 0.0), (0.6, 0.0), (1.0, 0.8), (0.0, 0.0))
    worst = Parity()
    for i, scene in enumerate(scenes or synthetic_scenes()):
        strength, smoothing = settings[i % len(settings)]
        jitter = rng.normal(0, 0.05, contract.TRANSFORM_SHAPE).astype(np.float32)
        feeds = frame_feeds(scene, contract.IDENTITY + jitter, strength, smoothing)
        got, transform = map(np.asarray, run.run([contract.HARMONIZED, contract.TRANSFORM], feeds))
        expected, expected_transform = reference.harmonize_frame(
            generator, scene.foreground_bgr, scene.alpha, scene.background_bgr,
            feeds[contract.PREVIOUS_TRANSFORM], strength, smoothing,
        )  # fmt: skip
        error = float(np.abs(transform - expected_transform).max())
        if not error <= MAX_FRAME_TRANSFORM_ERROR:
            raise ModelError(f"the frame graph's transform is {error:.2g} off PyTorch's on {scene.name}", _HINT)
        outside = scene.alpha == 0
        if not np.array_equal(got[outside], scene.background_bgr[outside]):
            raise ModelError(f"the frame graph touches the background outside the alpha on {scene.name}", _HINT)
        references = {"PyTorch": expected}
        runtime = _runtime_result(scene, transform, strength)
        if runtime is not None:
            references["the runtime's own application"] = runtime
        for name, picture in references.items():
            off = np.abs(got.astype(np.int16) - picture).max(axis=2) > MAX_CODE_ERROR
            within = 1.0 - float(off.mean())
            if within < MIN_PIXELS_WITHIN:
                raise ModelError(
                    f"on {scene.name} only {100 * within:.2f} % of the frame graph's pixels are within "
                    f"{MAX_CODE_ERROR} code value of {name}",
                    _HINT,
                )
            worst = Parity(max(worst.transform_error, error), min(worst.pixels_within, within))
    return worst


def _runtime_result(scene: Scene, transform: np.ndarray, strength: float) -> np.ndarray | None:
    """What the runtime's full-resolution step makes of the same transform; None where it was not built."""
    from edge_harmony.harmonize.transfer import apply_transform

    try:
        return apply_transform(scene.foreground_bgr, scene.alpha, scene.background_bgr, transform, strength)
    except BackendUnavailableError:
        return None
