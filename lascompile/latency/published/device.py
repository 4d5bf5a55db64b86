"""The five devices of the published simulator, and the two efficiencies that it knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAUNCH_S = 8e-6
"""Of every kernel, once for a batch."""

_BYTES_PER_NUMBER = 4
_CYCLES_PER_NUMBER = 4
"""Cycles in which the lanes of an engine work through one set of numbers (`fp32_cycles`)."""

_REQUEST_NUMBERS = 8
"""Numbers that one memory request brings (`mem_concurrent_fp32`)."""


@dataclass(frozen=True)
class PublishedDevice:
    """A device as the simulator sees it.

    Attributes:
        engines: Processing engines.
        lanes: float32 lanes of one.
        frequency_hz: Clock.
        bytes_per_s: Bandwidth of off-chip memory.
        batch: Images at once in the papers' figures.
        cache_speedup: Bandwidth of the on-chip cache over that of off-chip memory (`l2_speed_frac`).
    """

    engines: int
    lanes: int
    frequency_hz: float
    bytes_per_s: float
    batch: int
    cache_speedup: float = 4

    @property
    def memory(self) -> float:
        """Numbers a second from off-chip memory."""
        return self.bytes_per_s / _BYTES_PER_NUMBER

    @property
    def cache(self) -> float:
        """Numbers a second from the on-chip cache."""
        return self.memory * self.cache_speedup

    @property
    def engine(self) -> float:
        """Multiply-adds a second of one engine whose lanes are full."""
        return self.frequency_hz * self.lanes

    def fill(self, numbers: np.ndarray | float) -> np.ndarray:
        """The share of the lanes that work on `numbers` results keeps busy."""
        width = self.lanes * _CYCLES_PER_NUMBER
        return np.asarray(numbers / (np.ceil(np.asarray(numbers) / width) * width))


PUBLISHED_DEVICES = {
    "v100": PublishedDevice(80, 64, 1500e6, 700e9, 128),
    "3090": PublishedDevice(82, 128, 1250e6, 936e9, 128, cache_speedup=1),
    "3060": PublishedDevice(28, 128, 1777e6, 360e9, 128),
    "tx2": PublishedDevice(2, 128, 1300e6, 59.7e9, 1),
    "nano": PublishedDevice(1, 128, 921e6, 25.6e9, 1),
}


def access_efficiency(width: np.ndarray | float, gap: np.ndarray | float) -> np.ndarray:
    """The share of what memory requests bring that is used, for runs of `width` numbers with `gap` between them."""
    width, gap = np.asarray(width, np.float64), np.maximum(np.asarray(gap, np.float64), 0)
    whole = width / (np.ceil(width / _REQUEST_NUMBERS) * _REQUEST_NUMBERS)
    spans = np.where(width + gap > _REQUEST_NUMBERS, width / _REQUEST_NUMBERS, width / np.maximum(width + gap, 1))
    return np.where(width > _REQUEST_NUMBERS, whole, spans)
