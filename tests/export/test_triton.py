"""The repository for Triton: by Triton's own schema, and in the real server where one is at hand.

``EDGE_HARMONY_TRITON`` names a Python that has nvidia-pytriton (which brings the server), tritonclient[grpc] and this
package installed; without it, this one is looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_harmony.errors import ConfigError, ModelError
from export.triton import Serving, config_text, main, write_repository
from tests.models import write_transform_model

PYTHON = os.environ.get("EDGE_HARMONY_TRITON", sys.executable)
FIND = """
import json, sys, sysconfig, pathlib
import pytriton, tritonclient.grpc, edge_harmony
place = pathlib.Path(pytriton.__file__).parent
print(json.dumps({
    "server": str(place / "tritonserver"), "stub": "%d.%d" % sys.version_info[:2],
    "libraries": [str(place.parent / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")],
}))
"""

# Two streams by turns, one of them with settings of its own, against a Compositor for each in the same Python.
STREAMS = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from client import HarmonizeStream
from edge_harmony import Compositor, load_harmonizer

def scene(stream, number):
    rng = np.random.default_rng(stream)
    size = (96, 128) if stream == 0 else (120, 100)
    small = rng.integers(0, 256, (2, 6, 8, 3), np.uint8)
    frame, behind = (np.kron(part, np.ones((20, 20, 1), np.uint8))[: size[0], : size[1]] for part in small)
    alpha = np.zeros(size, np.uint8)
    alpha[20:70, 10 + 3 * number : 60 + 3 * number] = 255
    light = 0.5 + 0.08 * number  # so that the transform moves, and smoothing shows
    return (frame * min(light, 1.0)).astype(np.uint8), alpha, behind

harmonizer = load_harmonizer(sys.argv[3], "onnxruntime", 1)
ours = [Compositor(harmonizer), Compositor(harmonizer, strength=0.7, smoothing=0.95)]
unsmoothed = Compositor(harmonizer, smoothing=0.0)
streams = [HarmonizeStream(sys.argv[2]), HarmonizeStream(sys.argv[2], strength=0.7, smoothing=0.95)]
smooth = False
for number in range(8):
    for stream in (0, 1):
        inputs = scene(stream, number)
        pts_s = None if stream == 0 else number / 24
        expected = ours[stream].process(*inputs, pts_s=pts_s)
        assert np.array_equal(streams[stream](*inputs, pts_s=pts_s), expected), (number, stream)
        if stream == 0:
            smooth |= not np.array_equal(unsmoothed.process(*inputs), expected)
assert smooth, "smoothing made no difference: nothing was shown"
for stream in streams:
    stream.close()

# The same stream begun again knows nothing of the past; a frame that is refused costs only itself.
from tritonclient.utils import InferenceServerException
again, fresh = HarmonizeStream(sys.argv[2]), Compositor(harmonizer)
assert np.array_equal(again(*scene(0, 3)), fresh.process(*scene(0, 3)))
try:
    again(scene(0, 4)[0], scene(1, 4)[1], scene(0, 4)[2])
except InferenceServerException as error:
    print(error)
else:
    raise SystemExit("an alpha of another size was taken")
assert np.array_equal(again(*scene(0, 4)), fresh.process(*scene(0, 4)))
again.close()
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_transform_model(tmp_path / "mine.onnx", (0.5, 1.0, 1.0))


def _parsed(text: str) -> Any:
    pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_the_configuration_is_one_by_tritons_schema(graph: Path, tmp_path: Path) -> None:
    models = write_repository(tmp_path / "s", graph, Serving(threads=2, instances=3, sequences=5, idle_s=9, grain=0.5))
    folder = models / "harmonize"
    config = _parsed((folder / "config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == (folder.name, "python", 0)
    assert {i.name: (i.data_type, list(i.dims), i.optional) for i in config.input} == {
        "foreground": (2, [-1, -1, 3], False), "alpha": (2, [-1, -1], False), "background": (2, [-1, -1, 3], False),
        "strength": (11, [1], True), "smoothing": (11, [1], True), "pts_s": (12, [1], True),
    }  # fmt: skip
    assert [(o.name, o.data_type, list(o.dims)) for o in config.output] == [("harmonized", 2, [-1, -1, 3])]
    sequences = config.sequence_batching
    assert sequences.max_sequence_idle_microseconds == 9_000_000
    assert sequences.oldest.max_candidate_sequences == 5
    assert [(c.name, c.control[0].kind) for c in sequences.control_input] == [("START", 0), ("END", 2), ("CORRID", 3)]
    assert [(group.count, group.kind) for group in config.instance_group] == [(3, 2)]
    chosen = {name: value.string_value for name, value in config.parameters.items()}
    assert chosen == {
        "model": "mine.onnx", "backend": "auto", "threads": "2", "strength": "1.0", "smoothing": "0.8",
        "light_wrap": "0.0", "grain": "0.5", "fit": "cover",
    }  # fmt: skip
    assert (folder / "1" / "mine.onnx").read_bytes() == graph.read_bytes()
    assert {path.name for path in (folder / "1").iterdir()} == {"mine.onnx", "model.py"}


def test_names_are_quoted(tmp_path: Path) -> None:
    config = _parsed(config_text('a "b"\\c.onnx', Serving()))
    assert config.parameters["model"].string_value == 'a "b"\\c.onnx'


def test_an_engine_goes_with_its_sidecar(tmp_path: Path) -> None:
    engine = tmp_path / "base_fp16.engine"
    engine.write_bytes(b"engine")
    with pytest.raises(ModelError, match="json"):
        write_repository(tmp_path / "s", engine, Serving())
    (tmp_path / "base_fp16.engine.json").write_text("{}")
    models = write_repository(tmp_path / "s", engine, Serving(backend="tensorrt"))
    assert {p.name for p in (models / "harmonize" / "1").iterdir()} == {
        "base_fp16.engine", "base_fp16.engine.json", "model.py",
    }  # fmt: skip


def test_what_cannot_be_served_is_refused(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ({"strength": 2.0}, {"instances": 0}, {"idle_s": 0.0}, {"backend": "cuda"}, {"fit": "zoom"}):
        with pytest.raises(ConfigError):
            Serving(**wrong)  # type: ignore[arg-type]
    assert main(["-o", str(tmp_path / "s"), "--model", str(tmp_path / "none.onnx")]) == 1
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["error", "hint"]
    (tmp_path / "file").touch()
    assert main(["-o", str(tmp_path / "file"), "--model", str(graph)]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_second_run_replaces_the_first(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_transform_model(tmp_path / "other.onnx", (1.0, 1.0, 0.5))
    for model in (graph, other):
        assert main(["-o", str(tmp_path / "s"), "--model", str(model), "--sequences", "3"]) == 0
    assert {p.name for p in (tmp_path / "s" / "models" / "harmonize" / "1").iterdir()} == {"other.onnx", "model.py"}
    assert {p.name for p in (tmp_path / "s").iterdir()} == {"models", "client.py"}
    assert {p.name for p in (tmp_path / "s" / "models").iterdir()} == {"harmonize"}


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    folder: Path
    model: Path


def _found() -> dict:
    """Where the server is; {} with no such thing."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the server ignores it
    found = subprocess.run([PYTHON, "-c", FIND], capture_output=True, text=True, cwd="/", env=environment, check=False)
    return json.loads(found.stdout) if found.returncode == 0 else {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Triton with the repository of a network whose transform follows the picture."""
    found = _found()
    if not found:
        pytest.skip("no Triton server: EDGE_HARMONY_TRITON names no Python with nvidia-pytriton and this package")
    folder = tmp_path_factory.mktemp("triton")
    model = write_transform_model(folder / "mine.onnx", (0.6, 1.0, 0.9), follow=0.8)
    models = write_repository(folder / "serving", model, Serving(threads=1, sequences=4))
    backend = folder / "backends" / "python"
    shutil.copytree(Path(found["server"]) / "backends" / "python", backend)
    stub = "triton_python_backend_stub"
    shutil.copy(Path(found["server"]) / "python_backend_stubs" / found["stub"] / stub, backend)
    ports = [_free_port() for _ in range(3)]
    options = {
        "--backend-directory": backend.parent, "--model-repository": models, "--exit-on-error": "true",
        "--grpc-address": "127.0.0.1", "--http-address": "127.0.0.1", "--metrics-address": "127.0.0.1",
        "--grpc-port": ports[0], "--http-port": ports[1], "--metrics-port": ports[2],
    }  # fmt: skip
    log = folder / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(Path(found["server"]) / "bin" / "tritonserver"), *(str(w) for pair in options.items() for w in pair)],
            env={
                **os.environ, "LD_LIBRARY_PATH": ":".join(found["libraries"]),
                "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
            },
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while "Started HTTPService" not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield Server(f"127.0.0.1:{ports[0]}", folder / "serving", model)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_two_streams_by_turns_are_each_as_in_python(server: Server) -> None:
    done = subprocess.run(
        [PYTHON, "-c", STREAMS, str(server.folder), server.url, str(server.model)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "alpha" in done.stdout
    assert "120 x 100" in done.stdout or "100 x 120" in done.stdout
