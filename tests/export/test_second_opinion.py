"""Polygraphy on our graphs, by the commands of docs/export.md; and metadata that a tool dropped, put back."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime")

from edge_harmony import contract
from edge_harmony.harmonize.load import MODEL_FOLDER
from export import frame_graph, model_file, precision, second_opinion, stamp
from export.scenes import Scene, synthetic_scene

needs_polygraphy = pytest.mark.skipif(
    shutil.which(str(Path(sys.executable).with_name("polygraphy"))) is None,
    reason="Polygraphy is not installed: pip install -e '.[polygraphy]'",
)


@pytest.fixture(scope="module")
def base() -> onnx.ModelProto:
    return model_file.load(MODEL_FOLDER / "base.onnx")[0]


@pytest.fixture
def scenes(monkeypatch) -> list[Scene]:
    """Two small ones, in place of the photographs."""
    made = [synthetic_scene((96, 128), 3), synthetic_scene((80, 64), 4)]
    monkeypatch.setattr(second_opinion, "_scenes", lambda: made)
    return made


def _documented(repository: Path) -> list[list[str]]:
    """The commands of the page's section that are to be run as they stand."""
    text = (repository / "docs" / "export.md").read_text()
    section = text[text.index("### Polygraphy") : text.index("### trtexec")]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@needs_polygraphy
@pytest.mark.slow
def test_the_documented_commands_work_as_written(repository, tmp_path):
    for name in ("export", "edge_harmony", "training"):
        (tmp_path / name).symlink_to(repository / name)
    frames = tmp_path / "frames"
    frames.mkdir()
    scene = synthetic_scene((96, 128), 8)
    cv2.imwrite(str(frames / "one.png"), scene.foreground_bgr)
    cv2.imwrite(str(frames / "one_mask.png"), scene.alpha)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(repository), second_opinion.FRAMES: str(frames)}
    commands = _documented(repository)
    assert [command[0] for command in commands].count("polygraphy") >= 4
    said = ""
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        said += done.stdout
    assert re.search(r"transform: \d\d\.\d dB inside the foreground, at least 50 are wanted", said)
    assert "Passed: 1/1 iterations" in said
    assert "fp32 transform graph of base" in said
    assert model_file.load(tmp_path / "folded.onnx")[1] == model_file.load(MODEL_FOLDER / "base.onnx")[1]


def _outputs(model: onnx.ModelProto, feeds) -> dict[str, np.ndarray]:
    from export.runtime import session

    run = session(model)
    names = [output.name for output in run.get_outputs()]
    return {name: np.asarray(value) for name, value in zip(names, run.run(None, feeds), strict=True)}


@pytest.mark.parametrize("kind", ["transform", "frame"])
def test_the_comparison_tells_right_from_wrong(base, scenes, kind):
    model = base if kind == "transform" else frame_graph.compose(base)
    load = second_opinion.load_data if kind == "transform" else second_opinion.load_data_frame
    for scene, feeds in zip(scenes, load(), strict=True):
        right = _outputs(model, feeds)
        half = _outputs(precision.to_fp16(model), feeds)
        (passed,) = second_opinion.compare_outputs(right, half).values()
        assert passed
        wrong = {name: value.copy() for name, value in right.items()}
        if kind == "transform":
            wrong[contract.TRANSFORM] += np.float32(0.02)
        else:
            wrong[contract.HARMONIZED][scene.alpha > 0] ^= 8
        assert list(second_opinion.compare_outputs(right, wrong).values()) == [False]
        wrong = {**right, contract.TRANSFORM: right[contract.TRANSFORM] * np.float32("nan")}
        assert list(second_opinion.compare_outputs_int8(right, wrong).values()) == [False]


def test_a_background_that_is_touched_is_seen(base, scenes):
    feeds = next(iter(second_opinion.load_data_frame()))
    right = _outputs(frame_graph.compose(base), feeds)
    wrong = {name: value.copy() for name, value in right.items()}
    y, x = np.argwhere(scenes[0].alpha == 0)[0]
    wrong[contract.HARMONIZED][y, x, 0] ^= 1
    assert list(second_opinion.compare_outputs(right, wrong).values()) == [False]


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    scene = synthetic_scene((96, 128), 8)
    cv2.imwrite(str(folder / "one.png"), scene.foreground_bgr)
    cv2.imwrite(str(folder / "one_mask.png"), scene.alpha)
    return ["--frames", str(folder)]


@pytest.mark.parametrize("kind", ["fp32 transform", "fp16 transform", "fp16 frame", "int8 transform"])
def test_metadata_that_was_dropped_is_put_back(base, frames, tmp_path, kind, capsys, monkeypatch):
    wanted, graph = kind.split()
    model = frame_graph.compose(base) if graph == "frame" else base
    if wanted == "int8":
        monkeypatch.setitem(stamp.verify.MINIMUM_DB, "int8", 10.0)  # rough ranges
        sites = precision.convolutions(base)
        model = precision.to_int8(base, {site.tensor: 8.0 for site in sites})
    model = precision.to_fp16(model) if wanted != "fp32" else model
    bare = onnx.ModelProto.FromString(model.SerializeToString())
    del bare.metadata_props[:]
    path = tmp_path / "bare.onnx"
    onnx.save(bare, str(path))
    assert stamp.main([str(path), "--like", str(MODEL_FOLDER / "base.onnx"), *frames]) == 0, capsys.readouterr().err
    assert model_file.load(path)[1] == model_file.inspect(model)


def test_another_models_name_is_not_stamped_on(base, frames, tmp_path, capsys):
    bare = onnx.ModelProto.FromString(base.SerializeToString())
    del bare.metadata_props[:]
    path = tmp_path / "bare.onnx"
    onnx.save(bare, str(path))
    before = path.read_bytes()
    assert stamp.main([str(path), "--like", str(MODEL_FOLDER / "nano.onnx"), *frames]) == 1
    assert "does not compute what" in capsys.readouterr().err
    assert path.read_bytes() == before
    path.write_bytes(b"no graph")
    assert stamp.main([str(path), "--like", str(MODEL_FOLDER / "nano.onnx"), *frames]) == 1
    bare.graph.output[0].name = "other"
    with pytest.raises(model_file.ModelError, match="no graph's of ours"):
        stamp.stamped(bare, model_file.inspect(base))
