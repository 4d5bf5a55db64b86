"""Squeeze-and-excitation in the published simulator: pooling, two matrix products, scaling."""

from __future__ import annotations

from functools import partial

import numpy as np

from lascompile.latency.published.convolution import Patches
from lascompile.latency.published.device import LAUNCH_S, PublishedDevice, access_efficiency
from lascompile.latency.published.kernels import linear
from lascompile.latency.published.tiles import grid, least, parts, powers, tile_sizes


def squeeze_excitation(
    device: PublishedDevice, channels: int, height: int, width: int, squeezed: int, batch: int
) -> float:
    """Seconds with a mean over the whole map."""
    c = np.array(powers(2 * channels))
    tiles_of_channels = parts(channels, c)
    tiles = tiles_of_channels * height * width
    means = tiles_of_channels * (c * height * width + c) / device.cache
    memory = batch * (tiles * (c / device.memory + c / device.cache) + means)
    compute = c / device.engine / device.fill(c) * np.ceil(tiles / device.engines)  # [B12] without the batch
    pool = least(memory + compute + _reduction(device, c, np.full(c.shape, height * width), batch)) + LAUNCH_S
    return pool + _excitation(device, channels, height, width, squeezed, batch)


def squeeze_excitation_on_patches(
    device: PublishedDevice, channels: int, height: int, width: int, squeezed: int, batch: int, patches: Patches
) -> float:
    """Seconds with a mean over active patches alone, which is not what the network computes [B11]."""
    side = patches.granularity
    p, c, y, x = grid(
        tile_sizes(patches.of(height, width)), tile_sizes(channels), tile_sizes(side), tile_sizes(side)
    )
    tiles, size = parts(channels, c) * parts(side, y) * parts(side, x), c * y * x
    over_map = parts(height, y) * parts(width, x)

    def seconds(count: float, elements: np.ndarray, chosen: slice | int) -> np.ndarray:
        # [B13] The mean is charged as if a map of the full size were written.
        moved = (count * channels * side**2 + channels * height * width) / device.memory
        cached = (size * count + c) * tiles + c * over_map + c
        memory = batch * (moved + cached / device.cache / access_efficiency(x, side - x))
        once = size * p / device.engine / device.fill(c * p) * np.ceil(count / p)
        compute = batch * (once + c * p / device.engine / device.fill(c)) * np.ceil(tiles / device.engines)
        reduced = _reduction(device, c[chosen], elements[chosen], batch)
        return np.asarray((memory + compute)[chosen] + reduced)

    usual = (patches.of(height, width) + 1) / 2
    best = int(seconds(usual, parts(side, y) * parts(side, x), slice(None)).argmin())
    pool = float(seconds(patches.active(height, width), over_map, best)) + LAUNCH_S
    return pool + _excitation(device, channels, height, width, squeezed, batch)


def _excitation(
    device: PublishedDevice, channels: int, height: int, width: int, squeezed: int, batch: int
) -> float:
    scaled = _scale(device, channels, height, width, batch)
    return scaled + linear(device, channels, squeezed, batch) + linear(device, squeezed, channels, batch)


def _scale(device: PublishedDevice, channels: int, height: int, width: int, batch: int) -> float:
    c, y, x = grid(tile_sizes(channels), tile_sizes(height), tile_sizes(width))
    size, tiles = c * y * x, parts(channels, c) * parts(height, y) * parts(width, x)
    memory = (2 * channels * height * width + channels) / device.memory
    cached = tiles * (2 * size + c) / device.cache / access_efficiency(x, width - x)
    compute = size / device.engine / device.fill(size) * np.ceil(tiles / device.engines)
    return least(batch * (memory + cached + compute)) + LAUNCH_S


def _reduction(device: PublishedDevice, channels: np.ndarray, elements: np.ndarray, batch: int) -> np.ndarray:
    """A tree that sums `elements` numbers of each of `channels`; its last step is not charged."""
    steps = np.vectorize(partial(_tree, device), otypes=[float])
    return np.asarray(steps(channels, elements) * batch)


def _tree(device: PublishedDevice, channels: int, elements: float) -> float:
    seconds, left = 0.0, -(-int(elements) // 2)
    while left > 1:
        busy = float(device.fill(left * channels))
        seconds += -(-left * channels // device.lanes) / busy / device.frequency_hz
        left = -(-left // 2)
    return seconds
