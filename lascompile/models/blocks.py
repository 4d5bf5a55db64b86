"""Residual blocks whose branch is multiplied by a mask before the addition (LASNet, section 3.1).

    y = relu(identity + mask · branch(x)),   identity = x, or bn(conv1x1(x)) where the shape changes

Module names are torchvision's, and `masker` the authors', so that the checkpoints of both load.
"""

from __future__ import annotations

from torch import Tensor, nn

from lascompile.models.masker import SpatialMasker, apply_mask


class ResidualBlock(nn.Module):
    """What the two kinds of block have in common."""

    expansion: int

    def __init__(self, in_channels: int, width: int, stride: int, masker: SpatialMasker | None) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.relu = nn.ReLU()
        self.masker = masker
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def branch(self, x: Tensor) -> Tensor:
        """The residual branch up to its last batch norm."""
        raise NotImplementedError

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Block input x [N, C, H, W] → block output [N, C', H', W']."""
        identity = x if self.downsample is None else self.downsample(x)
        branch = self.branch(x)
        if self.masker is not None:
            branch = apply_mask(branch, self.masker(x))
        return self.relu(identity + branch)


class BasicBlock(ResidualBlock):
    """Two 3×3 convolutions."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, masker: SpatialMasker | None, groups: int = 1
    ) -> None:
        super().__init__(in_channels, width, stride, masker)
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=3, stride=stride, padding=1, groups=groups, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def branch(self, x: Tensor) -> Tensor:
        """conv3x3, conv3x3."""
        out = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(out))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""
        return self.bn2


class Bottleneck(ResidualBlock):
    """1×1 down, 3×3, 1×1 up to four times the width."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, masker: SpatialMasker | None, groups: int = 1
    ) -> None:
        super().__init__(in_channels, width, stride, masker)
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)

    def branch(self, x: Tensor) -> Tensor:
        """conv1x1, conv3x3, conv1x1."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.bn3(self.conv3(out))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""
        return self.bn3
