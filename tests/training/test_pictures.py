"""The figure of the network and the contact sheets: drawn from what is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from training import draw, sheet
from training.generator import FusionGenerator, GeneratorConfig, count_macs

SMALL = GeneratorConfig(stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), decoder_depths=(1, 1), code_size=16)


def test_figure_shows_the_network_as_it_is(tmp_path: Path) -> None:
    model = FusionGenerator(SMALL).eval()
    parts = draw.traced(model)
    assert parts["enc 2"][0] == (16, 32, 32)
    assert parts["dec 2"][0] == (16, 32, 32)
    assert parts["head"][0] == (12, 32, 32)
    assert parts["style code"][0] == (16, 1, 1)
    deepest = sum(p.numel() for p in model.deepest.parameters() if p.ndim == 4) / 1e6  # not drawn
    regions = [3 + (i >= model.first) for i in range(4)]  # whose statistics are matrix products: means, squares
    products = sum(2 * r * w * (64 >> i) ** 2 for i, (r, w) in enumerate(zip(regions, SMALL.widths, strict=True))) / 1e6
    products += 2 * SMALL.tones * 3 * 64**2 / 1e6  # which way the colours of each brightness lean, in two regions
    assert sum(cost for _, cost in parts.values()) + deepest + products == pytest.approx(count_macs(model) / 1e6)
    draw.draw(SMALL, tmp_path / "a" / "figure.png")
    assert cv2.imread(str(tmp_path / "a" / "figure.png")).std() > 10


def test_sheet_shows_what_happened(bench: Path, gain_model: Callable[[float], Path], tmp_path: Path) -> None:
    command = ["--bench", str(bench), "--list", "list.txt", "--model", str(gain_model(2.0)), "-o"]
    assert sheet.main([*command, str(tmp_path / "all.png")]) == 0
    shown = cv2.imread(str(tmp_path / "all.png"))
    height, width = sheet.TILE
    assert shown.shape == (4 * (height + sheet.TEXT), 4 * width, 3)
    composite, result, truth = (shown[sheet.TEXT : sheet.TEXT + height, i * width : (i + 1) * width] for i in (1, 2, 3))
    error = lambda a: np.abs(a.astype(int) - truth).mean()  # noqa: E731
    assert error(result) < 0.2 * error(composite)  # the model doubles the light that the bench halved
    assert sheet.main([*command, str(tmp_path / "worst.png"), "--worst", "1"]) == 0
    assert cv2.imread(str(tmp_path / "worst.png")).shape == (height + sheet.TEXT, 4 * width, 3)
