"""The demo: its cut-outs are good, and it makes what it names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from edge_harmony.matte.refine import Refinement
from tests.models import write_transform_model


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / "examples" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


def test_astronaut_is_cut_out_whole_and_soft(demo: ModuleType) -> None:
    cutout = demo.cut_out(demo.photograph("astronaut"), demo.ASTRONAUT, 7, Refinement(snap=6, black=0.1, white=0.9))
    outline = np.zeros(cutout.alpha.shape, np.uint8)
    cv2.fillPoly(outline, [2 * np.array(demo.ASTRONAUT, np.int32)], 255)
    solid = cutout.alpha > 127
    overlap = (solid & (outline > 0)).sum() / (solid | (outline > 0)).sum()
    assert 0.96 < overlap < 0.999  # the edge was looked for, not copied
    assert cv2.connectedComponents(solid.astype(np.uint8))[0] == 2  # one piece
    assert cv2.connectedComponents((~solid).astype(np.uint8))[0] <= 3  # without holes
    soft = ((cutout.alpha > 20) & (cutout.alpha < 235)).mean()
    assert 0.002 < soft < 0.05


def test_place_stands_the_subject_on_the_lower_edge(demo: ModuleType) -> None:
    subject = demo.Cutout(np.full((100, 60, 3), 80, np.uint8), np.full((100, 60), 255, np.uint8))
    _, alpha = demo.place(subject, (200, 300), 0.5, 40)
    rows, columns = np.nonzero(alpha > 127)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (100, 199, 40, 99)


def test_light_leaves_the_photo_as_it_is_at_either_end(demo: ModuleType) -> None:
    photo = demo.photograph("rocket")
    start, sun, night, end = (demo.relit(photo, t).astype(int) for t in (0.0, 0.4, 0.78, 1.0))
    assert np.array_equal(start, end)
    assert sun[..., 2].mean() > 1.2 * start[..., 2].mean()
    assert sun[..., 0].mean() < start[..., 0].mean()
    assert night.mean() < 0.7 * start.mean()


def test_demo_makes_what_it_names(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_transform_model(tmp_path / "dim.onnx", (0.5, 0.5, 0.5))
    assert demo.main(["--out", str(tmp_path / "out"), "--model", str(model), "--seconds", "1"]) == 0
    text = capsys.readouterr().out
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 10
    assert all(str(path) in text for path in made)
    both = cv2.imread(str(tmp_path / "out" / "astronaut-at-the-pad.png"))
    before, after = both[:, :960].astype(int), both[:, 960:].astype(int)
    assert np.array_equal(before[100:600, 800:], after[100:600, 800:])  # the background
    np.testing.assert_allclose(after[400:440, 200:240], before[400:440, 200:240] / 2, atol=1)  # the suit
    assert len(list(frames(tmp_path / "out" / "moving-light.mp4"))) == 25


def test_without_a_model_the_demo_says_so(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert demo.main(["--out", str(tmp_path / "out"), "--model", str(tmp_path / "none.onnx")]) == 1
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["error", "hint"]
    assert not (tmp_path / "out").exists()


def frames(path: Path):
    video = cv2.VideoCapture(str(path))
    while True:
        fine, frame = video.read()
        if not fine:
            return
        yield frame
