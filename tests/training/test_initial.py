"""Beginning a run from weights that exist: the same network, or a larger one that computes the same at first."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edge_harmony.errors import ModelError
from export.packing import pack
from export.to_onnx import transform_graph
from training import checkpoint
from training.generator import FusionGenerator, GeneratorConfig
from training.initial import begin, read_weights

SMALL = GeneratorConfig(
    stem=8,
    widths=(8, 16, 16, 16),
    depths=(1, 0, 0, 0),
    decoder_depths=(1, 1),
    code_size=16,
    code_per_scale=8,
    context=(),
)
LARGE = GeneratorConfig(
    stem=12,
    widths=(16, 20, 24, 32),
    depths=(1, 1, 0, 1),
    decoder_depths=(1, 1),
    code_size=16,
    code_per_scale=8,
    context=(0, 1, 2),
    decoder_context=(1,),
)
SHIPPED = Path(__file__).parents[2] / "edge_harmony" / "models"


@pytest.fixture
def trained() -> FusionGenerator:
    """A generator whose every weight matters."""
    torch.manual_seed(4)
    model = FusionGenerator(SMALL).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def saved(model: FusionGenerator, path: Path) -> Path:
    checkpoint.save(path, {f"ema.{k}": v for k, v in model.state_dict().items()}, {"config": {}, "step": 1})
    return path


def picture() -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.zeros(2, 1, 256, 256)
    mask[:, :, 60:200, 80:180] = 1
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1)), mask


def test_a_larger_generator_computes_the_same_at_first(trained: FusionGenerator, tmp_path: Path) -> None:
    larger = FusionGenerator(LARGE).eval()
    before = larger(*picture())
    begin(larger, saved(trained, tmp_path / "small.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(larger(*picture()), trained(*picture()), rtol=1e-3, atol=2e-5)
        assert not torch.allclose(before, trained(*picture()), atol=1e-2)


@pytest.mark.parametrize("compact", [False, True])
def test_an_exported_model_gives_its_weights_back(trained: FusionGenerator, tmp_path: Path, compact: bool) -> None:
    import onnx

    if compact:
        trained.half().float()
    graph = transform_graph(trained, "small")
    path = tmp_path / "small.onnx"
    onnx.save(pack(graph) if compact else graph, path)
    again = FusionGenerator(SMALL)
    begin(again, path)
    assert checkpoint.weights_digest(again) == checkpoint.weights_digest(trained)


def test_what_does_not_fit_is_refused(trained: FusionGenerator, tmp_path: Path) -> None:
    path = saved(FusionGenerator(LARGE), tmp_path / "large.safetensors")
    with pytest.raises(ModelError) as error:
        begin(FusionGenerator(SMALL), path)
    assert "--config" in error.value.hint
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07\x12no model")
    for name in ("none.onnx", "broken.onnx", "none.safetensors"):
        with pytest.raises(ModelError, match=name):
            read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["base", "nano"])
def test_the_shipped_models_can_be_trained_on(name: str) -> None:
    from training.config import read_config

    config = read_config(SHIPPED.parents[1] / "training" / "configs" / f"{name}.toml", {})
    model = FusionGenerator(config.generator)
    begin(model, SHIPPED / f"{name}.onnx")
    with torch.no_grad():
        assert torch.isfinite(model.eval()(*picture())).all()
