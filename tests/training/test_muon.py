"""Muon: orthogonal steps, the same in one process and in several."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

from training.generator import FusionGenerator
from training.muon import Muon, mixes_channels, orthogonal

SHAPES = ((24, 16, 1, 1), (16, 24, 1, 1), (16, 24, 1, 1), (32, 16, 3, 3))


def parameters(seed: int = 0) -> list[nn.Parameter]:
    random = torch.Generator().manual_seed(seed)
    made = [nn.Parameter(torch.randn(shape, generator=random)) for shape in SHAPES]
    for p in made:
        p.grad = torch.randn(p.shape, generator=random)
    return made


@pytest.mark.parametrize("shape", [(3, 32, 48), (2, 16, 64), (2, 64, 16)])
def test_singular_values_are_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(1)
    matrices = torch.randn(shape) * torch.logspace(0, -1, shape[2])  # ill-conditioned, as gradients are
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_directions_are_the_gradients_own() -> None:
    torch.manual_seed(2)
    matrix = torch.randn(1, 20, 30)
    u, _, vh = torch.linalg.svd(matrix[0], full_matrices=False)
    made = orthogonal(matrix)[0]
    along = torch.diagonal(u.T @ made @ vh.T)  # on the gradient's own axes, next to nothing beside them
    assert along.min() > 0.5
    assert (u.T @ made @ vh.T - along.diag()).abs().max() < 0.05


def test_step_has_the_size_of_an_adamw_step() -> None:
    for p in (parameters()[0], parameters()[3]):
        before = p.detach().clone()
        Muon([p], lr=0.01, weight_decay=0.0).step()
        assert (p.detach() - before).square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.3)


def test_channels_last_weights_take_the_same_steps() -> None:
    plain, laid_out = parameters()[3], parameters()[3]
    laid_out.data = laid_out.data.to(memory_format=torch.channels_last)
    for p in (plain, laid_out):
        optimiser = Muon([p], lr=0.01)
        optimiser.step()
        optimiser.step()
    assert torch.allclose(plain, laid_out, atol=1e-6)


def test_a_parameter_without_gradient_stays() -> None:
    p = parameters()[0]
    p.grad = None
    before = p.detach().clone()
    Muon([p], lr=0.01).step()
    assert torch.equal(p, before)


def test_which_weights_of_the_generator_it_takes() -> None:
    taken = {name for name, p in FusionGenerator().named_parameters() if mixes_channels(name, p)}
    assert "encoder.stages.1.0.0.weight" in taken
    assert "style.mix.weight" in taken
    assert not any("stem" in name or "head" in name or name.endswith("bias") for name in taken)
    depthwise = {
        f"{name}.weight"
        for name, m in FusionGenerator().named_modules()
        if isinstance(m, torch.nn.Conv2d) and m.groups > 1
    }
    assert depthwise
    assert not depthwise & taken  # nothing is mixed


def run(rank: int, ranks: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=ranks)
    mine = parameters()
    optimiser = Muon(mine, lr=0.01)
    for _ in range(3):
        optimiser.step()
    torch.save([p.detach() for p in mine], f"{folder}/{rank}.pt")
    dist.barrier()  # one that leaves while the other still talks to it can bring it down
    dist.destroy_process_group()


def test_processes_share_the_work_and_agree(tmp_path: Path) -> None:
    alone = parameters()
    optimiser = Muon(alone, lr=0.01)
    for _ in range(3):
        optimiser.step()
    spawn(run, (2, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for p, a, b in zip(alone, first, second, strict=True):
        assert torch.equal(a, b)
        assert torch.allclose(p, a, atol=1e-3)  # bfloat16: matrices are batched otherwise
