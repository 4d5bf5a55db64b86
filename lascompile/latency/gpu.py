"""Latency of kernels on a GPU from its data sheet: a search over tilings, as in the LASNet paper (section 3.3).

A kernel's work is cut into tiles of rows × output channels, one a thread block. The blocks are dealt out to the
multiprocessors in waves; the last wave is charged whole. A block takes the slowest of what its multiprocessor computes
and what the shared cache delivers to it; the kernel takes that, or what off-chip memory takes for all of it, whichever
is longer, and a launch.

Nothing here was measured on a GPU: it orders designs, and `Prediction.source` says so. What it does otherwise than the
published simulator is in docs/predictor.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from lascompile.latency.analytical import Terms
from lascompile.latency.predictor import DATA_SHEET, Prediction
from lascompile.machine import DataSheet
from lascompile.workload import Form, LayoutWorkload, MapWorkload, PoolWorkload, WindowShape, WinogradWorkload, Workload

_FLOAT, _INDEX = 4, 4

_ISSUE = 0.75
"""Share of the multiply-adds' peak that a tile of 64 × 64 reaches on CUDA cores; assumed."""

_STREAM = 0.85
"""Share of a memory's bandwidth that a kernel reaches which only streams; assumed."""

_TILES = (16, 32, 64, 128)
_BALANCED = 64

_INTERVAL = (math.log(0.5), math.log(2.0))
"""A guess: no kernel of ours has been measured on a GPU."""


@dataclass(frozen=True)
class GpuModel:
    """Predicts kernels of a GPU in float32 on its CUDA cores."""

    sheet: DataSheet

    def predict(self, workload: Workload, count: float) -> Prediction:
        """How long `workload` takes for `count` active rows or tiles; other kernels for all that they have.

        Raises:
            TypeError: No model knows such a kernel.
        """
        if isinstance(workload, Form):
            return self._prediction(*_convolution(self.sheet, workload, count))
        return self._prediction(0.0, self._moved(workload, count))

    def _prediction(self, compute_s: float, memory_s: float) -> Prediction:
        # The slower of the two counts: as if the exponent had no end.
        parts = Terms(self.sheet.launch_s, compute_s, 0.0, 0.0, memory_s, overlap=64.0)
        latency = parts.latency_s
        low, high = (latency * math.exp(bound) for bound in _INTERVAL)
        return Prediction(latency, low, high, DATA_SHEET, True, parts)

    def _moved(self, workload: Workload, count: float) -> float:
        """Seconds in which the shared cache, or memory where that is too small, delivers what a kernel moves."""
        moved, sheet = _bytes_of(workload, count), self.sheet
        bandwidth = sheet.cache_bytes_per_s if moved <= sheet.cache_bytes else sheet.memory_bytes_per_s
        return moved / (bandwidth * _STREAM)


def _convolution(sheet: DataSheet, workload: Form, count: float) -> tuple[float, float]:
    """Seconds of computing and of off-chip memory, by the fastest tiling."""
    if isinstance(workload, WinogradWorkload):
        return _winograd(sheet, workload, count)
    groups = 1 if workload.is_depthwise else workload.groups
    depth = workload.taps * (1 if workload.is_depthwise else workload.in_channels // workload.groups)
    computed = _product(sheet, count, workload.out_channels // groups, depth, groups)
    weights = depth * workload.out_channels
    rows = min(count * workload.taps, workload.input_rows) * workload.in_channels
    tables = count * workload.taps * _INDEX if workload.gathers else 0.0
    outputs = count * workload.out_channels * (2 if workload.epilogue.takes_residual else 1)
    moved = _FLOAT * (weights + rows + outputs) + tables
    return computed, _off_chip(sheet, moved, weights)


def _winograd(sheet: DataSheet, workload: WinogradWorkload, count: float) -> tuple[float, float]:
    """Transforms are computed where the tiles are: their numbers come from and go to the shared cache."""
    positions = workload.positions
    computed = _product(sheet, count, workload.out_channels, workload.in_channels, positions)
    transformed = _FLOAT * count * positions * (workload.in_channels + workload.out_channels)
    computed += transformed / (sheet.cache_bytes_per_s * _STREAM)
    weights = positions * workload.in_channels * workload.out_channels
    outputs = count * workload.m**2 * workload.out_channels * (2 if workload.epilogue.takes_residual else 1)
    rows = count * workload.m**2 * workload.in_channels
    return computed, _off_chip(sheet, _FLOAT * (weights + rows + outputs), weights)


def _off_chip(sheet: DataSheet, moved: float, weights: float) -> float:
    """Weights come from memory; maps do where they are larger than the shared cache."""
    maps = moved - _FLOAT * weights
    from_memory = _FLOAT * weights + (maps if maps > sheet.cache_bytes else 0.0)
    return from_memory / (sheet.memory_bytes_per_s * _STREAM)


def _product(sheet: DataSheet, rows: float, columns: int, depth: int, products: int) -> float:
    """Seconds of `products` matrix products of rows × depth × columns, by the fastest tiles."""
    if rows <= 0:
        return 0.0
    height, width = _tilings()
    blocks = np.ceil(rows / height) * np.ceil(columns / width) * products
    waves = np.ceil(blocks / sheet.engines)
    # Small tiles load more for each multiply-add.
    issue = _ISSUE * np.minimum(1.0, 2 * height * width / (height + width) / _BALANCED)
    arithmetic = height * width * depth / (sheet.fmas_per_cycle * sheet.clock_hz * np.sqrt(issue / _ISSUE) * _ISSUE)
    loaded = _FLOAT * depth * (height + width)
    cache = loaded / (sheet.cache_bytes_per_s * _STREAM / sheet.engines)
    fits = loaded / depth * 16 * 2 <= sheet.engine_memory_bytes
    seconds = np.where(fits, waves * np.maximum(arithmetic, cache), np.inf)
    return float(seconds.min())


@cache
def _tilings() -> tuple[np.ndarray, np.ndarray]:
    height, width = np.meshgrid(_TILES, _TILES, indexing="ij")
    return height.reshape(-1).astype(float), width.reshape(-1).astype(float)


def _bytes_of(workload: Workload, count: float) -> float:
    """What a kernel that only moves numbers reads and writes."""
    if isinstance(workload, MapWorkload):
        rows = count if workload.counted else workload.rows
        operands = sum(kind in ("row", "list", "table") for kind in workload.operands)
        operands += workload.epilogue.takes_residual
        return _FLOAT * rows * workload.channels * (operands + 1)
    if isinstance(workload, PoolWorkload):
        window = workload.window
        pixels = np.prod(window.input_size) + np.prod(window.output_size)
        return float(_FLOAT * window.batch * pixels * workload.channels)
    if isinstance(workload, LayoutWorkload):
        return float(2 * _FLOAT * np.prod(workload.shape))
    elements = [value for value in vars(workload).values() if isinstance(value, int) and not isinstance(value, bool)]
    windows = [value for value in vars(workload).values() if isinstance(value, WindowShape)]
    elements += [each.batch * int(np.prod(each.input_size)) * int(np.prod(each.kernel)) for each in windows]
    return float(_INDEX * sum(elements))
