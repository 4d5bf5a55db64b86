"""The other kernels of the published simulator: sums, gather and scatter, pooling, matrix products."""

from __future__ import annotations

import numpy as np

from lascompile.latency.published.convolution import Patches
from lascompile.latency.published.device import LAUNCH_S, PublishedDevice, access_efficiency
from lascompile.latency.published.tiles import grid, least, parts, tile_sizes


def add(device: PublishedDevice, channels: int, height: int, width: int, batch: int) -> float:
    """Seconds of the sum of two maps."""
    c, y, x = grid(tile_sizes(channels), tile_sizes(height), tile_sizes(width))
    size = c * y * x
    tiles = parts(channels, c) * parts(height, y) * parts(width, x)
    memory = 3 * size * tiles * batch / device.memory
    compute = size / device.engine / device.fill(size) * np.ceil(tiles / device.engines) * batch
    return least(memory + compute) + LAUNCH_S


def scatter_add(device: PublishedDevice, channels: int, height: int, width: int, batch: int, patches: Patches) -> float:
    """Seconds of adding active patches to a map, which is read and written whole."""
    side = patches.granularity
    p, c, y, x = grid(
        tile_sizes(patches.of(height, width)), tile_sizes(channels), tile_sizes(side), tile_sizes(side)
    )
    tiles, size = parts(channels, c) * parts(side, y) * parts(side, x), c * y * x

    def seconds(count: float) -> np.ndarray:
        moved = batch * (count * channels * side**2 + 2 * channels * height * width) / device.memory
        cached = 3 * size * count * tiles * batch / device.cache / access_efficiency(x, side - x)
        once = p * size / device.engine / device.fill(size * batch * p)
        return np.asarray(moved + cached + once * np.ceil(count / p) * batch * np.ceil(tiles / device.engines))

    usual = (patches.of(height, width) + 1) / 2
    best = int(seconds(usual).argmin())
    return float(seconds(patches.active(height, width))[best]) + LAUNCH_S


def gather(
    device: PublishedDevice, channels: int, height: int, width: int, batch: int, patches: Patches, pad: int
) -> float:
    """Seconds of copying active patches, with `pad` pixels around them, one behind the other."""
    side = patches.granularity + 2 * pad
    copied = channels * patches.active(height, width) * side**2
    cached = copied / device.cache * (1 / float(access_efficiency(side, width - side)) + 1)
    return batch * ((channels * height * width + copied) / device.memory + cached) + LAUNCH_S


def scatter(device: PublishedDevice, channels: int, height: int, width: int, batch: int, patches: Patches) -> float:
    """Seconds of copying active patches to their places in a map."""
    side = patches.granularity
    copied = channels * patches.active(height, width) * side**2
    cached = copied / device.cache * (1 / float(access_efficiency(side, width - side)) + 1)
    return batch * ((copied + channels * height * width) / device.memory + cached) + LAUNCH_S


def average_pool(device: PublishedDevice, channels: int, height: int, width: int, batch: int) -> float:
    """Seconds of the mean over a map."""
    numbers = channels * height * width + channels
    return batch * numbers * (1 / device.memory + 1 / device.cache) + LAUNCH_S


def linear(device: PublishedDevice, inputs: int, outputs: int, batch: int) -> float:
    """Seconds of a matrix product. [B5] It is charged a tile's area of tiles, whatever the matrix's size."""
    o, i = grid(tile_sizes(outputs), tile_sizes(inputs))
    tiles = o * i
    memory = batch * (inputs * outputs + inputs + outputs) / device.memory
    cached = batch * (o * i + i + o) * tiles / device.cache / access_efficiency(i, inputs)
    compute = o * i * batch / device.engine / device.fill(o * i * batch) * np.ceil(tiles / device.engines)
    return least(memory + cached + compute) + LAUNCH_S
