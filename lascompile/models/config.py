"""What a network of the zoo is: one frozen dataclass, checked when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lascompile.errors import UsageError

EXPANSION = {"basic": 1, "bottleneck": 4}
"""Output channels of a block per unit of its width."""


@dataclass(frozen=True)
class ResNetConfig:
    """A ResNet (arXiv 1512.03385, stride in the 3×3 as in torchvision), masked in every block or in none."""

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    """Blocks in each stage; stage k is named `layer<k+1>`, and every stage but the first halves the map."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Planes of each stage; a block's output has `EXPANSION[block]` times as many channels."""
    granularity: tuple[int, ...] | None = None
    """S of each stage, or of each block; None: no maskers, the static network."""
    mask_channel_group: int = 1
    """Masks of one block, each for an equal, contiguous share of the block's output channels."""
    input_size: tuple[int, int] = (224, 224)
    """Height and width of the images in pixels: masks are sized by it, as in the authors' code."""
    stem_width: int = 64
    groups: int = 1
    """Groups of a bottleneck's 3×3 convolution."""
    num_classes: int = 1000

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths):
            raise UsageError(f"{len(self.widths)} widths for {len(self.depths)} stages: give one a stage")
        if min(self.input_size) < 1:
            raise UsageError(f"input size {_pair(self.input_size)}: height and width must be positive")
        if self.granularity is not None:
            self._check_granularity(self.granularity)
            self._check_groups()

    @property
    def expansion(self) -> int:
        """Output channels of a block per unit of its width."""
        return EXPANSION[self.block]

    @property
    def map_sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each stage's feature map: stem and max-pool halve twice, later stages once."""
        size = _halved(_halved(self.input_size))
        sizes = [size]
        for _ in self.depths[1:]:
            size = _halved(size)
            sizes.append(size)
        return tuple(sizes)

    @property
    def block_names(self) -> tuple[str, ...]:
        """Module names of the blocks in forward order, as in `layer1.0`."""
        return tuple(f"layer{stage + 1}.{i}" for stage, depth in enumerate(self.depths) for i in range(depth))

    @property
    def block_granularity(self) -> tuple[int | None, ...]:
        """S of each block in forward order; None where there is no masker."""
        if self.granularity is None:
            return (None,) * sum(self.depths)
        if len(self.granularity) == sum(self.depths):
            return self.granularity
        return tuple(s for s, depth in zip(self.granularity, self.depths, strict=True) for _ in range(depth))

    def _check_granularity(self, granularity: Sequence[int]) -> None:
        stages, blocks = len(self.depths), sum(self.depths)
        if len(granularity) not in (stages, blocks):
            raise UsageError(
                f"granularity has {len(granularity)} numbers: give {stages}, one a stage, or {blocks}, one a block"
            )
        sizes = [size for size, depth in zip(self.map_sizes, self.depths, strict=True) for _ in range(depth)]
        for name, s, size in zip(self.block_names, self.block_granularity, sizes, strict=True):
            assert s is not None
            if not 1 <= s <= max(size):
                raise UsageError(
                    f"granularity {s} of block {name}: must be from 1 to {max(size)}, since its feature map "
                    f"is {_pair(size)} for images of {_pair(self.input_size)}"
                )

    def _check_groups(self) -> None:
        g = self.mask_channel_group
        if g < 1:
            raise UsageError(f"mask channel group {g}: must be at least 1")
        for stage, width in enumerate(self.widths):
            channels = width * self.expansion
            if channels % g:
                raise UsageError(f"mask channel group {g} does not divide the {channels} channels of layer{stage + 1}")


def mask_size(map_size: tuple[int, int], granularity: int) -> tuple[int, int]:
    """Height and width of a coarse mask: the map's over S, rounded down, but at least one patch."""
    height, width = map_size
    return max(1, height // granularity), max(1, width // granularity)


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    """Output size of each strided layer here: odd sizes round up."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _pair(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
