"""Opening mattes by what a user would write."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.errors import ConfigError, EdgeHarmonyError
from edge_harmony.matte import Refinement, open_matte
from edge_harmony.matte.chroma import ChromaKey
from edge_harmony.matte.file import AlphaFile
from edge_harmony.matte.plate import CleanPlate
from tests.scenes import soft_disc, textured


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "plate.png"
    cv2.imwrite(str(path), textured((96, 128)))
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), soft_disc((96, 128), 30))
    return path


def test_each_kind_opens(picture: Path, mask: Path) -> None:
    key = open_matte("chroma:#0040ff", tolerance=0.2)
    assert isinstance(key, ChromaKey)
    assert key.colour_bgr == (255, 64, 0)
    assert key.tolerance == 0.2
    assert isinstance(open_matte("chroma", colour=None), ChromaKey)
    assert isinstance(open_matte(f"plate:{picture}"), CleanPlate)
    assert isinstance(open_matte("plate", plate=picture), CleanPlate)
    assert isinstance(open_matte(str(mask)), AlphaFile)
    assert isinstance(open_matte(mask), AlphaFile)
    assert isinstance(open_matte(f"file:{mask}"), AlphaFile)


def test_the_refinement_is_applied(mask: Path) -> None:
    frame = np.zeros((96, 128, 3), np.uint8)
    plain = open_matte(mask)(frame)
    assert open_matte(mask, Refinement(grow=3.0))(frame).sum() > plain.sum()


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("chrome", {}, "chroma"),
        ("chroma", {"tolerence": 0.1}, "tolerance"),
        ("chroma:mauve", {}, "#rrggbb"),
        ("plate", {}, "plate:FILE"),
        ("chroma:green", {"colour": "blue"}, "leave one out"),
        ("xyz", {}, "auto, person, chroma, plate, file, onnx"),
        ("missing.onnx", {}, "path"),
        ("missing.png", {}, ""),
    ],
)
def test_mistakes_name_the_remedy(spec: str, options: dict, words: str) -> None:
    with pytest.raises(EdgeHarmonyError) as caught:
        open_matte(spec, **options)
    assert words in caught.value.hint


def test_options_of_another_kind_are_refused(mask: Path) -> None:
    with pytest.raises(ConfigError, match="no option despill"):
        open_matte(mask, despill=1.0)
