"""An untrained generator that is far from the identity, and what the export makes of it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

pytest.importorskip("torch", reason="the training extra is not installed")


@pytest.fixture(scope="session")
def generator():
    """A full-size generator, every layer of it at work, whose transforms are far from the identity."""
    import torch

    from training.generator import FusionGenerator

    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = FusionGenerator()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d) and not module.weight.any():  # starts as the identity
                module.weight.normal_(0, 0.3 / module.weight[0].numel() ** 0.5)
        model.head.weight.normal_(0, 0.02)
    return model.eval()


@pytest.fixture(scope="session")
def exported(generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base.onnx and base_frame.onnx, exported with every check."""
    from export.to_onnx import export

    folder = tmp_path_factory.mktemp("exported")
    export(generator, folder, "base")
    return folder


@pytest.fixture(scope="session")
def transform_model(exported: Path) -> onnx.ModelProto:
    return onnx.load(exported / "base.onnx")


@pytest.fixture(scope="session")
def frame_model(exported: Path) -> onnx.ModelProto:
    return onnx.load(exported / "base_frame.onnx")


@pytest.fixture(scope="session")
def rtx() -> None:
    """TensorRT-RTX, whose builder needs no GPU."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install -e '.[rtx]'")
