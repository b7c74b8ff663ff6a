"""Weights to begin a run with: from a checkpoint or from an exported model, into the same generator or a larger one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_harmony.errors import ModelError
from training import checkpoint
from training.generator import FusionGenerator

HALF = ".half"  # how the exporter names a weight that it stores in half precision


def read_weights(path: Path) -> dict[str, Tensor]:
    """A generator's weights by name: a checkpoint's averaged ones, or those of an exported graph.

    Raises:
        ModelError: missing, corrupt, or of neither kind.
    """
    if path.suffix.lower() != ".onnx":
        tensors, _ = checkpoint.load(path, ("ema.",))
        return {name.removeprefix("ema."): tensor for name, tensor in tensors.items()}
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist", "give a checkpoint or an exported .onnx") from None
    except (OSError, DecodeError) as e:
        raise ModelError(f"{path} cannot be read: {e}", "give a checkpoint or an exported .onnx") from None
    held = {i.name.removesuffix(HALF): numpy_helper.to_array(i) for i in graph.initializer}
    weights = {
        name: torch.from_numpy(np.array(a, np.float32))
        for name, a in held.items()
        if name.endswith((".weight", ".bias"))
    }
    if not weights:
        raise ModelError(
            f"{path} carries no weights by name",
            "give a transform graph that export.to_onnx wrote; quantized and converted graphs do not keep them",
        )
    return weights


def begin(generator: FusionGenerator, path: Path) -> None:
    """Give a generator the weights of a file.

    A generator that is wider or deeper than the file's computes the same at first: what is new reads everything, and
    nothing that was there before reads it.

    Raises:
        ModelError: the file has weights that the generator has no place for.
    """
    given = read_weights(path)
    own = generator.state_dict()
    strange = sorted(set(given) - set(own))
    if strange:
        raise ModelError(
            f"{path} has weights that this generator has not, such as {strange[0]}",
            "give --config the file of the model that it is, such as training/configs/nano.toml",
        )
    widths = [given[f"encoder.stages.{i}.0.0.bias"].numel() for i in range(len(generator.config.widths))]
    with torch.no_grad():
        for name, old in given.items():
            _place(name, old, own[name], widths, generator, path)


def _place(name: str, old: Tensor, new: Tensor, widths: list[int], generator: FusionGenerator, path: Path) -> None:
    """Copy one tensor into its place in a larger one, in place."""
    rows, columns = torch.arange(old.shape[0]), torch.arange(old.shape[1] if old.ndim > 1 else 1)
    if any(a > b for a, b in zip(old.shape, new.shape, strict=True)) or old.shape[2:] != new.shape[2:]:
        raise ModelError(
            f"{name} of {path} is {tuple(old.shape)}, here it is {tuple(new.shape)}",
            "give --config the file of the model that it is, such as training/configs/nano.toml, or a larger one",
        )
    parts = name.split(".")
    if parts[0] == "style" and parts[1] == "reduce" and old.ndim > 1:  # statistics x channels
        scale = int(parts[2])
        columns = _blocks(widths[scale], generator.config.widths[scale], old.shape[1] // widths[scale])
    elif parts[0] == "style" and parts[1] == "mix" and old.ndim > 1:  # scales x codes
        columns = _blocks(old.shape[1] // len(widths), generator.config.code_per_scale, len(widths))
    elif parts[:3] == ["style", "judge", "0"] and old.ndim > 1:  # the code, then the tones
        kept = generator.config.code_size
        tones = new.shape[1] - kept
        columns = torch.cat((torch.arange(old.shape[1] - tones), kept + torch.arange(tones)))
    elif parts[-2] == "style":  # scale and shift of each channel
        rows = _blocks(old.shape[0] // 2, new.shape[0] // 2, 2)
    elif parts[2:3] == ["join"] and old.ndim > 1:  # what comes from below, what from the encoder
        columns = _blocks(old.shape[1] // 2, new.shape[1] // 2, 2)
    if old.ndim == 1:
        new[rows] = old
        return
    new[rows] = 0.0
    new[rows[:, None], columns[None]] = old


def _blocks(old: int, new: int, count: int) -> Tensor:
    """Where ``count`` runs of ``old`` channels lie among as many runs of ``new``."""
    return (torch.arange(count)[:, None] * new + torch.arange(old)).flatten()
