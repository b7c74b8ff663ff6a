"""NVIDIA's Polygraphy on our graphs and engines: pictures to feed, and our own measure to compare by.

Polygraphy takes this file as its scripts (``pip install -e '.[polygraphy]'`` brings it)::

    SCRIPT=export/second_opinion.py
    polygraphy run base.onnx --onnxrt --trt --strongly-typed \
        --data-loader-script $SCRIPT --compare-func-script $SCRIPT

``load_data`` feeds the transform graph, ``load_data_frame`` the frame graph; ``compare_outputs`` wants 50 dB inside
the foreground, ``compare_outputs_int8`` 40. The pictures are the photographs of the package, or those of a folder of
composites that is named in the environment as EDGE_HARMONY_FRAMES.

Run as a program it puts our own runtime under Polygraphy's comparator: an engine, by the loop that the commands run it
by, against its graph in ONNX Runtime::

    python -m export.second_opinion base_fp16.engine --onnx edge_harmony/models/base.onnx
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_harmony import contract
from edge_harmony.errors import BackendUnavailableError, ModelError
from edge_harmony.harmonize.tensorrt.harmonizer import TensorRtHarmonizer
from edge_harmony.harmonize.transfer import apply_transform
from edge_harmony.run.arguments import Parser, add_verbose
from edge_harmony.run.exit_code import exit_code
from export import model_file, verify
from export.runtime import frame_feeds
from export.scenes import Scene

FRAMES = "EDGE_HARMONY_FRAMES"
_LIMIT = 24  # of that folder

if TYPE_CHECKING:
    from polygraphy.backend.base import BaseRunner
else:
    try:
        from polygraphy.backend.base import BaseRunner
    except ImportError:  # the command line explains
        BaseRunner = object


@functools.cache
def _scenes() -> list[Scene]:
    folder = os.environ.get(FRAMES)
    return verify.frames_for_gate(Path(folder) if folder else None, _LIMIT)[0]


def load_data() -> Iterator[dict[str, np.ndarray]]:
    """Inputs of the transform graph: the view of each picture, as the runtime makes it."""
    for scene in _scenes():
        yield dict(zip(contract.TRANSFORM_GRAPH_INPUTS, contract.pack_view(*verify.view_of(scene)), strict=True))


def load_data_frame() -> Iterator[dict[str, np.ndarray]]:
    """Inputs of the frame graph: whole pictures, of several sizes."""
    for scene in _scenes():
        yield frame_feeds(scene)


def compare_outputs(first: Mapping[str, Any], second: Mapping[str, Any]) -> OrderedDict[str, bool]:
    """Whether two runs agree to 50 dB inside the foreground, for Polygraphy's comparator.

    Args:
        first: outputs by name: of the transform graph, or of the frame graph.
        second: those of the run to be judged.
    """
    return _compare(first, second, verify.MINIMUM_DB["fp16"])


def compare_outputs_int8(first: Mapping[str, Any], second: Mapping[str, Any]) -> OrderedDict[str, bool]:
    """The same for INT8, to 40 dB."""
    return _compare(first, second, verify.MINIMUM_DB["int8"])


def _compare(first: Mapping[str, Any], second: Mapping[str, Any], minimum_db: float) -> OrderedDict[str, bool]:
    name = contract.HARMONIZED if contract.HARMONIZED in first else contract.TRANSFORM
    ours, theirs = np.asarray(first[name]), np.asarray(second[name])
    if ours.shape != theirs.shape or not np.isfinite(np.asarray(second[contract.TRANSFORM])).all():
        print(f"{name}: of another shape, or the transform holds NaN or infinity")
        return OrderedDict({name: False})
    error = _frame_error(ours, theirs) if name == contract.HARMONIZED else _transform_error(ours, theirs)
    if error == float("inf"):
        return OrderedDict({name: False})
    db = verify.decibels(error)
    print(f"{name}: {db:.1f} dB inside the foreground, at least {minimum_db:g} are wanted")
    return OrderedDict({name: db >= minimum_db})


def _frame_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean squared error inside the foreground of the scene that shows through where nothing covers it."""
    for scene in _scenes():
        outside = scene.alpha == 0
        if scene.alpha.shape == ours.shape[:2] and np.array_equal(ours[outside], scene.background_bgr[outside]):
            if not np.array_equal(theirs[outside], scene.background_bgr[outside]):
                print("pixels outside the alpha are changed")
                return float("inf")
            inside = ~outside
            return float(((ours[inside].astype(np.float64) - theirs[inside]) ** 2).mean())
    raise ModelError("the pictures are of no scene that was fed", f"use load_data_frame, with the same {FRAMES}")


