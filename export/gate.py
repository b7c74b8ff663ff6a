"""Is it accurate enough to be saved? The graph before it is built, then the engine itself where one can run.

What was compared is said on the terminal and kept in the engine's sidecar, under ``parity``::

    {"compared": "engine", "gpu": "Orin", "frames": 24, "on": "frames of MY_COMPOSITES", "db": 78.1, "worst_db": 74.9,
     "bound_db": 50.0, "passed": true, "graph": {the same of the graph, with "fp16_headroom"}}

or, where the engine could not be run, the graph's alone, ``"compared": "graph"``, with the reason as
``engine_not_run``. A graph that is the FP32 graph itself was held against nothing: it has ``"compared": "nothing"``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from edge_harmony.errors import BackendUnavailableError, EdgeHarmonyError, ModelError
from edge_harmony.gpu.device import open_device
from edge_harmony.harmonize.load import find_model_of
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer
from export import model_file, verify
from export.scenes import Scene
from export.verify import Verdict

_REMEDY = "use a higher precision, calibrate on more footage, or save it all the same with --force"

Parity = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Gate:
    """What an engine has to be held against.

    Args:
        reference: the FP32 graph.
        precision: of the engine: "fp32", "fp16" or "int8".
        scenes: frames to compare on.
        words: what they are.
        force: let pass what misses the bound.
        say: prints a line for the user.
    """

    reference: onnx.ModelProto
    precision: str
    scenes: list[Scene]
    words: str
    force: bool
    say: Say

    def check_graph(self, model: onnx.ModelProto) -> Parity:
        """Measure the converted graph against FP32, in ONNX Runtime on the CPU.

        Raises:
            ModelError: it misses the bound, or comes near FP16's range, and is not to be let pass.
        """
        if self.precision == "fp32":
            self.say("graph: the FP32 graph itself")
            return {"compared": "nothing", "passed": True}
        reference = verify.graph_runner(self.reference)
        verdict = verify.compare(reference, verify.graph_runner(model), self.scenes)
        headroom, tensor = verify.fp16_headroom(self.reference, self.scenes)
        self.say(f"graph: {verdict}, on {self.words}")
        passed = self._passes("graph", verdict)
        if headroom < verify.MINIMUM_HEADROOM:
            passed = False
            if not self.force:
                raise ModelError(
                    f"{tensor} comes within a factor of {headroom:.2g} of FP16's range; other pictures may overflow it",
                    "use --precision fp32, or save it all the same with --force",
                )
        return {**self._parity("graph", verdict), "fp16_headroom": round(headroom, 1), "passed": passed}

    def check_engine(self, path: Path, graph: Parity) -> Parity:
        """Run an engine that lies there with its sidecar, and measure it against FP32, where it can run here.

        Args:
            path: the engine.
            graph: what ``check_graph`` gave; comes back where the engine cannot run here, with the reason.

        Raises:
            ModelError: it misses the bound, or does not run on the GPU that it was built for, and is not to be let
                pass. BackendUnavailableError: the same, for want of memory.
        """
        sidecar = engine_sidecar.read(path)
        reason = _cannot_run(sidecar)
        if reason:
            self.say(f"engine: not run, {reason}" + "; the graph was compared" * (graph["compared"] == "graph"))
            return {**graph, "engine_not_run": reason}
        try:
            with TensorRtHarmonizer(path) as harmonizer:
                verdict = verify.compare_engine(harmonizer, self.reference, self.scenes)
        except EdgeHarmonyError as error:
            if not self.force:
                raise
            self.say(f"engine: it failed: {error.message}")
            return {**graph, "engine_not_run": error.message, "passed": False}
        self.say(f"engine: {verdict}, on {self.words}, run on {sidecar.gpu or 'this GPU'}")
        passed = self._passes("engine", verdict)
        return {**self._parity("engine", verdict), "gpu": sidecar.gpu, "passed": passed, "graph": graph}

    def _passes(self, what: str, verdict: Verdict) -> bool:
        minimum = verify.MINIMUM_DB[self.precision]
        if verdict.passes(minimum):
            return True
        if not self.force:
            raise ModelError(
                f"the {self.precision} {what} misses the bound of {minimum:g} dB: {verdict}; "
                f"worst on {verdict.worst_frame}",
                _REMEDY,
            )
        return False

    def _parity(self, what: str, verdict: Verdict) -> Parity:
        return {
            "compared": what,
            "frames": verdict.frames,
            "on": self.words,
            "db": round(min(verdict.db, 999.0), 2),
            "worst_db": round(min(verdict.worst_db, 999.0), 2),
            "bound_db": verify.MINIMUM_DB[self.precision],
        }


def find_reference(
    source: onnx.ModelProto, info: model_file.ModelInfo, named: Path | None, beside: Path, graph: str
) -> onnx.ModelProto:
    """The FP32 graph that an engine is held against: the source itself, or another file of the same weights.

    Args:
        source, info: what the engine is made of.
        named: the file that the user named; where there is none, ``beside`` and the package's models are searched.
        beside: the folder of the source.
        graph: the engine's kind, "transform" or "frame".

    Raises:
        ModelError: there is no such file; or it is not FP32, of other weights, or a frame graph where a transform
            graph is needed.
    """
    if info.precision == "fp32":
        return source
    path = named or find_model_of(info.weights_sha256, beside)
    if path is None:
        raise ModelError(
            f"there is no FP32 graph of the same weights beside the {info.precision} graph or in the package",
            "name it with --reference",
        )
    reference, reference_info = model_file.load(path)
    verify.check_related(reference_info, info.weights_sha256)
    if graph == model_file.GRAPH_TRANSFORM and reference_info.graph != graph:
        raise ModelError("the reference is a frame graph", "give the transform graph as --reference")
    return reference


def _cannot_run(sidecar: engine_sidecar.EngineSidecar) -> str:
    """Why an engine just built cannot run on this machine; empty when it can."""
    try:
        device = open_device()
    except BackendUnavailableError as error:
        return error.message.removeprefix("TensorRT needs an NVIDIA GPU: ")
    if device.gpu.sm not in sidecar.sm:
        return f"it is for SM {', '.join(sidecar.sm)} and this GPU is SM {device.gpu.sm}"
    return ""
