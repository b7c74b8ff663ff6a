"""``--premultiplied``: colours that are multiplied by their alpha already come out as the renderer meant them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.capture.file import open_file
from tests.cli.runner import run

BACK = (40, 90, 200)  # BGR; as #rrggbb below
QUICK = ("--bg", "#c85a28", "--model", "none")


@pytest.fixture
def rendered(tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with alpha in ``own/``, and colours and alpha apart in ``fill/`` and ``key/``; what they are."""
    straight = np.zeros((96, 128, 3), np.uint8)
    straight[:] = (180, 120, 60)
    alpha = np.tile(np.linspace(0, 255, 128).astype(np.uint8), (96, 1))
    alpha[:8] = 0
    fill = np.round(straight * (alpha[..., None] / 255.0)).astype(np.uint8)
    for folder in ("own", "fill", "key"):
        (tmp_path / folder).mkdir()
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"own/{index}.png"), np.dstack([fill, alpha]))
        cv2.imwrite(str(tmp_path / f"fill/{index}.png"), fill)
        cv2.imwrite(str(tmp_path / f"key/{index}.png"), alpha)
    share = alpha[..., None] / 255.0
    return fill + (1 - share) * np.array(BACK), alpha


@pytest.mark.parametrize("command", ["image", "process", "stream"])
@pytest.mark.parametrize("way", ["own", "key"])
def test_premultiplied_colours(tmp_path: Path, rendered: tuple[np.ndarray, np.ndarray], command: str, way: str) -> None:
    expected, _ = rendered
    source = tmp_path / ("own" if way == "own" else "fill")
    masks = () if way == "own" else ("--alpha", tmp_path / "key")
    if command == "image":
        source = source / "0.png"
        masks = () if way == "own" else ("--alpha", tmp_path / "key" / "0.png")
    words = {
        "image": ("image", source, "-o", tmp_path / "out.png"),
        "process": ("process", source, "-o", tmp_path / "out.mkv", "--crf", 0),
        "stream": ("stream", "--source", source, "--no-window", "-o", tmp_path / "out.mkv"),
    }[command]
    done = run(*words, *masks, *QUICK, "--premultiplied")
    assert done.code == 0, done.err
    if command == "image":
        shown = cv2.imread(str(tmp_path / "out.png"))
    else:
        shown = next(iter(open_file(tmp_path / "out.mkv"))).image_bgr
    off = np.abs(shown.astype(float) - expected)
    assert off.mean() < 3
    assert off[12:].max() <= (3 if command == "image" else 10)  # above lies an edge, which 4:2:0 blurs in colour


def test_without_it_edges_are_dark(tmp_path: Path, rendered: tuple[np.ndarray, np.ndarray]) -> None:
    expected, _ = rendered
    assert run("image", tmp_path / "own/0.png", "-o", tmp_path / "out.png", *QUICK).code == 0
    assert np.abs(cv2.imread(str(tmp_path / "out.png")).astype(float) - expected).max() > 30


@pytest.mark.parametrize(
    "words",
    [
        "process fill --matte chroma --bg #c85a28 -o o.mkv",
        "image fill/0.png --matte person --bg #c85a28 -o o.png",
        "stream --source fill --matte none --bg #c85a28 --no-window -o o.mkv",
    ],
)
def test_where_there_is_no_alpha(tmp_path: Path, rendered: object, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words.split(), "--premultiplied")
    assert done.code == 2
    assert "--premultiplied" in done.err
    assert not list(tmp_path.glob("o.*"))
