"""Checkpoints: whole or absent, checked before they are used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edge_harmony.errors import ModelError
from training import checkpoint
from training.config import TrainConfig
from training.generator import FusionGenerator, GeneratorConfig

CONFIG = GeneratorConfig(stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), decoder_depths=(1, 1, 1), code_size=16)


def stored(path: Path) -> tuple[FusionGenerator, FusionGenerator]:
    """A checkpoint with raw and averaged weights that differ."""
    torch.manual_seed(0)
    raw, average = FusionGenerator(CONFIG), FusionGenerator(CONFIG)
    tensors = {f"model.{k}": v for k, v in raw.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in average.state_dict().items()}
    checkpoint.save(path, tensors, {"config": TrainConfig(generator=CONFIG).to_dict(), "step": 7})
    return raw, average


def test_generator_comes_back_to_the_bit(tmp_path: Path) -> None:
    raw, average = stored(tmp_path / "deep" / "c.safetensors")
    view = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    with torch.no_grad():
        for weights, original in (("ema", average), ("model", raw)):
            loaded, state = checkpoint.load_generator(tmp_path / "deep" / "c.safetensors", weights)
            assert not loaded.training
            assert state["step"] == 7
            assert loaded.config == CONFIG
            assert torch.equal(loaded(*view), original.eval()(*view))
            assert checkpoint.weights_digest(loaded) == checkpoint.weights_digest(original)
    assert checkpoint.weights_digest(raw) != checkpoint.weights_digest(average)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["c.safetensors"]


def test_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    stored(path)
    before = path.read_bytes()
    (tmp_path / "c.safetensors.part").mkdir()  # where the temporary file would go
    with pytest.raises(Exception, match=r"c\.safetensors\.part|directory"):
        stored(path)
    assert path.read_bytes() == before


def test_bad_files_are_refused_in_words(tmp_path: Path) -> None:
    stored(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.safetensors").write_bytes(b"\x00" * 64)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, words in (
        ("none", "does not exist"),
        ("cut", "corrupt"),
        ("noise", "corrupt"),
        ("other", "no checkpoint"),
    ):
        with pytest.raises(ModelError, match=words) as error:
            checkpoint.load_generator(tmp_path / f"{name}.safetensors")
        assert error.value.hint
