"""Checkpoints: safetensors files (no pickle) that hold weights, optimiser state and the config as metadata.

Tensor names: ``model.*`` the raw weights, ``ema.*`` their running average (what is evaluated and exported),
``contrast.*`` the contrastive heads, ``optim.*`` the optimiser's state, ``rng.*`` random states.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edge_harmony.errors import ModelError
from training.generator import FusionGenerator, GeneratorConfig

FORMAT = "edge_harmony.checkpoint.1"


def save(path: Path, tensors: dict[str, Tensor], state: dict) -> None:
    """Write a checkpoint under a temporary name, flush it to disk, and rename it: a kill leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    whole = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save_file(whole, part, {"format": FORMAT, "state": json.dumps(state)})
    with part.open("rb") as f:
        os.fsync(f.fileno())
    part.replace(path)


def load(path: Path, prefixes: tuple[str, ...] = ("",)) -> tuple[dict[str, Tensor], dict]:
    """Tensors whose names start with one of ``prefixes``, and the state that was saved with them.

    Raises:
        ModelError: missing, corrupt, or not one of our checkpoints.
    """
    if not Path(path).is_file():
        raise ModelError(f"{path} does not exist", "train one with python -m training.train")
    try:
        with safe_open(path, "pt") as f:
            meta = f.metadata() or {}
            if meta.get("format") != FORMAT:
                raise ModelError(f"{path} is no checkpoint of this version", "train one with python -m training.train")
            return {k: f.get_tensor(k) for k in f.keys() if k.startswith(prefixes)}, json.loads(meta["state"])  # noqa: SIM118
    except SafetensorError as e:
        raise ModelError(f"{path} is corrupt: {e}", "use an earlier checkpoint of the run") from None


def load_generator(path: Path, weights: str = "ema") -> tuple[FusionGenerator, dict]:
    """The generator of a checkpoint, in evaluation mode, and the checkpoint's state (``state["config"]``)."""
    tensors, state = load(Path(path), (f"{weights}.",))
    model = FusionGenerator(GeneratorConfig.from_dict(state["config"]["generator"]))
    model.load_state_dict({k.removeprefix(f"{weights}."): v for k, v in tensors.items()})
    return model.eval(), state


def weights_digest(model: FusionGenerator) -> str:
    """SHA-256 over names and values of a generator's weights: the model's identity in every exported file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
