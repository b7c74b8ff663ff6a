"""How much each quantized layer costs, measured on what a viewer sees: the harmonized foreground."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from calibration.ranges import feeds
from calibration.shards import Sample
from edge_harmony.contract import TRANSFORM, TRANSFORM_CHANNELS, WORKING_SIZE
from edge_harmony.errors import ModelError, SourceError
from export.precision import ConvolutionSite, convolutions, to_int8

Advance = Callable[[], None]


@dataclass(frozen=True)
class Loss:
    """How far pictures are from FP32's: 255 squared over the mean squared error inside the foreground.

    The mean weighs every sample the same, as ``export.verify`` does. Results are compared before they are rounded to
    bytes, so that losses above 50 dB, as single layers have them, can be told apart.
    """

    mean_squared_error: float  # in code values, over all samples
    worst_squared_error: float  # of the worst sample

    @property
    def db(self) -> float:
        return decibels(self.mean_squared_error)

    @property
    def worst_db(self) -> float:
        return decibels(self.worst_squared_error)


@dataclass(frozen=True)
class LayerLoss:
    """What quantizing one layer alone costs."""

    site: ConvolutionSite
    loss: Loss


def decibels(mean_squared_error: float) -> float:
    """10 log10(255^2 / MSE); infinite for 0."""
    return math.inf if mean_squared_error == 0 else 10 * math.log10(255**2 / mean_squared_error)


class Reference:
    """The FP32 graph's results on some samples, which other graphs are held against.

    Args:
        model: the FP32 transform graph.
        samples: a few dozen; they are kept, with their results (3 MB each).
        threads: for the network.

    Raises:
        SourceError: there is no sample with a foreground.
    """

    def __init__(self, model: onnx.ModelProto, samples: Iterable[Sample], threads: int = 1) -> None:
        self._threads = threads
        self._samples = [sample for sample in samples if sample[1].any()]
        if not self._samples:
            raise SourceError("there is no sample to measure on", "collect more samples")
        run = self._runner(model)
        self._expected = [harmonized(sample, run(sample)) for sample in self._samples]

    def __len__(self) -> int:
        return len(self._samples)

    def loss(self, model: onnx.ModelProto) -> Loss:
        """Hold a graph of any precision against the reference; NaN anywhere makes the loss infinite."""
        run = self._runner(model)
        errors = []
        for sample, expected in zip(self._samples, self._expected, strict=True):
            transform = run(sample)
            if not np.isfinite(transform).all():
                return Loss(math.inf, math.inf)
            cover = sample[1][sample[1] > 0].astype(np.float32)[:, None] * np.float32(1 / 255.0)
            difference = cover * (harmonized(sample, transform) - expected)
            errors.append(float(np.mean(np.square(difference, dtype=np.float64))))
        return Loss(sum(errors) / len(errors), max(errors))

    def _runner(self, model: onnx.ModelProto) -> Callable[[Sample], NDArray[np.float32]]:
        """Q/DQ pairs are taken literally (no optimisation), which is closest to what TensorRT computes."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda sample: np.asarray(session.run([TRANSFORM], feeds(sample))[0])


def harmonized(sample: Sample, transform: NDArray[np.float32]) -> NDArray[np.float32]:
    """The foreground's pixels after a transform: float32 (n, 3) BGR 0..255, not rounded.

    Args:
        sample: view uint8 (256, 256, 3) BGR and mask; ``n`` is the number of pixels where it is above 0.
        transform: float32 ``contract.TRANSFORM_SHAPE``, applied as ``edge_harmony.contract`` says.
    """
    view, mask = sample
    inside = mask > 0
    grid = np.ascontiguousarray(transform[0].transpose(1, 2, 0))
    planes = [grid[..., i : i + 4] for i in range(0, TRANSFORM_CHANNELS, 4)]  # OpenCV resizes up to four channels
    size = (WORKING_SIZE, WORKING_SIZE)
    maps = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)[inside] for plane in planes]  # for R, G, B
    rgb1 = np.concatenate((view[inside][:, ::-1], np.full((int(inside.sum()), 1), 255)), axis=1).astype(np.float32)
    return np.stack([np.clip((m * rgb1).sum(axis=1), 0, 255) for m in reversed(maps)], axis=1)


def layer_losses(
    model: onnx.ModelProto,
    ranges: Mapping[str, float],
    reference: Reference,
    skip: Collection[str] = (),
    advance: Advance = lambda: None,
) -> list[LayerLoss]:
    """The loss of each layer when it alone is quantized, worst first.

    Args:
        model: the FP32 transform graph.
        ranges: from ``calibration.ranges``.
        reference: of the same graph.
        skip: layers not to be measured.
        advance: called after each layer.
    """
    sites = convolutions(model)
    names = [site.node for site in sites]
    found = []
    for site in sites:
        if site.node not in skip:
            alone = to_int8(model, ranges, [name for name in names if name != site.node])
            found.append(LayerLoss(site, reference.loss(alone)))
            advance()
    return sorted(found, key=lambda layer: layer.loss.mean_squared_error, reverse=True)


def keep_worst_in_float(
    model: onnx.ModelProto,
    ranges: Mapping[str, float],
    reference: Reference,
    layers: Sequence[LayerLoss],
    skip: Collection[str],
    bound_db: float,
    advance: Callable[[int, Loss], None] = lambda count, loss: None,
) -> tuple[onnx.ModelProto, list[str], Loss]:
    """Quantize all layers but the worst few: as many as it takes for the bound to hold.

    Args:
        model: the FP32 transform graph.
        ranges: from ``calibration.ranges``.
        reference: of the same graph.
        layers: from ``layer_losses``, worst first.
        skip: layers to leave in floating point in any case.
        bound_db: least loss, in dB, of the whole graph.
        advance: called after each try with the number of layers left in floating point and the loss.

    Returns:
        The quantized graph, the layers left in floating point for the bound (worst first), and the loss.

    Raises:
        ModelError: the bound does not hold as long as one layer is quantized.
    """
    order = [layer.site.node for layer in layers]
    loss = Loss(math.inf, math.inf)
    for count in range(len(order)):
        quantized = to_int8(model, ranges, [*skip, *order[:count]])
        loss = reference.loss(quantized)
        advance(count, loss)
        if loss.db >= bound_db:
            return quantized, order[:count], loss
    raise ModelError(
        f"INT8 misses {bound_db:g} dB with a single layer quantized ({loss.db:.1f} dB)" if order
        else "no layer is left to quantize",
        "lower --bound-db, or use FP16",
    )  # fmt: skip
