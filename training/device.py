"""Where a run computes: the device that was asked for, or an error that says why it cannot be had."""

from __future__ import annotations

import os

import torch

from edge_harmony.errors import BackendUnavailableError, ConfigError


def choose_device(name: str) -> torch.device:
    """The device ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; of a GPU, it becomes this process's current one.

    Raises:
        ConfigError: another name. BackendUnavailableError: there is no such GPU.
    """
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())) or name.endswith(":"):
        raise ConfigError(f"--device {name} is no device", "use auto, cpu, cuda or cuda:N")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            here = "sees no GPU" if torch.version.cuda else "was built for CPUs alone"
            raise BackendUnavailableError(
                f"--device {name}: PyTorch {torch.__version__} {here}",
                "use --device cpu, or install a PyTorch that fits the driver (nvidia-smi shows its CUDA)",
            )
        if index and int(index) >= count:
            raise BackendUnavailableError(f"--device {name}: there are {count} GPUs", f"the last is cuda:{count - 1}")
    device = torch.device(kind, int(index)) if index else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    return device
