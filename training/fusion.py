"""External style fusion: the background's appearance renders the decoder's foreground features.

The idea is that of *Image Harmonization with Region-wise Contrastive Learning* (Liang & Pun, arXiv 2205.14058):
the style reference is not what the decoder happens to hold in its own background positions, but the appearance of
the background as the encoder sees it. The abstract leaves the form open. Ours has three parts, and one to compare with:

* ``StyleCode`` gathers the style: channel means and deviations of the encoder's features over the background (and,
  so that the network can judge the mismatch, over the foreground and the seam between them) at every scale, in one
  vector.
* ``Tones`` reads what a look does where it shows most: how much of a region is how bright, and which way its colours
  lean at each brightness (a film's lifted blacks, its teal shadows, an evening's warm lights). Means and deviations of
  small filters say little of a picture's ends.
* ``StyleFusion`` renders: the decoder's foreground features are normalised over the foreground (their own style is
  taken away), then scaled and shifted as the style code says. Background features pass unchanged.
* ``StyleAttention`` could add what statistics cannot hold, *which* part of the background a piece of the foreground
  resembles: at one coarse scale every position reads from the background's encoder features alone. It is for
  comparison: trained with it, the network did not come to use it.

Statistics are products with weights that sum to one, never sums, so that they do not overflow.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-4  # on variances and coverages: representable in FP16


def region_statistics(features: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over soft regions.

    All regions' come from two matrix products, which costs a third of taking one region after the other. Features are
    centred before they are squared, so that a mean far from zero does not drown the deviation.

    Args:
        features: float (N, C, H, W).
        regions: float (N, R, H, W), 0..1, how much of each position belongs to each region. One may be empty: its
            statistics then go to zero mean and zero deviation, never to NaN.

    Returns:
        Two float32 tensors (N, R, C).
    """
    if torch.is_autocast_enabled(features.device.type):  # its matrix products would round squares to half precision
        with torch.autocast(features.device.type, enabled=False):
            return region_statistics(features, regions)
    flat = features.float().flatten(2)  # (N, C, HW)
    weights = regions.float().flatten(2)
    coverage = weights.mean(2, keepdim=True)  # (N, R, 1)
    weights = weights / (coverage + EPS) / flat.shape[2]  # sum to 1 over the frame, or to 0
    centre = flat.mean(2, keepdim=True)  # (N, C, 1)
    centred = flat - centre
    mean = weights @ centred.mT
    variance = weights @ (centred * centred).mT - mean * mean
    return mean + centre.mT * (coverage / (coverage + EPS)), (variance.clamp_min(0.0) + EPS).sqrt()


def as_map(values: Tensor) -> Tensor:
    """Statistics of one region (N, 1, C) as a map that spreads over every position, (N, C, 1, 1)."""
    return values.mT.unsqueeze(3)


LUMA: Final = (0.299, 0.587, 0.114)  # BT.601, on gamma-encoded RGB
LEAST_TONE = 0.01  # share of a region below which its lean at one brightness counts for less


