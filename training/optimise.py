"""The optimisers of a run: Muon for the weights that mix channels, AdamW for all others."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.muon import Muon, mixes_channels


class Optimisers:
    """What moves a network's parameters, as one.

    Args:
        named: the parameters with their names.
        lr: learning rate, of all of them.
        weight_decay: of those with two or more dimensions.
        muon: AdamW alone where it is False.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], lr: float, weight_decay: float, muon: bool = True
    ) -> None:
        self.named = dict(named)
        mixing = {name: p for name, p in self.named.items() if muon and mixes_channels(name, p)}
        others = [p for name, p in self.named.items() if name not in mixing]
        groups = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.all: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, fused=True)]
        if mixing:
            self.all.append(Muon(mixing.values(), lr, weight_decay=weight_decay))
        self._of = {p: o for o in self.all for group in o.param_groups for p in group["params"]}

    def set_rate(self, lr: float) -> None:
        """The learning rate from the next step on."""
        for optimiser in self.all:
            for group in optimiser.param_groups:
                group["lr"] = lr

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for optimiser in self.all:
            optimiser.step()

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as ``NAME.KEY``."""
        return {
            f"{name}.{key}": torch.as_tensor(value)
            for name, parameter in self.named.items()
            for key, value in self._of[parameter].state[parameter].items()
        }

    def load(self, held: dict[str, Tensor]) -> None:
        """Take over what ``state`` gave; parameters without any start anew."""
        for name, parameter in self.named.items():
            values = {k.removeprefix(f"{name}."): v for k, v in held.items() if k.startswith(f"{name}.")}
            if values:  # the fused optimiser pairs values by their place in memory: laid out as the parameter is
                self._of[parameter].state[parameter] = {
                    k: torch.empty_like(parameter).copy_(v) if v.shape == parameter.shape else v.to(parameter.device)
                    for k, v in values.items()
                    if "." not in k
                }
