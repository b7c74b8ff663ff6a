"""Our graphs in ONNX Runtime on the CPU, for checks."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from edge_harmony import contract
from export.scenes import Scene


def session(model: onnx.ModelProto, fake_quantized: bool = False) -> ort.InferenceSession:
    """Open a graph. ``fake_quantized`` runs Q/DQ pairs literally, unoptimised, which is closest to TensorRT."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if fake_quantized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def frame_feeds(
    scene: Scene, previous: NDArray[np.float32] = contract.NO_TRANSFORM, strength: float = 1.0, smoothing: float = 0.0
) -> dict[str, np.ndarray]:
    """The frame graph's inputs for one scene."""
    return {
        contract.FOREGROUND: scene.foreground_bgr,
        contract.ALPHA: scene.alpha,
        contract.BACKGROUND: scene.background_bgr,
        contract.PREVIOUS_TRANSFORM: np.asarray(previous, np.float32),
        contract.STRENGTH: np.array([strength], np.float32),
        contract.SMOOTHING: np.array([smoothing], np.float32),
    }
