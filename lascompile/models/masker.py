"""The spatial masker of LASNet: where is a block worth computing?

LASNet, section 3.2 and figure 2; semantics of the authors' code (github.com/LeapLabTHU/LASNet). Differences
from it: sizes are fixed when the module is made, so that the exported graph has none to compute; the map need
not be square; the biases for "off" all start at 0 (theirs leave one random, by an index that is off by one).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lascompile.models.config import mask_size

ON_BIAS = 5.0
"""Initial bias of the logits for "on": an untrained masker keeps every patch."""


class SpatialMasker(nn.Module):
    """Feature map x [N, C, H, W] → mask [N, g, h, w] of zeros and ones, at the size of the block's output."""

    def __init__(
        self,
        in_channels: int,
        groups: int,
        granularity: int,
        in_size: tuple[int, int],
        out_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.groups = groups
        self.granularity = granularity
        self.out_size = out_size
        self.mask_size = mask_size(out_size, granularity)
        # The authors compare heights alone; the two differ only on maps of one row.
        self.pools = self.mask_size != in_size
        self.pools_evenly = all(n % m == 0 for n, m in zip(in_size, self.mask_size, strict=True))
        """Whether the pooling windows tile the map; else they overlap."""
        self.upsamples = self.mask_size != out_size
        self.temperature = 1.0
        """Of the Gumbel softmax; used in training only."""
        # The name is that of the authors' checkpoints.
        self.conv2 = nn.Conv2d(in_channels, 2 * groups, kernel_size=1)
        self.reset_parameters()

    @property
    def bias(self) -> Tensor:
        """Biases [2g] of the logits, those for "on" first."""
        assert self.conv2.bias is not None
        return self.conv2.bias

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start with every patch active and the weights small."""
        nn.init.kaiming_normal_(self.conv2.weight, nonlinearity="linear", generator=generator)
        nn.init.zeros_(self.bias)
        with torch.no_grad():
            self.bias[: self.groups] = ON_BIAS

    def pool(self, x: Tensor) -> Tensor:
        """Map x [N, C, H, W] → its means [N, C, *mask_size], one a patch."""
        return F.adaptive_avg_pool2d(x, self.mask_size) if self.pools else x

    def decide(self, pooled: Tensor) -> Tensor:
        """Pooled [N, C, *mask_size] → coarse mask [N, g, *mask_size] of zeros and ones; a tie is active."""
        logits = self.conv2(pooled).view(-1, 2, self.groups, *self.mask_size)
        if self.training:
            # Straight-through: one or zero forwards, the softmax's gradient backwards.
            return F.gumbel_softmax(logits, tau=self.temperature, hard=True, dim=1)[:, 0]
        return (logits[:, 0] >= logits[:, 1]).to(pooled.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Pool, decide, and spread each decision over its patch."""
        mask = self.decide(self.pool(x))
        return F.interpolate(mask, size=self.out_size, mode="nearest") if self.upsamples else mask

    def extra_repr(self) -> str:
        """Show what the shapes do not."""
        return f"granularity={self.granularity}, mask_size={self.mask_size}, out_size={self.out_size}"


def apply_mask(x: Tensor, mask: Tensor) -> Tensor:
    """Multiply x [N, C, H, W] by mask [N, g, H, W]; mask k is for the k-th of g equal runs of channels."""
    groups, channels = mask.shape[1], x.shape[1]
    if 1 < groups < channels:
        height, width = mask.shape[2], mask.shape[3]
        mask = mask.unsqueeze(1).repeat(1, channels // groups, 1, 1, 1).transpose(1, 2)
        mask = mask.reshape(-1, channels, height, width)
    return x * mask
