"""Small photos, benches and models for the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.models import write_transform_model
from tests.scenes import smooth

CONFIG = """\
steps = 24
batch = 4
stages = [[0.0, 64], [0.5, 96]]
warmup = 2
lr = 0.002
[loss]
contrast = 0.02
contrast_warmup = 4
[generator]
stem = 8
widths = [8, 16, 16, 16]
depths = [1, 1, 1, 1]
decoder_depths = [1, 1, 1]
code_size = 16
"""


def scene(seed: int, size_hw: tuple[int, int] = (96, 128)) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random photo (H, W, 3) and an ellipse as its mask (H, W), uint8."""
    rng = np.random.default_rng(seed)
    h, w = size_hw
    photo = smooth(rng, size_hw)
    mask = np.zeros((h, w), np.uint8)
    centre = int(rng.integers(w // 3, 2 * w // 3)), int(rng.integers(h // 3, 2 * h // 3))
    cv2.ellipse(mask, centre, (w // 4, h // 4), float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return photo, mask


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos with masks, as ``--data`` takes them."""
    root = tmp_path_factory.mktemp("photos")
    (root / "real_images").mkdir()
    (root / "masks").mkdir()
    for i in range(10):
        photo, mask = scene(i)
        cv2.imwrite(str(root / "real_images" / f"p{i}.png"), photo)
        cv2.imwrite(str(root / "masks" / f"p{i}.png"), mask)
    return root


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four composites in iHarmony4's layout, with two tags, their foregrounds twice as dark as in truth."""
    root = tmp_path_factory.mktemp("bench")
    for folder in ("composite_images", "real_images", "masks"):
        (root / folder).mkdir()
    names = []
    for i in range(4):
        photo, mask = scene(100 + i)
        composite = np.where(mask[..., None] > 127, photo // 2, photo)
        names.append(f"p{i}_1_{'dark' if i % 2 else 'dim'}.png")
        cv2.imwrite(str(root / "composite_images" / names[-1]), composite)
        cv2.imwrite(str(root / "real_images" / f"p{i}.png"), photo)
        cv2.imwrite(str(root / "masks" / f"p{i}_1.png"), mask)
    (root / "list.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training configuration that takes a second."""
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def gain_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Makes a transform graph that multiplies every colour by a gain, whatever it sees."""

    def make(gain: float) -> Path:
        folder = tmp_path_factory.mktemp("model")
        return write_transform_model(folder / f"gain{gain}.onnx", (gain, gain, gain))

    return make
