"""A model and small pictures for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.models import write_transform_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transform graph that halves red."""
    return write_transform_model(tmp_path_factory.mktemp("model") / "half_red.onnx", (0.5, 1.0, 1.0))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder with composite.png, mask.png (a white disc), bg.png, cutout.png (RGBA), all 120 x 90."""
    folder = tmp_path / "scene"
    folder.mkdir()
    y, x = np.mgrid[:90, :120]
    mask = (np.hypot(y - 45, x - 60) < 30).astype(np.uint8) * 255
    composite = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    composite[mask > 0] = (40, 90, 200)
    cv2.imwrite(str(folder / "composite.png"), composite)
    cv2.imwrite(str(folder / "mask.png"), mask)
    cv2.imwrite(str(folder / "cutout.png"), np.dstack([composite, mask]))
    cv2.imwrite(str(folder / "bg.png"), np.full((90, 120, 3), (10, 60, 20), np.uint8))
    return folder