def _transform_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Both transforms applied to the subject of every scene: mean squared error inside the foregrounds."""
    errors = []
    for scene in _scenes():
        inside = scene.alpha > 0
        parts = (scene.foreground_bgr, scene.alpha, scene.background_bgr)
        pictures = [apply_transform(*parts, np.asarray(t, np.float32))[inside] for t in (ours, theirs)]
        errors.append(((pictures[0].astype(np.float64) - pictures[1]) ** 2).mean())
    return float(np.mean(errors))


class EngineRunner(BaseRunner):  # pyright: ignore[reportUntypedBaseClass]
    """Our TensorRT loop as a runner of Polygraphy: the engine's own tensors in and out.

    Args:
        engine: path of an engine with its sidecar.
    """

    def __init__(self, engine: Path) -> None:
        super().__init__(name=f"edge_harmony {engine.name}")
        self._path = engine
        self._harmonizer: TensorRtHarmonizer | None = None

    def activate_impl(self) -> None:
        self._harmonizer = TensorRtHarmonizer(self._path)

    def get_input_metadata_impl(self) -> Any:
        from polygraphy.common import TensorMetadata

        assert self._harmonizer is not None  # Polygraphy activates a runner before it asks
        metadata = TensorMetadata()
        for tensor in self._harmonizer.input_tensors:
            metadata.add(tensor.name, tensor.dtype, tuple(None if n < 0 else n for n in tensor.shape))
        return metadata

    def infer_impl(self, feed_dict: Mapping[str, np.ndarray]) -> OrderedDict[str, np.ndarray]:
        assert self._harmonizer is not None
        started = time.perf_counter()
        outputs = self._harmonizer.infer(feed_dict)
        self.inference_time = time.perf_counter() - started
        return OrderedDict(outputs)

    def deactivate_impl(self) -> None:
        assert self._harmonizer is not None
        self._harmonizer.close()
        self._harmonizer = None


def run(args: argparse.Namespace) -> None:
    try:
        from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
        from polygraphy.comparator import Comparator
    except ImportError as error:
        hint = "pip install -e '.[polygraphy]'"
        raise BackendUnavailableError(f"Polygraphy cannot be imported: {error}", hint) from None
    model, info = model_file.load(args.onnx)
    with TensorRtHarmonizer(args.engine) as harmonizer:
        verify.check_related(info, harmonizer.metadata[contract.META_WEIGHTS])
        graph, precision = harmonizer.graph, harmonizer.metadata[contract.META_PRECISION]
    data = load_data if graph == info.graph == model_file.GRAPH_TRANSFORM else load_data_frame
    if graph != info.graph:
        raise ModelError(f"{args.onnx} is the {info.graph} graph, the engine is of the {graph} graph",
                         "python -m export.frame_graph makes the frame graph of a model")  # fmt: skip
    runners = [OnnxrtRunner(SessionFromOnnx(model.SerializeToString())), EngineRunner(args.engine)]
    results = Comparator.run(runners, data_loader=data())
    compare = compare_outputs_int8 if precision == "int8" else compare_outputs
    if not bool(Comparator.compare_accuracy(results, compare_func=compare)):
        raise ModelError(f"{args.engine} and {args.onnx} disagree, as said above", "python -m export.verify tells more")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(
        prog="python -m export.second_opinion",
        description=__doc__,
    )
    parser.add_argument("engine", type=Path, help="an engine, with its sidecar")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="the FP32 graph of the same kind")
    add_verbose(parser)
    args = parser.parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
