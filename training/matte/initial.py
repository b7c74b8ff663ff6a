"""Weights for a matte's run to begin with, out of an exported graph."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from edge_harmony.errors import ModelError
from training.initial import read_weights
from training.matte.network import Conv, MatteNet

NORMALISED: Final = 96  # pictures over which the statistics of each layer are taken


@torch.no_grad()
def begin(net: MatteNet, path: Path, pictures: Tensor) -> None:
    """Give a network the weights of an exported one.

    What is exported has its batch normalisations folded into the convolutions. They are taken apart again: each gets
    the mean and deviation that its convolution has over some pictures, and the scale and offset that undo them, so that
    the network computes the same at first and learns as one that was never folded.

    Args:
        net: of the exported one's shape.
        path: what ``export.matte`` wrote.
        pictures: float (N, 4, S, S), samples.

    Raises:
        ModelError: missing, no such graph, or of another shape.
    """
    given = read_weights(path)
    own = net.state_dict()
    wanted = {
        f"{name}.0.{kind}": None
        for name, m in net.named_modules()
        if isinstance(m, Conv)
        for kind in ("weight", "bias")
    }
    wanted |= {name: None for name in own if not any(name.startswith(f"{w.rsplit('.', 2)[0]}.") for w in wanted)}
    missing, strange = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    if missing or strange:
        raise ModelError(
            f"{path} and this matte differ: {', '.join((missing + strange)[:3])}",
            "use an exported matte of the configuration's network, such as edge_harmony/models/person.onnx",
        )

    def split(name: str, module: Conv):
        def hook(_conv: nn.Module, _inputs: tuple, out: Tensor) -> None:
            norm = module[1]
            assert isinstance(norm, nn.BatchNorm2d)
            mean, variance = out.float().mean((0, 2, 3)), out.float().var((0, 2, 3))
            norm.running_mean.copy_(mean)  # pyright: ignore[reportOptionalMemberAccess]
            norm.running_var.copy_(variance)  # pyright: ignore[reportOptionalMemberAccess]
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(given[f"{name}.0.bias"] + mean)

        return hook

    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, Conv):
            weight = module[0].weight
            assert isinstance(weight, Tensor)
            if weight.shape != given[f"{name}.0.weight"].shape:
                raise ModelError(
                    f"{path}: {name} is {tuple(given[f'{name}.0.weight'].shape)}, here {tuple(weight.shape)}",
                    "use the configuration it was trained with",
                )
            weight.copy_(given[f"{name}.0.weight"])
            conv = module[0]
            assert isinstance(conv, nn.Conv2d)
            hooks.append(conv.register_forward_hook(split(name, module)))
    for name, tensor in own.items():
        if (
            name in given
            and not name.endswith(("running_mean", "running_var"))
            and name in wanted
            and tensor.shape == given[name].shape
        ):
            tensor.copy_(given[name])
    net.eval()  # one pass sets each normalisation before what follows it is seen
    net.logits(pictures)
    net.train()
    for hook in hooks:
        hook.remove()
