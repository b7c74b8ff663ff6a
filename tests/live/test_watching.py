"""What people see and press: keys, text over the picture, before and after, the countdown, screenshots."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.live import Controls, Figures
from edge_harmony.live.figures import summary_lines
from edge_harmony.live.hotkeys import help_lines, press
from edge_harmony.live.plate_countdown import PlateCountdown
from edge_harmony.live.screen import draw
from edge_harmony.live.screenshot import Screenshots
from edge_harmony.live.view import matte_view, side_view, split_view

IMAGE = np.full((360, 640, 3), 128, np.uint8)


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("h", "harmonize", False), ("c", "compare", "split"), ("m", "matte_view", True), ("f", "figures", True),
        (" ", "frozen", True), ("[", "strength", 0.9), ("H", "harmonize", False),
    ],
)  # fmt: skip
def test_keys_change_settings(key: str, name: str, value: object) -> None:
    controls = Controls()
    assert press(controls, key)
    assert controls.get(name) == value


@pytest.mark.parametrize(
    ("key", "action"),
    [("q", "quit"), ("\x1b", "quit"), ("b", "next_background"), ("p", "plate"), ("s", "screenshot"), ("?", "help")],
)
def test_keys_ask_for_actions(key: str, action: str) -> None:
    controls = Controls()
    assert press(controls, key)
    assert controls.take_actions() == [action]


def test_a_key_without_meaning_does_nothing() -> None:
    controls = Controls()
    assert press(controls, "x") == ""
    assert controls.revision == 0


def test_help_names_every_key() -> None:
    text = "\n".join(help_lines())
    for key in ("q ", "space", "h ", "c ", "m ", "b ", "f ", "p ", "[ ]", "s ", "? "):
        assert key in text


def test_nothing_to_say_costs_nothing() -> None:
    assert draw(IMAGE) is IMAGE


@pytest.mark.parametrize("size", [(64, 64), (360, 640), (2160, 3840)])
def test_overlay_draws_into_a_copy_at_any_size(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    figures = Figures()
    figures.count()
    figures.note_latency(time.monotonic())
    drawn = draw(image, figures.snapshot(), True, "saved a very long name " * 10, "step out of the picture: 5")
    assert drawn.shape == image.shape
    assert (drawn != 128).any()
    assert (image == 128).all()


def test_split_and_side() -> None:
    before, after = np.full_like(IMAGE, 10), np.full_like(IMAGE, 200)
    split = split_view(before, after, 0.25)
    assert (split[:, :150] == 10).all()
    assert (split[:, 170:] == 200).all()
    assert (split_view(before, after, 0.0) == 200).all()
    assert (split_view(before, after, 1.0) == 10).all()
    side = side_view(before, after)
    assert side.shape == IMAGE.shape
    assert side[180, 100].tolist() == [10] * 3
    assert side[180, 500].tolist() == [200] * 3
    assert side_view(before[:, :101], after[:, :101]).shape == (360, 101, 3)
    assert matte_view(np.full((64, 64), 7, np.uint8)).max() == 7


def test_countdown_waits_and_then_averages() -> None:
    countdown = PlateCountdown(3.0, frames=16)
    noise = np.random.default_rng(0)
    assert countdown.feed(IMAGE, 0.0) is None
    assert countdown.text(0.0) == ""
    countdown.start(10.0)
    assert countdown.text(10.5).endswith("3")
    assert countdown.feed(np.zeros_like(IMAGE), 12.9) is None  # the person walking out
    plate = None
    for index in range(16):
        assert plate is None
        noisy = np.clip(IMAGE + noise.normal(0, 8, IMAGE.shape), 0, 255).astype(np.uint8)
        plate = countdown.feed(noisy, 13.0 + index / 25)
    assert plate is not None
    assert np.abs(plate.astype(float) - 128).mean() < 2.2  # a quarter of the noise's 6.4
    assert not countdown.running


def test_a_screenshot_appears_whole(tmp_path: Path) -> None:
    said: list[str] = []
    shots = Screenshots(tmp_path, said.append)
    shots.save(IMAGE)
    shots.close()
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".png"
    assert np.array_equal(cv2.imread(str(path)), IMAGE)
    assert path.name in said[0]
    shots = Screenshots(tmp_path / "missing", said.append)
    shots.save(IMAGE)
    shots.close()
    assert "no screenshot" in said[1]


def test_figures_are_json_and_add_up() -> None:
    figures = Figures()
    assert json.dumps(figures.snapshot())
    for _ in range(10):
        with figures.timer.stage("matte"):
            time.sleep(0.001)
        figures.note_latency(time.monotonic() - 0.05)
        figures.count()
    figures.count(held=True)
    figures.watch(lambda: {"dropped": {"source": 3, "file": 0}, "outages": 1})
    figures.say("hello")
    figures.end()
    snapshot = json.loads(json.dumps(figures.snapshot(), allow_nan=False))
    assert (snapshot["frames"], snapshot["held"]) == (11, 1)
    assert snapshot["latency_ms"]["result"]["now"] > 49
    assert 49 < snapshot["latency_ms"]["result"]["p50"] <= snapshot["latency_ms"]["result"]["p95"]
    assert snapshot["stages"]["matte"]["p50_ms"] >= 1.0
    assert snapshot["notice"] == "hello"
    seconds = snapshot["seconds"]
    time.sleep(0.02)
    assert figures.snapshot()["seconds"] == seconds  # time stands still after the end
    text = "\n".join(summary_lines(snapshot))
    for word in ("11 frames", "source 3", "lost 1", "matte"):
        assert word in text
