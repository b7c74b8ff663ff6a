"""The model of a Triton server's Python backend: frames in, harmonized frames out, steady within each sequence.

Triton calls it; ``config.pbtxt`` beside its folder says with what. Every sequence (a stream of frames, by its
correlation ID) has a ``Compositor`` of its own, which keeps the transform of earlier frames; the network is shared by
all. State lives here and not in Triton's implicit state, which some of its builds hand over as zeros without a word.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from edge_harmony import Compositor, load_harmonizer
from edge_harmony.errors import EdgeHarmonyError


class TritonPythonModel:
    """One instance of the model, as Triton makes, asks and ends it."""

    def __init__(self) -> None:
        self._streams: _Streams | None = None

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network.

        Args:
            args: Triton's: the configuration as JSON, the model's folder, the version.
        """
        self._streams = _Streams(args)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests in the order in which they came; one that is wrong costs no other, nor its sequence."""
        assert self._streams is not None  # Triton initializes first
        return [self._streams.answer(request) for request in requests]

    def finalize(self) -> None:
        """Let go of the network."""
        if self._streams is not None:
            self._streams.close()


class _Streams:
    """The sequences of an instance, and the network that they share; Triton keeps a sequence where it began."""

    def __init__(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        chosen = {name: value["string_value"] for name, value in config["parameters"].items()}
        self._idle_s = config["sequence_batching"]["max_sequence_idle_microseconds"] / 1e6
        self._strength, self._smoothing = float(chosen["strength"]), float(chosen["smoothing"])
        network = Path(args["model_repository"]) / args["model_version"] / chosen["model"]
        try:
            harmonizer = load_harmonizer(network, chosen["backend"], int(chosen["threads"]) or None)
        except EdgeHarmonyError as error:
            raise pb_utils.TritonModelException(f"{error.message} ({error.hint})") from error
        self._harmonizer = harmonizer
        self._begin: Callable[[], Compositor] = lambda: Compositor(
            harmonizer,
            light_wrap=float(chosen["light_wrap"]),
            grain=float(chosen["grain"]),
            fit=chosen["fit"],
        )
        self._sequences: OrderedDict[int, tuple[Compositor, float]] = OrderedDict()  # with the time of its last frame
        pb_utils.Logger.log_info(f"harmonized by {harmonizer.summary}")

    def close(self) -> None:
        self._sequences.clear()
        self._harmonizer.close()

    def answer(self, request: Any) -> Any:
        try:
            picture = self._harmonize(request)
        except EdgeHarmonyError as error:
            words = f"{error.message} ({error.hint})"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(words, pb_utils.TritonError.INVALID_ARG))
        return pb_utils.InferenceResponse([pb_utils.Tensor("harmonized", picture)])

    def _harmonize(self, request: Any) -> np.ndarray:
        sequence = int(_value(request, "CORRID", 0))
        compositor = self._compositor(sequence, bool(_value(request, "START", 0)))
        compositor.strength = float(_value(request, "strength", self._strength))
        compositor.smoothing = float(_value(request, "smoothing", self._smoothing))
        moment = _tensor(request, "pts_s")
        try:
            return compositor.process(
                *(_tensor(request, name) for name in ("foreground", "alpha", "background")),
                pts_s=None if moment is None else float(moment.reshape(-1)[0]),
            )
        finally:
            if _value(request, "END", 0):
                self._sequences.pop(sequence, None)

    def _compositor(self, sequence: int, starts: bool) -> Compositor:
        """The state of a sequence; sequences that Triton has given up, without telling, are forgotten."""
        now_s = time.monotonic()
        compositor = self._begin() if starts or sequence not in self._sequences else self._sequences[sequence][0]
        self._sequences[sequence] = compositor, now_s
        self._sequences.move_to_end(sequence)
        while now_s - next(iter(self._sequences.values()))[1] > 2 * self._idle_s:
            self._sequences.popitem(last=False)
        return compositor


def _tensor(request: Any, name: str) -> Any:
    """An input as an array; None where the request has none of that name."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def _value(request: Any, name: str, default: float) -> Any:
    """A single number among the inputs."""
    tensor = _tensor(request, name)
    return default if tensor is None else tensor.reshape(-1)[0]
