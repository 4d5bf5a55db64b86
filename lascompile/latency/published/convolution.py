"""Convolutions of the published simulator: dense ones, and those over the active patches of a mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from lascompile.latency.published.device import LAUNCH_S, PublishedDevice, access_efficiency
from lascompile.latency.published.tiles import grid, least, parts, tile_sizes

_DRAWS = 100
_MOST_PATCHES_AT_ONCE = 256


@dataclass(frozen=True)
class ConvShape:
    """A convolution. Height and width are those of the input."""

    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: int = 1
    groups: int = 1
    stride: int = 1

    @property
    def output(self) -> tuple[int, int]:
        """Height and width of the output."""
        return self.height // self.stride, self.width // self.stride

    @property
    def depth(self) -> int:
        """Products in each output."""
        return self.in_channels // self.groups * self.kernel**2

    @property
    def input_numbers(self) -> int:
        """Of the map as far as strides reach it."""
        height, width = self.output
        return self.in_channels * height * self.stride * width * self.stride

    def tile_inputs(self, channels: np.ndarray, height: np.ndarray, width: np.ndarray) -> np.ndarray:
        """Numbers that a tile of outputs reads. [B5] With a stride it is charged too many."""
        groups = np.ceil(channels / (self.out_channels / self.groups))
        halo = self.kernel - 1
        pixels = (height + halo) * self.stride * (width + halo) * self.stride
        return groups * (self.in_channels // self.groups) * pixels


def convolution(
    device: PublishedDevice, shape: ConvShape, batch: int, in_density: float = 1, out_density: float = 1
) -> float:
    """Seconds of a dense convolution, of which a share of the input and output channels is active."""
    height, width = shape.output
    c, y, x = grid(tile_sizes(shape.out_channels), tile_sizes(height), tile_sizes(width))
    tiles_of_channels = parts(shape.out_channels, c)
    tiles = tiles_of_channels * parts(height, y) * parts(width, x)
    weights = c * shape.depth * (in_density * out_density if batch == 1 else 1)
    inputs = shape.tile_inputs(c, y, x) * in_density * batch
    cached = tiles * (weights + inputs + c * y * x * out_density * batch)
    from_cache = cached / device.cache / access_efficiency(x, width - x)
    stored = shape.out_channels * shape.depth * (out_density if batch == 1 else 1)
    moved = shape.input_numbers * batch * in_density + shape.out_channels * height * width * batch * out_density
    # [B1] The input's density stands here and in the largest tile's share as well.
    busiest = _busiest_tile(tiles_of_channels, c, in_density * out_density)
    work = c * y * x * shape.depth * batch * in_density * busiest
    compute = work / device.engine / device.fill(c * y * x) * np.ceil(tiles / device.engines)
    return least(from_cache + (stored + moved) / device.memory + compute) + LAUNCH_S


def _busiest_tile(tiles: np.ndarray, size: np.ndarray, density: float) -> np.ndarray:
    """The share of active channels in the tile that has most of them, for each pair of `tiles` and `size`."""
    if density == 1:
        return np.ones_like(tiles)
    pairs = {(int(count), int(length)) for count, length in zip(tiles, size, strict=True)}
    shares = {pair: _drawn_share(*pair, density) for pair in pairs}
    return np.array([shares[int(count), int(length)] for count, length in zip(tiles, size, strict=True)])


@cache
def _drawn_share(tiles: int, size: int, density: float) -> float:
    """[B2] By Monte Carlo, and channel by channel whatever the mask's groups; seeded here, unlike the original."""
    if density == 0:
        return 0.0
    draws = np.random.default_rng((tiles, size)).random((_DRAWS, tiles, size)) < density
    return max(density, float(draws.sum(2).max(1).mean()) / size)


@dataclass(frozen=True)
class Patches:
    """The patches of a mask: S and the share of them that is active."""

    granularity: int
    rate: float

    def of(self, height: int, width: int) -> int:
        """All patches of a map."""
        return -(-height // self.granularity) * -(-width // self.granularity)

    def active(self, height: int, width: int) -> int:
        """The active ones. [B7] The mean, rounded up: no two images differ."""
        return int(np.ceil(self.rate * self.of(height, width)))


def patch_convolution(
    device: PublishedDevice, shape: ConvShape, batch: int, patches: Patches, *, indexed: bool
) -> float:
    """Seconds of a convolution over active patches, `indexed` if it reads them from the dense map.

    [B4] The access efficiency that the paper tells of is computed there and then set to 1, so it is not here.
    """
    height, width = shape.output
    side = patches.granularity
    p, c, y, x = grid(
        tile_sizes(_MOST_PATCHES_AT_ONCE), tile_sizes(shape.out_channels), tile_sizes(side), tile_sizes(side)
    )
    tiles = parts(shape.out_channels, c) * parts(side, y) * parts(side, x)
    inputs, outputs = shape.tile_inputs(c, y, x), c * y * x
    with_halo = ((side + shape.kernel - 1) * shape.stride) ** 2

    def memory(count: float) -> np.ndarray:
        cached = tiles * (c * shape.depth + batch * count * (inputs + outputs))
        read = shape.input_numbers if indexed else count * shape.in_channels * with_halo
        moved = shape.out_channels * shape.depth + batch * (read + count * shape.out_channels * side**2)
        return np.asarray(cached / device.cache + moved / device.memory)

    def compute(count: float) -> np.ndarray:
        once = outputs * shape.depth * p / device.engine / device.fill(outputs * batch * p)
        return np.asarray(once * np.ceil(count / p) * batch * np.ceil(tiles / device.engines))

    # [B7] One kernel is compiled, for the average over 1 … all patches.
    usual = (patches.of(height, width) + 1) / 2
    best = int((memory(usual) + compute(usual)).argmin())
    count = patches.active(height, width)
    return float(memory(count)[best] + compute(count)[best]) + LAUNCH_S
