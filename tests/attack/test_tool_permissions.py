"""Training, calibration and export: no permission and names too long are one error and one hint, and never our bug."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.attack.test_permissions import AS_A_USER, LONG, REPOSITORY

pytest.importorskip("torch", reason="the training extra is not installed")
pytest.importorskip("onnx", reason="the export extra is not installed")

MODEL = str(REPOSITORY / "edge_harmony" / "models" / "nano.onnx")
TRAIN = ["training.train", "--device", "cpu", "--workers", "0"]
EVALUATE = ["training.evaluate", "--bench", "bench", "--list", "l.txt"]
WAYS = {
    "photos": [*TRAIN, "--data", "{shut}", "--out", "run"],
    "photos below": [*TRAIN, "--data", "{shut}/photos", "--out", "run"],
    "a run": [*TRAIN, "--data", "photos", "--out", "{shut}/run"],
    "a run's settings": [*TRAIN, "--data", "photos", "--out", "run", "--config", "{shut}/s.toml"],
    "weights to begin with": [*TRAIN, "--data", "photos", "--out", "run", "--init", "{file}"],
    "looks": [*TRAIN, "--data", "photos", "--out", "run", "--looks", "{file}"],
    "subjects": [*TRAIN, "--data", "photos", "--out", "run", "--subjects", "{shut}"],
    "a list": [*TRAIN, "--bench", "photos", "--list", "{file}", "--out", "run"],
    "a benchmark": ["training.evaluate", "--bench", "{shut}", "--list", "l.txt"],
    "a checkpoint to measure": [*EVALUATE, "--checkpoint", "{file}"],
    "figures": [*EVALUATE, "--model", MODEL, "--json", "{shut}/f.json"],
    "pictures": [*EVALUATE, "--model", MODEL, "--save", "{shut}/f"],
    "a list of experiments": ["training.experiments", "{file}", "--data", "photos", "--bench", "bench", "--list",
                              "l.txt", "--out", "e"],
    "a pack": ["training.pack", "--data", "photos", "-o", "{shut}/pack"],
    "a matte's run": ["training.matte.train", "--mattes", "{shut}", "--photos", "photos", "--out", "m"],
    "a checkpoint to export": ["export.to_onnx", "--checkpoint", "{file}", "-o", "here"],
    "a matte to export": ["export.matte", "--checkpoint", "{file}", "-o", "m.onnx"],
    "a graph": ["export.precision", "{file}", "--fp16", "-o", "o.onnx"],
    "a graph to write": ["export.precision", MODEL, "--fp16", "-o", "{shut}/o.onnx"],
    "ranges to read": ["export.precision", MODEL, "--int8", "--ranges", "{file}", "-o", "o.onnx"],
    "a frame graph": ["export.frame_graph", MODEL, "-o", "{shut}/o.onnx"],
    "an engine": ["export.build_engine", "--onnx", "{file}", "-o", "o.engine"],
    "a graph to compare": ["export.verify", MODEL, "--reference", "{file}"],
    "a calibration set": ["calibration.ranges", "--onnx", MODEL, "--data", "{shut}", "-o", "r.json"],
    "a calibration set to write": ["calibration.collect", "--composites", "bench/composite_images", "--masks",
                                   "bench/masks", "-o", "{shut}/set"],
    "composites": ["calibration.collect", "--composites", "{shut}", "--masks", "{shut}", "-o", "set"],
    "quantizing": ["calibration.quantize", "--onnx", MODEL, "--data", "{shut}/set", "-o", "q.onnx"],
}  # fmt: skip
# Runs every way in one process, as a user's commands would each in one of its own: torch takes seconds to import.
DRIVER = """
import contextlib, importlib, io, json, sys
from edge_harmony.run.exit_code import exit_code
said = {}
for name, (module, *words) in json.load(sys.stdin).items():
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = exit_code(lambda: importlib.import_module(module).main(words))
    said[name] = [code, err.getvalue()]
json.dump(said, sys.stdout)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tools")
    for name in ("photos/real_images", "photos/masks", "bench/composite_images", "bench/masks", "bench/real_images"):
        (folder / name).mkdir(parents=True)
    picture, mask = np.full((96, 96, 3), 90, np.uint8), np.zeros((96, 96), np.uint8)
    mask[20:70, 20:70] = 255
    names = {"photos/real_images/a": picture, "photos/masks/a": mask, "bench/composite_images/a_1_1": picture,
             "bench/masks/a_1": mask, "bench/real_images/a": picture}  # fmt: skip
    for name, image in names.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
    (folder / "bench" / "l.txt").write_text("a_1_1.png\n")
    (folder / "file.onnx").write_bytes(b"")
    (folder / "file.onnx").chmod(0)
    (folder / "shut").mkdir(mode=0)
    yield folder
    (folder / "shut").chmod(0o700)


def outcomes(folder: Path, user: list[str], **places: str) -> dict[str, list]:
    ways = {name: [word.format(**places) for word in words] for name, words in WAYS.items()}
    done = subprocess.run(
        [*user, sys.executable, "-c", DRIVER], input=json.dumps(ways), cwd=folder, capture_output=True, text=True,
        timeout=600, env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_each_is_two_lines(said: dict[str, list]) -> None:
    wrong = {}
    for name, (code, text) in said.items():
        heads = [line.partition(":")[0] for line in text.splitlines()]
        if code not in (1, 2) or heads != ["error", "hint"] or "this is a bug" in text:
            wrong[name] = (code, text[-400:])
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_no_permission(folder: Path) -> None:
    assert_each_is_two_lines(outcomes(folder, AS_A_USER, shut="shut", file="file.onnx"))


@pytest.mark.slow
def test_names_too_long(folder: Path) -> None:
    assert_each_is_two_lines(outcomes(folder, [], shut=LONG, file=LONG + ".onnx"))


@pytest.mark.slow
def test_what_is_no_file_or_another(folder: Path) -> None:
    """A folder where a file is needed, and a text where a folder is."""
    assert_each_is_two_lines(outcomes(folder, [], shut="bench/l.txt", file="bench"))
