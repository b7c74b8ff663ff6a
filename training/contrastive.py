"""Region-wise contrastive learning: the harmonized foreground should have a style that belongs to the true background.

After *Image Harmonization with Region-wise Contrastive Learning* (Liang & Pun, arXiv 2205.14058), whose abstract
states: samples from the output's harmonized foreground are pulled towards samples from the ground truth's background
by maximising their mutual information, with InfoNCE (van den Oord et al. 2018) as its bound. Where it is silent:

* **What a sample is.** Two places of a picture differ in content, so the features of single positions are noisy
  positives. A sample is the *style* of a random part of a region: mean and deviation of the features over a random
  subset of its positions. Several samples of one region are several views of its style.
* **Features**: those of a copy of the generator's encoder as it was at the start of the run, of pictures at full view
  with an empty mask, the way it sees a background. The copy stays as it is: a critic that looks through what it trains
  can be pleased by what it sees instead of by what is shown. The first scales are enough, and have many positions.
* **The critic**: one linear head for each region, because what a foreground shows of a light (skin, cloth) is not what
  a background shows of it (walls, sky). It learns from true pictures alone, first by itself, then along with the
  generator, which it only judges.
* **Negatives**: the backgrounds of other pictures, a thousand of them from a bank; and the same subject in other looks,
  the composite's among them: the same content in the wrong style, the hardest there is.
* **Weight**: a share of the reconstruction's gradient where both meet, on the output's pixels, so that it means the
  same at any time of any run.
* Nothing here reaches the exported graph.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.fusion import region_statistics
from training.generator import Encoder
from training.losses import foreground_mean

AMONG = 8  # backgrounds that the critic's share of right choices is of; one in eight is chance


class RegionContrast(nn.Module):
    """A critic of region styles, and InfoNCE with it.

    Args:
        encoder: the generator's; the critic has a copy of its first scales (``watch`` takes over later weights).
        scales: whose features are compared: 0 the stem, 1 the encoder's first scale, and so on.
        size: of the projected samples.
        samples: drawn from each region of each picture.
        keep: share of a region's positions in one sample.
        temperature: of InfoNCE.
        bank: other pictures' backgrounds that serve as negatives.
        looks: of the same subject that serve as negatives, beside the composite's own.
        disturbed: mean absolute foreground error (0..1) from which another look counts as another.
    """

    def __init__(
        self,
        encoder: Encoder,
        scales: tuple[int, ...] = (0, 1),
        size: int = 64,
        samples: int = 4,
        keep: float = 0.5,
        temperature: float = 0.1,
        bank: int = 1024,
        looks: int = 2,
        disturbed: float = 0.03,
    ) -> None:
        super().__init__()
        last = max(scales)
        self.layers = nn.ModuleList(deepcopy([encoder.stem, *encoder.stages][: last + 1])).requires_grad_(False)
        self.seam, self.scales = encoder.seam, tuple(scales)
        self.samples, self.keep, self.temperature = samples, keep, temperature
        self.looks, self.disturbed = looks, disturbed
        with torch.no_grad():
            widths = self.styles(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))[0].shape[2]
        self.level = nn.BatchNorm1d(widths, affine=False)  # of true pictures' styles; linear once it is learned
        self.heads = nn.ModuleDict({"foreground": nn.Linear(widths, size), "background": nn.Linear(widths, size)})
        for name in ("bank", "filled"):
            self.register_buffer(name, None)
        self.bank = torch.zeros(bank, widths)
        self.filled = torch.zeros((), dtype=torch.long)

    def watch(self, encoder: Encoder) -> None:
        """Take over an encoder's weights: those that the run begins with."""
        for own, given in zip(self.layers, [encoder.stem, *encoder.stages], strict=False):
            own.load_state_dict(given.state_dict())

    def styles(self, pictures: Tensor, *regions: Tensor) -> tuple[Tensor, ...]:
        """Samples of the style of each region.

        Args:
            pictures: float (N, 3, S, S) RGB 0..1.
            regions: float (N, 1, S, S), 0..1.

        Returns:
            For each region float32 (N, samples, 2 x channels).
        """
        centred, none = pictures - 0.5, torch.zeros_like(regions[0])
        x = torch.cat((centred, centred * none, none) if self.seam else (centred, none), 1)
        found: list[list[Tensor]] = [[] for _ in regions]
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.scales:
                for region, styles in zip(regions, found, strict=True):
                    held = F.adaptive_avg_pool2d(region, x.shape[-2:])
                    parts = held * (torch.rand(len(x), self.samples, *x.shape[-2:], device=x.device) < self.keep)
                    styles += region_statistics(x, parts)
        return tuple(torch.cat(styles, 2) for styles in found)

    def project(self, name: str, styles: Tensor, fixed: bool = False) -> Tensor:
        """Styles (..., 2 x channels) through a region's head to unit vectors; ``fixed`` trains no head."""
        with torch.autocast(styles.device.type, enabled=False):
            level, head = self.level, self.heads[name]
            assert isinstance(head, nn.Linear)
            assert level.running_mean is not None
            assert level.running_var is not None
            x = (styles.float() - level.running_mean) * (level.running_var + level.eps).rsqrt()
            weight, bias = (head.weight.detach(), head.bias.detach()) if fixed else (head.weight, head.bias)
            return F.normalize(F.linear(x, weight, bias), dim=-1)

    def forward(self, output: Tensor, real: Tensor, composite: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """What a batch says, scalars.

        Args:
            output: float (N, 3, S, S), harmonized composite (background as in ``real``); gradients flow through it.
            real, composite: float (N, 3, S, S), ground truth and unharmonized composite.
            mask: float (N, 1, S, S), foreground.

        Returns:
            ``contrast``: InfoNCE of the output's foregrounds, which trains the output and nothing else; ``critic``: of
            the truth's, which trains the heads and nothing else; ``found``: the share of true foregrounds whose own
            background the critic finds among ``AMONG``.
        """
        area = mask.mean((1, 2, 3))
        usable = ((area > 0.004) & (area < 0.98)).float()  # both regions exist
        with torch.no_grad():
            others = [composite] + [mask * other_look(real) + (1 - mask) * real for _ in range(self.looks)]
            apart = torch.stack([foreground_mean((other - real).abs(), mask) for other in others], 1)  # (N, L)
            wrong = torch.stack([self.styles(other, mask)[0] for other in others], 1)  # (N, L, K, 2C)
            truth, behind = self.styles(real, mask, 1.0 - mask)
            seen = usable > 0
            if self.training and int(seen.sum()) > 1:
                self.level(torch.cat((truth[seen], behind[seen])).flatten(0, 1).float())
        negative = (apart > self.disturbed) & (usable[:, None] > 0)  # (N, L)
        negative = negative[:, :, None].expand(-1, -1, self.samples).flatten(1)  # (N, L*K)
        wrong = wrong.flatten(1, 2)
        result = {}
        for term, styles, fixed in (("contrast", self.styles(output, mask)[0], True), ("critic", truth, False)):
            own = self.project("background", behind, fixed)  # (N, K, D)
            held = self.project("background", self.bank[: max(1, min(int(self.filled), len(self.bank)))], fixed)
            subject = self.project("foreground", styles, fixed)
            hard = self.project("foreground", wrong, fixed)
            far = torch.full_like(held[:, 0], -1e4 if int(self.filled) == 0 else 0.0)
            which = info_nce(subject, own, subject @ held.mT + far, self.temperature)
            how = info_nce(own, subject, (own @ hard.mT).masked_fill(~negative[:, None], -1e4), self.temperature)
            result[term] = ((which + how) * usable).sum() / usable.sum().clamp_min(1.0)
            if term == "critic":
                result["found"] = self.found(subject.detach(), own.detach(), held.detach(), usable)
        if self.training:
            self.keep_in_bank(behind[seen, 0].float())
        return result

    @torch.no_grad()
    def found(self, subject: Tensor, own: Tensor, held: Tensor, usable: Tensor) -> Tensor:
        """The share of samples that are nearer to their own background's than to seven of the bank's."""
        n, samples = subject.shape[:2]
        seven = held[torch.randint(len(held), (n, samples, AMONG - 1), device=held.device)]
        right = (subject * own).sum(2) > torch.einsum("nkd,nkmd->nkm", subject, seven).amax(2)
        return (right.float().mean(1) * usable).sum() / usable.sum().clamp_min(1.0)

    @torch.no_grad()
    def keep_in_bank(self, styles: Tensor) -> None:
        """Put styles (M, 2C) in the place of the oldest."""
        places = (int(self.filled) + torch.arange(len(styles), device=styles.device)) % len(self.bank)
        self.bank[places] = styles
        self.filled += len(styles)


def info_nce(query: Tensor, own: Tensor, others: Tensor, temperature: float) -> Tensor:
    """InfoNCE of every query against every positive of its picture.

    Args:
        query, own: (N, K, D) unit vectors.
        others: (N, K, M), products of the queries with the negatives' unit vectors.
        temperature: that products are divided by.

    Returns:
        (N,), the mean of -log p(positive).
    """
    same = torch.einsum("nkd,njd->nkj", query, own) / temperature
    rest = (others / temperature).logsumexp(2, keepdim=True)
    return (torch.logaddexp(same, rest) - same).mean((1, 2))


def other_look(pictures: Tensor) -> Tensor:
    """Pictures (N, 3, H, W), 0..1, each in a random other light and grading."""
    n = len(pictures)

    def drawn(deviation: float, channels: int = 1) -> Tensor:
        return (deviation * torch.randn(n, channels, 1, 1, device=pictures.device)).exp()

    graded = pictures.clamp_min(1e-4) ** drawn(0.35) * drawn(0.15, 3) * drawn(0.25)
    grey = graded.mean(1, keepdim=True)
    return (grey + (graded - grey) * drawn(0.3)).clamp(0, 1)


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, share: float) -> tuple[Tensor, Tensor]:
        ctx.share = share
        return output.clone(), output.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        main, other = gradients
        return main + other * (ctx.share * main.norm() / other.norm().clamp_min(1e-12)), None


def shared(output: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """An output twice, for two losses: the second one's gradient gets ``share`` times the norm of the first one's."""
    return _Shared.apply(output, share)  # pyright: ignore[reportReturnType]
