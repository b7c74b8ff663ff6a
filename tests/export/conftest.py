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
        model.head.weight.normal_(0, 0.005)
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


@pytest.fixture(scope="session")
def ranges(transform_model: onnx.ModelProto) -> dict[str, float]:
    """The largest magnitude of every tensor that a quantizable convolution reads, on a few pictures."""
    import numpy as np

    from edge_harmony import contract
    from export import precision, reference, runtime
    from export.scenes import synthetic_scenes

    probe = onnx.ModelProto.FromString(transform_model.SerializeToString())
    for tensor in dict.fromkeys(site.tensor for site in precision.convolutions(transform_model)):
        probe.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    session = runtime.session(probe)
    names = [output.name for output in session.get_outputs()]
    largest = dict.fromkeys(names, 0.0)
    for scene in synthetic_scenes(((128, 160), (96, 96), (160, 120)), seed=50):
        view = reference.working_view(scene.foreground_bgr, scene.alpha, scene.background_bgr)
        feeds = {name: x.numpy() for name, x in zip(contract.TRANSFORM_GRAPH_INPUTS, view, strict=True)}
        for name, value in zip(names, session.run(names, feeds), strict=True):
            largest[name] = max(largest[name], float(np.abs(value).max()))
    return largest


@pytest.fixture(scope="session")
def int8_model(transform_model: onnx.ModelProto, ranges: dict[str, float]) -> onnx.ModelProto:
    from export.precision import to_int8

    return to_int8(transform_model, ranges, calibration_sha256="c0ffee")
