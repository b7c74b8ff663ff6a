"""Footage whose every frame is known, and a small generator whose transforms are far from the identity."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from calibration.shards import CalibrationSet, write_set
from edge_harmony.contract import WORKING_SIZE
from tests.scenes import smooth, soft_disc


def picture(seed: int, size_hw: tuple[int, int] = (WORKING_SIZE, WORKING_SIZE)) -> np.ndarray:
    """Smooth colours that differ from seed to seed: uint8 (H, W, 3)."""
    return smooth(np.random.default_rng(seed), size_hw, (5, 5))


def disc(seed: int, size_hw: tuple[int, int] = (WORKING_SIZE, WORKING_SIZE)) -> np.ndarray:
    """A soft disc somewhere in the frame: uint8 (H, W)."""
    rng = np.random.default_rng(1000 + seed)
    centre_y, centre_x = rng.uniform(0.3, 0.7, 2) * size_hw
    return soft_disc(size_hw, 0.25 * min(size_hw), 6.4, (centre_x, centre_y))


def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return picture(seed), disc(seed)


def write_footage(folder: Path, count: int, size_hw: tuple[int, int] = (90, 120), still: bool = False) -> None:
    """``folder/subject`` and ``folder/mask`` with ``count`` PNG each, and ``folder/background.png``."""
    for name in ("subject", "mask"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        seed = 0 if still else i
        cv2.imwrite(str(folder / "subject" / f"{i}.png"), picture(seed, size_hw))
        cv2.imwrite(str(folder / "mask" / f"{i}.png"), disc(seed, size_hw))
    cv2.imwrite(str(folder / "background.png"), picture(999, size_hw))


@pytest.fixture(scope="session")
def model() -> onnx.ModelProto:
    """A small generator's FP32 transform graph, every layer of it at work."""
    torch = pytest.importorskip("torch", reason="the training extra is not installed")
    from export.to_onnx import transform_graph
    from training.generator import FusionGenerator, GeneratorConfig

    torch.set_num_threads(1)
    torch.manual_seed(3)
    stages = len(GeneratorConfig().decoder_depths)  # of a decoder that ends at the grid
    config = GeneratorConfig(
        8, (16, 16, 16, 16), (1, 1, 1, 1), context=(), decoder_depths=(1,) * stages, expansion=2, code_size=16
    )
    generator = FusionGenerator(config)
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, torch.nn.Conv2d):
                if not module.weight.any():  # starts as the identity
                    torch.nn.init.kaiming_normal_(module.weight, a=3**0.5)
                if module is not generator.head:
                    module.bias.uniform_(0, 0.2)  # no ReLU is closed
        generator.head.weight.normal_(0, 0.02)
    return transform_graph(generator.eval(), "small")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> CalibrationSet:
    """Two dozen samples."""
    folder = tmp_path_factory.mktemp("set")
    return write_set(folder, (sample(i) for i in range(24)), {"source": "synthetic"})


@pytest.fixture
def model_path(model: onnx.ModelProto, tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    onnx.save(model, str(path))
    return path