class Tones(nn.Module):
    """How much of each region is how bright, and which way its colours lean at each brightness.

    Brightness falls softly into ``count`` steps from black to white, so that a shift smaller than a step still tells.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("levels", None, persistent=False)
        self.levels = torch.arange(count, dtype=torch.float32).view(1, 1, count, 1)
        self.register_buffer("luma", None, persistent=False)
        self.luma = torch.tensor(LUMA).view(1, 3, 1)

    def forward(self, picture: Tensor, regions: Tensor) -> Tensor:
        """Statistics of a picture's regions.

        Args:
            picture: float (N, 3, H, W) RGB 0..1.
            regions: float (N, R, H, W), 0..1; one may be empty, whose statistics go to zero.

        Returns:
            float32 (N, R * count * 4): for each region and step its share of the region, then the mean of R, G and B
            less brightness there, times 4.
        """
        if torch.is_autocast_enabled(picture.device.type):  # half precision has eight steps where a look has one
            with torch.autocast(picture.device.type, enabled=False):
                return self(picture, regions)
        flat, weights = picture.float().flatten(2), regions.float().flatten(2)  # (N, 3, HW), (N, R, HW)
        weights = weights / (weights.mean(2, keepdim=True) + EPS) / flat.shape[2]
        brightness = (flat * self.luma).sum(1, keepdim=True)  # (N, 1, HW)
        distance = (brightness[:, :, None] * (self.count - 1) - self.levels).abs()  # (N, 1, count, HW)
        steps = (weights[:, :, None] * (1.0 - distance).clamp_min(0.0)).flatten(1, 2)  # (N, R * count, HW)
        share = steps.sum(2, keepdim=True)
        lean = steps @ (flat - brightness).mT / (share + LEAST_TONE)
        return torch.cat((share, 4.0 * lean), 2).flatten(1)


class StyleCode(nn.Module):
    """One vector for the styles of regions at all of the encoder's scales.

    Args:
        channels: of the encoder's scales.
        size: of the code.
        per_scale: size of what each scale is reduced to first.
        tones: steps of brightness (see ``Tones``), which correct the code; 0 for none.
        regions: ``all``, which are background, foreground and seam; ``both``, without the seam; or ``background``, the
            abstract's form: nothing is known of the subject but what the decoder's own features hold.
    """

    REGIONS: Final = {"background": 1, "both": 2, "all": 3}

    def __init__(self, channels: list[int], size: int, per_scale: int, regions: str = "all", tones: int = 0) -> None:
        super().__init__()
        self.regions = self.REGIONS[regions]
        self.reduce = nn.ModuleList(nn.Conv2d(2 * self.regions * c, per_scale, 1) for c in channels)
        self.mix = nn.Conv2d(per_scale * len(channels), size, 1)
        self.act = nn.ReLU()
        self.tones = None
        if tones:
            count = min(self.regions, 2)  # the seam's own tones say nothing that the other two do not
            self.tones = Tones(tones)
            self.judge = nn.Sequential(
                nn.Conv2d(size + 4 * tones * count, size // 4, 1), nn.ReLU(), nn.Conv2d(size // 4, size, 1)
            )
            nn.init.zeros_(self.judge[2].weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(self.judge[2].bias)  # pyright: ignore[reportArgumentType]

    def forward(self, picture: Tensor, features: list[Tensor], masks: list[Tensor]) -> Tensor:
        """A code (N, size, 1, 1).

        Args:
            picture: float (N, 3, S, S) RGB 0..1, the composite.
            features: the encoder's, (N, C_i, H_i, W_i).
            masks: the foreground at the same scales, (N, 1, H_i, W_i).
        """
        codes = []
        for reduce, feature, mask in zip(self.reduce, features, masks, strict=True):
            seam = 4.0 * mask * (1.0 - mask)  # positions that hold some of both
            regions = (1.0 - mask, mask, seam)[: self.regions]
            styles = torch.stack(region_statistics(feature, torch.cat(regions, 1)), 2)  # (N, regions, 2, C_i)
            codes.append(reduce(styles.reshape(len(mask), -1, 1, 1)))  # linear: a ReLU can silence a scale
        code = self.mix(torch.cat(codes, 1))
        if self.tones is not None:
            small = F.avg_pool2d(picture, 4)  # as the first mask is
            regions = torch.cat((1.0 - masks[0], masks[0])[: self.regions], 1)
            tones = self.tones(small, regions)[:, :, None, None]
            code = code + self.judge(torch.cat((self.act(code), tones.to(code.dtype)), 1))
        return self.act(code)


class StyleFusion(nn.Module):
    """Render the decoder's foreground features in a given style.

    ``mode`` is for the ablation: ``external`` and ``background`` take the style from the encoder's code, ``internal``
    from the decoder's own background statistics (region-aware normalisation), ``none`` passes features through.
    """

    def __init__(self, channels: int, code_size: int, mode: str = "external") -> None:
        super().__init__()
        if mode not in ("external", "background", "internal", "none"):
            raise ValueError(f"fusion mode {mode!r} is none of external, background, internal, none")
        self.mode = mode
        if mode in ("external", "background"):
            self.style = nn.Conv2d(code_size, 2 * channels, 1)
            nn.init.normal_(self.style.weight, std=0.02)
            nn.init.zeros_(self.style.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, features: Tensor, mask: Tensor, code: Tensor | None) -> Tensor:
        """Features (N, C, H, W), foreground mask (N, 1, H, W), style code (N, S, 1, 1) to features.

        The code may be None where the mode is not external.
        """
        if self.mode == "none":
            return features
        mean, deviation = map(as_map, region_statistics(features, mask))
        if self.mode == "internal":
            shift, scale = map(as_map, region_statistics(features, 1.0 - mask))
        else:
            scale, shift = self.style(code).chunk(2, 1)
            scale = 1.0 + scale
        gain = scale / deviation
        return features * (1.0 + mask * (gain - 1.0)) + mask * (shift - mean * gain)


class StyleAttention(nn.Module):
    """Let every position read from the background positions that resemble it."""

    def __init__(self, channels: int, width: int = 48) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, width, 1)
        self.out = nn.Conv2d(width, channels, 1)
        self.scale = width**-0.5
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, features: Tensor, style: Tensor, mask: Tensor) -> Tensor:
        """Decoder features and encoder features, both (N, C, H, W), foreground mask (N, 1, H, W) to features."""
        n, _, h, w = features.shape
        query = self.query(features).flatten(2).transpose(1, 2) * self.scale  # (N, HW, width)
        key = self.key(style).flatten(2)  # (N, width, HW)
        value = self.value(style).flatten(2).transpose(1, 2)  # (N, HW, width)
        closed = mask.flatten(2) * -16.0  # (N, 1, HW): foreground positions are hardly read, and all alike if alone
        weights = torch.softmax(query @ key + closed, -1)  # (N, HW, HW)
        read = (weights @ value).transpose(1, 2).reshape(n, -1, h, w)
        return features + self.out(read)
