"""What an untrained masker is taught to look for: smooth maps of an image's detail, light and colour.

Trained maskers keep what stands out and leave out even ground. Local contrast says much the same without any
training, and blurred, its level sets are blobs, as trained masks are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_GRID = 14
"""Cells along each side to which a cue is averaged: blobs of about a fourteenth of the image and more."""
_WEIGHTS = (1.0, 0.5, 0.3, 0.3)
"""Share of contrast, lightness, red against green, and blue against yellow in a mixture."""


def image_cues(images: Tensor) -> Tensor:
    """Images [N, 3, H, W] → cues [N, 4, h, w] on a grid of at most 14 × 14, with mean 0 and deviation 1."""
    red, green, blue = images.unbind(1)
    light = images.mean(1)
    contrast = F.pad(light.diff(dim=1).abs(), (0, 0, 0, 1)) + F.pad(light.diff(dim=2).abs(), (0, 1))
    cues = torch.stack([contrast, light, red - green, blue - (red + green) / 2], dim=1)
    grid = min(_GRID, cues.shape[2]), min(_GRID, cues.shape[3])
    cues = F.adaptive_avg_pool2d(cues, grid)
    # Contrast spans orders of magnitude; its logarithm is spread evenly.
    cues[:, 0] = torch.log(cues[:, 0] + 1e-2)
    return _standardized(cues)


def mixture(cues: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Cues [N, 4, ...] → a target [N, h, w] for one masker: contrast plus a random share of the others."""
    weights = torch.randn(len(_WEIGHTS), generator=generator) * torch.tensor(_WEIGHTS)
    weights[0] = _WEIGHTS[0]
    mixed = torch.einsum("nkhw,k->nhw", cues, weights)[:, None]
    if size[0] <= cues.shape[2] and size[1] <= cues.shape[3]:
        mixed = F.adaptive_avg_pool2d(mixed, size)
    else:
        mixed = F.interpolate(mixed, size=size, mode="bilinear", align_corners=False)
    return _standardized(mixed)[:, 0]


def _standardized(maps: Tensor) -> Tensor:
    """Maps [N, K, h, w], each of the K given mean 0 and deviation 1 over all images, or 0 if constant."""
    deviation = maps.std(dim=(0, 2, 3), keepdim=True, correction=0)
    return (maps - maps.mean(dim=(0, 2, 3), keepdim=True)) / deviation.clamp_min(1e-6)
