"""The networks of the papers, as the published simulator adds them up: four stages of blocks.

[B9] Stem, max-pooling, global pooling and classifier are absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lascompile.latency.published.blocks import BlockSimulator, SimulatedBlock
from lascompile.latency.published.device import PublishedDevice


@dataclass(frozen=True)
class PublishedNetwork:
    """Four stages, each of a first block and equal others.

    Attributes:
        stem: Channels of the first stage's input.
        first_stride: Stride of the first stage.
        group_width: Channels in a group of the 3×3; None: one group.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    stem: int
    first_stride: int
    bottleneck: int
    group_width: int | None = None
    squeezes: bool = False
    side: int = 56
    """Of the first stage's output, for images of 224 × 224."""

    def stages(self) -> list[tuple[SimulatedBlock, SimulatedBlock, int]]:
        """Of each stage: the first block, the others, and how many of these there are."""
        stages, inputs = [], self.stem
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            stride = self.first_stride if stage == 0 else 2
            side = self.side >> stage
            first = self._block(inputs, width, side * stride, stride)
            stages.append((first, self._block(width, width, side, 1), depth - 1))
            inputs = width
        return stages

    def latency(
        self,
        device: PublishedDevice,
        batch: int,
        block: Callable[[BlockSimulator, int], float] = lambda simulator, stage: simulator.static(),
    ) -> float:
        """Seconds of all stages, of which `block` tells those of a block from its simulator and its stage (0 to 3)."""
        seconds = 0.0
        for stage, (first, other, count) in enumerate(self.stages()):
            seconds += block(BlockSimulator(device, batch, first), stage)
            seconds += count * block(BlockSimulator(device, batch, other), stage)
        return seconds

    def spatial(self, device: PublishedDevice, batch: int, granularity: Sequence[int], rate: float) -> float:
        """Seconds under spatial masks of the `granularity` of each stage."""
        return self.latency(device, batch, lambda simulator, stage: simulator.spatial(granularity[stage], rate))

    def _block(self, inputs: int, width: int, side: int, stride: int) -> SimulatedBlock:
        groups = width // self.bottleneck // self.group_width if self.group_width else 1
        return SimulatedBlock(inputs, width, side, side, self.bottleneck, groups, stride, self.squeezes)


PUBLISHED_NETWORKS = {
    "resnet50": PublishedNetwork((256, 512, 1024, 2048), (3, 4, 6, 3), 64, 1, 4),
    "resnet101": PublishedNetwork((256, 512, 1024, 2048), (3, 4, 23, 3), 64, 1, 4),
    "regnety004": PublishedNetwork((48, 104, 208, 440), (1, 3, 6, 6), 32, 2, 1, 8, True),
    "regnety008": PublishedNetwork((64, 144, 320, 784), (1, 3, 8, 2), 32, 2, 1, 16, True),
}
