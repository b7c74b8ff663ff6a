"""Checkpoints: safetensors files (no pickle) that hold weights, optimiser state and the config as metadata.

Tensor names: ``model.*`` the raw weights, ``ema.*`` their running average (what is evaluated and exported),
``contrast.*`` the contrastive heads, ``optim.*`` the optimiser's state, ``rng.*`` random states.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.run.whole_file import unwritable
from training.generator import FusionGenerator, GeneratorConfig
from training.settings import overridden

FORMAT = "edge_harmony.checkpoint.1"
_ODD = (SafetensorError, LookupError, ArithmeticError, TypeError, ValueError, AttributeError, RuntimeError)
_EARLIER = "use an earlier checkpoint of the run, or begin another: choose another --out folder"


def save(path: Path, tensors: dict[str, Tensor], state: dict) -> None:
    """Write a checkpoint under a temporary name, flush it to disk, and rename it: a kill leaves the old one whole.

    Raises:
        SinkError: it cannot be written, or the disk is full; the one that was there before stays.
    """
    part = path.with_name(path.name + ".part")
    whole = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(whole, part, {"format": FORMAT, "state": json.dumps(state)})
        with part.open("rb") as f:
            os.fsync(f.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            part.unlink()
        raise unwritable(path, _as_system_error(error)) from None


def _as_system_error(error: Exception) -> OSError:
    """safetensors tells what the system said in words alone, with its number in them."""
    number = re.search(r"os error (\d+)", str(error))
    if isinstance(error, OSError):
        return error
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))


def load(path: Path, prefixes: tuple[str, ...] = ("",)) -> tuple[dict[str, Tensor], dict]:
    """Tensors whose names start with one of ``prefixes``, and the state that was saved with them.

    Raises:
        ModelError: missing, corrupt, or not one of our checkpoints.
    """
    if not Path(path).is_file():
        raise ModelError(f"{path} does not exist", "train one with python -m training.train")
    with understood(path):
        with safe_open(path, "pt") as f:
            meta = f.metadata() or {}
            if meta.get("format") != FORMAT:
                raise ModelError(f"{path} is no checkpoint of this version", "train one with python -m training.train")
            tensors = {k: f.get_tensor(k) for k in f.keys() if k.startswith(prefixes)}  # noqa: SIM118
        state = json.loads(meta["state"])
        if not isinstance(state["config"], dict) or type(state["step"]) is not int or state["step"] < 0:
            raise ValueError("its state names no settings or no step")
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{name} holds NaN or infinity")
    return tensors, state


@contextmanager
def understood(path: Path) -> Generator[None]:
    """What is done in here with a checkpoint's contents fails for one reason: they are not what they should be.

    Raises:
        ModelError: something of it failed.
    """
    try:
        yield
    except ConfigError as error:
        raise ModelError(f"{path} is corrupt: {error.message}", _EARLIER) from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}", "check its permissions") from None
    except _ODD as error:
        words = (str(error).strip().splitlines() or [""])[0][:200]
        raise ModelError(f"{path} is corrupt: {type(error).__name__}: {words}", _EARLIER) from None


def load_generator(path: Path, weights: str = "ema") -> tuple[FusionGenerator, dict]:
    """The generator of a checkpoint, in evaluation mode, and the checkpoint's state (``state["config"]``)."""
    tensors, state = load(Path(path), (f"{weights}.",))
    with understood(path):
        model = FusionGenerator(overridden(state["config"]["generator"], {}, GeneratorConfig))
        model.load_state_dict({k.removeprefix(f"{weights}."): v for k, v in tensors.items()})
    return model.eval(), state


def weights_digest(model: FusionGenerator) -> str:
    """SHA-256 over names and values of a generator's weights: the model's identity in every exported file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
