"""Blocks as LAUDNet writes them (arXiv 2308.15949): masks over channels, over pixels, and both."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it


class SpatialMasker(nn.Module):
    """x [N, C, H, W] → mask [N, 1, size, size]; the logits are centred, so that about half of the patches are on."""

    def __init__(self, channels: int, cells: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2, 1)
        self.cells, self.size = cells, size

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(x, self.cells)
        logits = self.conv(pooled - pooled.mean((2, 3), keepdim=True))
        mask = (logits[:, :1] >= logits[:, 1:]).float()
        return F.interpolate(mask, size=self.size, mode="nearest")


class ChannelMasker(nn.Module):
    """x [N, C, H, W] → mask [N, width, 1, 1], equal for two neighbouring channels each."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Linear(channels, 16), nn.ReLU(), nn.Linear(16, width))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.conv(F.adaptive_avg_pool2d(x, 1).flatten(1)).unflatten(1, (2, -1))
        mask = (logits[:, 0] >= logits[:, 1]).float()
        return mask.unsqueeze(2).repeat(1, 1, 2).flatten(1)[:, :, None, None]


class ResNetBlock(nn.Module):
    """The channel mask stands before the batch norms, so that a dropped channel is a constant and not zero."""

    def __init__(self, channels: int, out: int, stride: int, cells: int, masks_channels: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, 12, 1, bias=False), nn.BatchNorm2d(12)
        self.conv2, self.bn2 = nn.Conv2d(12, 12, 3, stride, 1, bias=False), nn.BatchNorm2d(12)
        self.conv3, self.bn3 = nn.Conv2d(12, out, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = nn.Conv2d(channels, out, 1, stride) if stride > 1 else nn.Identity()
        self.masker_spatial = SpatialMasker(channels, cells, 16 // stride)
        self.masker_channel = ChannelMasker(channels, 12) if masks_channels else None

    def forward(self, x: Tensor) -> Tensor:
        mask = self.masker_channel(x) if self.masker_channel is not None else 1.0
        out = F.relu(self.bn1(self.conv1(x) * mask))
        out = F.relu(self.bn2(self.conv2(out) * mask))
        out = self.bn3(self.conv3(out))
        return F.relu(out * self.masker_spatial(x) + self.downsample(x))


class RegNetBlock(nn.Module):
    """A grouped convolution, and squeeze-and-excitation over the whole map before the spatial mask."""

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 16, 1), nn.Conv2d(16, 16, 3, 1, 1, groups=4)
        self.se = nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Sigmoid())
        self.c = nn.Conv2d(16, channels, 1)
        self.masker_spatial = SpatialMasker(channels, cells, 16)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.b(F.relu(self.a(x))))
        out = self.c(out * self.se(F.adaptive_avg_pool2d(out, 1)))
        return F.relu(x + out * self.masker_spatial(x))


class Network(nn.Module):
    """Images [N, 3, 32, 32] → logits [N, 5]; blocks of 16x16 pixels, batch norms whose statistics are not trivial."""

    def __init__(self, *blocks: nn.Module, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU())
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, 5)
        for norm in (module for module in self.modules() if isinstance(module, nn.BatchNorm2d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            assert norm.running_mean is not None and norm.running_var is not None
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


def laudnet(kind: str) -> Network:
    """Two blocks of the `kind` "spatial", "both" or "regnet"."""
    torch.manual_seed(0)
    if kind == "regnet":
        return Network(RegNetBlock(16, 4), RegNetBlock(16, 2), channels=16).eval()
    both = kind == "both"
    return Network(ResNetBlock(16, 16, 1, 4, both), ResNetBlock(16, 32, 2, 2, both), channels=32).eval()
