"""A model repository for NVIDIA's Triton Inference Server, and a client.

::

    python -m export.triton -o serving                              # the shipped model on ONNX Runtime
    python -m export.triton -o serving --model base_fp16.engine     # an engine that was built on the server's GPU
    tritonserver --model-repository serving/models

``serving/models/harmonize`` takes uint8 frames, alphas and backgrounds and gives harmonized frames; each sequence keeps
its own state, as ``edge_harmony.Compositor`` does for each stream. The server's Python needs this package. What the
tensors are, and how clients call it: docs/serving.md.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_harmony.errors import ConfigError, ModelError, SinkError
from edge_harmony.harmonize.load import find_model
from edge_harmony.harmonize.tensorrt.engine_files import ENGINE_SUFFIXES
from edge_harmony.run.arguments import Parser, add_verbose, number, whole
from edge_harmony.run.exit_code import exit_code
from edge_harmony.settings import SETTINGS
from export import model_file
from export.model_file import GRAPH_TRANSFORM

NAME: Final = "harmonize"
_SERVING: Final = Path(__file__).parent / "serving"

_CONFIG: Final = """\
# Written by python -m export.triton; docs/serving.md explains it.
name: "{name}"
backend: "python"
max_batch_size: 0
input [
  {{ name: "foreground" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }},  # height, width, BGR: straight colour
  {{ name: "alpha" data_type: TYPE_UINT8 dims: [ -1, -1 ] }},
  {{ name: "background" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }},  # BGR, of any size
  {{ name: "strength" data_type: TYPE_FP32 dims: [ 1 ] optional: true }},
  {{ name: "smoothing" data_type: TYPE_FP32 dims: [ 1 ] optional: true }},
  {{ name: "pts_s" data_type: TYPE_FP64 dims: [ 1 ] optional: true }}  # when the frame is shown, in seconds
]
output [
  {{ name: "harmonized" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }}  # BGR, of the foreground's size
]
sequence_batching {{
  oldest {{ max_candidate_sequences: {sequences} }}
  max_sequence_idle_microseconds: {idle}
  control_input [
    {{ name: "START" control [ {{ kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] }} ] }},
    {{ name: "END" control [ {{ kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] }} ] }},
    {{ name: "CORRID" control [ {{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 }} ] }}
  ]
}}
instance_group [ {{ count: {instances} kind: KIND_CPU }} ]  # a GPU is taken by the backend itself
parameters [
{parameters}
]
"""


@dataclass(frozen=True)
class Serving:
    """How the model is served.

    Attributes:
        backend: what runs the network: auto, onnxruntime or tensorrt.
        threads: of one instance; 0 takes all processors.
        instances: how many run at the same time.
        sequences: how many sequences each instance takes at once; more have to wait.
        idle_s: after how long without a frame a sequence is given up.
        strength, smoothing: where a request does not say; light_wrap, grain, fit: for all.
    """

    backend: str = "auto"
    threads: int = 0
    instances: int = 1
    sequences: int = 8
    idle_s: float = 60.0
    strength: float = float(SETTINGS["harmonize.strength"].default)
    smoothing: float = float(SETTINGS["harmonize.smoothing"].default)
    light_wrap: float = float(SETTINGS["finish.light_wrap"].default)
    grain: float = float(SETTINGS["finish.grain"].default)
    fit: str = str(SETTINGS["background.fit"].default)

    def __post_init__(self) -> None:
        for place in ("harmonize.strength", "harmonize.smoothing", "finish.light_wrap", "finish.grain",
                      "background.fit", "harmonize.threads"):  # fmt: skip
            name = place.partition(".")[2]
            SETTINGS[place].check(getattr(self, name), name)
        if self.backend not in ("auto", "onnxruntime", "tensorrt"):
            raise ConfigError(f"backend is {self.backend!r}", "use auto, onnxruntime or tensorrt")
        for name, most in (("instances", 64), ("sequences", 4096)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is {getattr(self, name)}", f"it must lie in 1 .. {most}")
        if not 1.0 <= self.idle_s <= 86_400.0:
            raise ConfigError(f"idle is {self.idle_s:g} s", "it must lie in 1 .. 86400")


def write_repository(folder: Path, model: Path, serving: Serving) -> Path:
    """Write ``models/harmonize`` and ``client.py`` into a folder.

    Args:
        folder: made if it is missing; what is there of an earlier time is replaced as a whole.
        model: a transform graph (ONNX), or an engine of one with its ``.json`` beside it.
        serving: how it is served.

    Returns:
        The model repository, ``folder/models``.

    Raises:
        ModelError: the model cannot be served. SinkError: the folder cannot be written.
    """
    files = [model]
    if model.suffix in ENGINE_SUFFIXES:
        files.append(model.with_name(f"{model.name}.json"))
        if not files[1].is_file():
            raise ModelError(f"{files[1]} is missing", "build the engine with python -m export.build_engine")
    else:
        _, info = model_file.load(model)
        if info.graph != GRAPH_TRANSFORM:
            raise ModelError(f"{model} is a {info.graph} graph", "give the transform graph, such as base.onnx")
    place = folder / "models" / NAME
    part = place.with_name(f".{NAME}.part.{os.getpid()}")
    try:
        (part / "1").mkdir(parents=True)
        try:
            for file in files:
                shutil.copyfile(file, part / "1" / file.name)
            shutil.copyfile(_SERVING / "model.py", part / "1" / "model.py")
            (part / "config.pbtxt").write_text(config_text(model.name, serving), encoding="utf-8")
            shutil.copyfile(_SERVING / "client.py", folder / "client.py")
            if place.exists():
                shutil.rmtree(place)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise SinkError(f"cannot write {folder}: {error.strerror}", "name a folder that can be written to") from error
    return place.parent


def config_text(model: str, serving: Serving) -> str:
    """The text of ``config.pbtxt``.

    Args:
        model: name of the network's file beside ``model.py``.
        serving: how it is served.
    """
    chosen = {
        "model": model, "backend": serving.backend, "threads": serving.threads, "strength": serving.strength,
        "smoothing": serving.smoothing, "light_wrap": serving.light_wrap, "grain": serving.grain, "fit": serving.fit,
    }  # fmt: skip
    parameters = ",\n".join(
        f'  {{ key: "{key}" value: {{ string_value: "{_escaped(str(value))}" }} }}' for key, value in chosen.items()
    )
    return _CONFIG.format(
        name=NAME, sequences=serving.sequences, idle=round(serving.idle_s * 1e6), instances=serving.instances,
        parameters=parameters,
    )  # fmt: skip


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m export.triton", description=__doc__)
    plain = Serving()
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument(
        "--model", metavar="FILE", help="transform graph, or an engine of it (default: the shipped base)"
    )
    parser.add_argument("--backend", default=plain.backend, help="auto, onnxruntime or tensorrt (default auto)")
    parser.add_argument(
        "--threads", type=whole(0, 1024), default=plain.threads, metavar="N", help="of one instance (default: all)"
    )
    parser.add_argument(
        "--instances", type=whole(1, 1024), default=plain.instances, metavar="N", help="at the same time (default 1)"
    )
    parser.add_argument(
        "--sequences",
        type=whole(1, 100_000),
        default=plain.sequences,
        metavar="N",
        help="of each instance at once (default 8)",
    )
    parser.add_argument(
        "--idle",
        type=number(0.001, 86400),
        default=plain.idle_s,
        metavar="S",
        help="seconds until a sequence is given up (default 60)",
    )
    for name in ("strength", "smoothing", "light-wrap", "grain"):
        value = getattr(plain, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=number(0, 1), default=value, metavar="0..1", help=f"default {value:g}")
    parser.add_argument("--fit", default=plain.fit, metavar="MODE", help="cover, contain or stretch (default cover)")
    add_verbose(parser)
    args = parser.parse_args(argv)

    def work() -> None:
        serving = Serving(
            args.backend, args.threads, args.instances, args.sequences, args.idle, args.strength, args.smoothing,
            args.light_wrap, args.grain, args.fit,
        )  # fmt: skip
        models = write_repository(args.output, find_model(args.model), serving)
        print(f"{models}: start it with: tritonserver --model-repository {models}")
        print(f"{args.output / 'client.py'}: a client")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
