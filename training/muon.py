"""Muon: momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024).

A gradient's matrix is dominated by a few directions; its nearest orthogonal matrix moves all of them alike, so that
rare ones are learned too. It is for weights that mix many channels; all others stay with AdamW. torch has one of its
own from 2.9 on, for matrices only: this one takes convolutions, works on all matrices of a shape at once, and shares
them out over the processes of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, overload

import torch
import torch.distributed as dist
from torch import Tensor, nn

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)  # Jordan's: steep at 0, singular values end within 0.7 .. 1.2
_LEAST: Final = 16  # rows and columns of a matrix that is worth it


def orthogonal(matrices: Tensor, rounds: int = 5) -> Tensor:
    """The orthogonal matrix nearest to each, roughly, by Newton and Schulz's iteration in bfloat16.

    Args:
        matrices: float (B, rows, columns).
        rounds: of the iteration.

    Returns:
        float32 of the same shape; singular values lie within about 0.7 .. 1.2, save those that were next to nothing.
    """
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(rounds):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()


def mixes_channels(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is one for Muon: a convolution over many channels, neither the first nor the last one."""
    if parameter.ndim != 4 or "stem" in name or "head" in name:
        return False
    return parameter.shape[1] > 1 and min(parameter.shape[0], parameter[0].numel()) >= _LEAST


class Muon(torch.optim.Optimizer):
    """Muon for convolutions (O, I, kh, kw), each seen as a matrix of O rows.

    Steps have the size that AdamW's typically have (0.2 root mean square, Liu et al. 2025), so that one learning rate
    serves both. In a distributed run each process makes its share of the matrices orthogonal; parameters and momentum
    stay equal everywhere.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            updates = [self._momentum(p, group["momentum"]).flatten(1) for p in parameters]
            for parameter, update in zip(parameters, _orthogonal_all(updates), strict=True):
                size = 0.2 * max(update.shape) ** 0.5 * group["lr"]
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view(parameter.shape), alpha=-size)
        return loss

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        """The gradient, averaged over the steps with a look ahead (Nesterov)."""
        gradient = parameter.grad
        assert gradient is not None
        state: dict[str, Any] = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(state["momentum"], momentum)


def _orthogonal_all(matrices: list[Tensor]) -> list[Tensor]:
    """``orthogonal`` of matrices of any shapes, each process of a distributed run doing its share."""
    ranks = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    rank = dist.get_rank() if ranks > 1 else 0
    out = [torch.zeros_like(m) for m in matrices]
    load = [0] * ranks
    mine: dict[tuple[int, int], list[int]] = {}
    for i in sorted(range(len(matrices)), key=lambda i: -matrices[i].numel()):  # the largest first, to whom has least
        rows, columns = matrices[i].shape
        to = load.index(min(load))
        load[to] += rows * columns * min(rows, columns)
        if to == rank:
            mine.setdefault((rows, columns), []).append(i)
    for places in mine.values():
        made = orthogonal(torch.stack([matrices[i] for i in places]))
        for i, matrix in zip(places, made, strict=True):
            out[i] = matrix
    if ranks == 1:
        return out
    flat = torch.cat([m.flatten() for m in out])
    dist.all_reduce(flat)
    return [part.view(m.shape) for part, m in zip(flat.split([m.numel() for m in out]), matrices, strict=True)]
