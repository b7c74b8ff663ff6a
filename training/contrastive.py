"""Region-wise contrastive learning: the harmonized foreground should share its style with the true background.

After *Image Harmonization with Region-wise Contrastive Learning* (Liang & Pun, arXiv 2205.14058), whose abstract
states: samples from the output's harmonized foreground are pulled towards samples from the ground truth's background
by maximising their mutual information, with InfoNCE (van den Oord et al. 2018) as its bound. Where it is silent:

* **What a sample is.** Two places of a picture differ in content, so the features of single positions are noisy
  positives. A sample is the *style* of a random part of a region: mean and deviation of the features over a random
  subset of its positions, projected and normalised. Several samples of one region are several views of its style.
* **Features**: those of the generator's own encoder, of pictures read down to half size and with an empty mask, the
  way it sees a background. They need no other network, and what the loss teaches the encoder to tell apart is what
  the fusion then reads.
* **Negatives**: the foreground of the unharmonized composite (the same content in the wrong style: the hardest there
  is) and the backgrounds of the batch's other pictures. A foreground that was hardly disturbed is no negative.
* Nothing here reaches the exported graph: the heads live in this module.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.errors import ConfigError
from training.fusion import region_statistics
from training.generator import Encoder
from training.losses import foreground_mean

TRAINS = ("both", "output", "encoder")


class RegionContrast(nn.Module):
    """InfoNCE between styles of regions, at several of the encoder's scales.

    Args:
        channels: of the encoder's scales that are compared, by the scale's number (0 is the finest); explicitly, so
            that every parameter exists before DDP wraps the module or a checkpoint is loaded.
        size: of the projected samples.
        samples: drawn from each region of each picture.
        keep: share of a region's positions in one sample.
        temperature: of InfoNCE.
        disturbed: mean absolute foreground error (0..1) from which a composite counts as a negative.
        trains: ``both`` the encoder that it looks through and the output; ``output`` alone, the encoder being what it
            is; or ``encoder`` alone, which learns to tell harmonized foregrounds from others while the output stays
            the reconstruction's affair.
        share: of a batch's pictures that the term looks at, at least two; its three further passes of the encoder
            cost as much as the generator, and every picture's turn comes.
    """

    def __init__(
        self, channels: dict[int, int], size: int = 64, samples: int = 4, keep: float = 0.5, temperature: float = 0.1,
        disturbed: float = 0.03, share: float = 0.5, trains: str = "both",
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * c, 2 * size), nn.ReLU(), nn.Linear(2 * size, size)) for c in channels.values()
        )
        self.scales = tuple(channels)
        self.samples, self.keep = samples, keep
        self.temperature, self.disturbed, self.share = temperature, disturbed, share
        if trains not in TRAINS:
            raise ConfigError(f"the contrastive term cannot train {trains!r}", f"use one of {', '.join(TRAINS)}")
        self.trains = trains

    def project(self, head: nn.Module, features: Tensor, region: Tensor) -> Tensor:
        """Features (N, C, H, W) and region (N, 1, H, W) to ``samples`` unit vectors each, (N, samples, size)."""
        n, _, h, w = region.shape
        subsets = region * (torch.rand(n, self.samples, h, w, device=region.device) < self.keep)
        with torch.autocast(features.device.type, enabled=False):
            return F.normalize(head(torch.cat(region_statistics(features, subsets), 2)), dim=-1)

    def forward(self, encoder: Encoder, output: Tensor, real: Tensor, composite: Tensor, mask: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            encoder: the generator's.
            output: float (N, 3, S, S), harmonized composite (background as in ``real``); gradients flow through it.
            real, composite: float (N, 3, S, S), ground truth and unharmonized composite.
            mask: float (N, 1, S, S), foreground.
        """
        few = slice(0, max(2, round(self.share * len(mask))))
        output, real, composite, mask = output[few], real[few], composite[few], mask[few]
        error = foreground_mean((composite - real).abs(), mask)  # (N,)
        area = mask.mean((1, 2, 3))
        usable = ((area > 0.004) & (area < 0.98)).float()  # both regions exist
        negative = (error > self.disturbed) & (usable > 0)
        pictures = F.avg_pool2d(torch.cat((output, real, composite)), 2)
        small = F.avg_pool2d(mask, 2)
        empty = torch.zeros_like(small).repeat(3, 1, 1, 1)
        if self.trains == "output":
            fixed = {name: p.detach() for name, p in encoder.named_parameters()}
            features = torch.func.functional_call(encoder, fixed, (pictures, empty))
        else:
            features = encoder(pictures.detach() if self.trains == "encoder" else pictures, empty)
        loss = output.new_zeros(())
        for scale, head in zip(self.scales, self.heads, strict=True):
            harmonized, truth, disturbed = features[scale].float().chunk(3)
            region = F.adaptive_avg_pool2d(small, harmonized.shape[-2:])
            query = self.project(head, harmonized, region)  # (N, K, D): the output's foreground
            positive = self.project(head, truth, 1.0 - region)  # (N, K, D): the truth's background
            wrong = self.project(head, disturbed, region)  # (N, K, D): the composite's foreground
            loss = loss + self.info_nce(query, positive, wrong, negative, usable)
        return loss / len(self.heads)

    def info_nce(self, query: Tensor, positive: Tensor, wrong: Tensor, negative: Tensor, usable: Tensor) -> Tensor:
        """InfoNCE of every query against every positive of its picture.

        Args:
            query, positive, wrong: (N, K, D) unit vectors.
            negative: bool (N,), whether ``wrong`` of that picture may serve as a negative.
            usable: float (N,), 1 where a picture has both regions.
        """
        n = len(query)
        same = torch.einsum("nkd,njd->nkj", query, positive) / self.temperature  # (N, K, K)
        hard = torch.einsum("nkd,njd->nkj", query, wrong) / self.temperature  # (N, K, K)
        hard = hard.masked_fill(~negative[:, None, None], -1e4)
        other = torch.einsum("nkd,mjd->nkmj", query, positive) / self.temperature  # (N, K, N, K)
        own = torch.eye(n, dtype=torch.bool, device=query.device)[:, None, :, None]
        other = other.masked_fill(own | (usable < 0.5)[None, None, :, None], -1e4).flatten(2)  # (N, K, N*K)
        rest = torch.cat((hard, other), 2).logsumexp(2, keepdim=True)  # (N, K, 1)
        each = torch.logaddexp(same, rest) - same  # (N, K, K): -log p(positive)
        return (each.mean((1, 2)) * usable).sum() / usable.sum().clamp_min(1.0)
