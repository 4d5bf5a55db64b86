"""What is known of a kernel because the same one was measured under another load.

A kernel's error against physics is much the same at every count: its tile, its weights and its memory stay. So a kernel
that was measured at some counts is predicted at others by the physics, times its own error there; one whose shape was
measured with other decisions, by the mean error of these; the fewer rows, the less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_REACH = 0.5
"""Distance in the logarithm of the count at which a row says a third as much."""

_DOUBT_OF_KERNEL, _DOUBT_OF_SHAPE = 0.3, 1.0
"""Rows' worth of doubt: an error is drawn towards what is known otherwise as if so many rows had said that."""


@dataclass(frozen=True)
class Anchored:
    """One measured row: whose it is, at which count, and the logarithm of measured over predicted latency."""

    shape: str
    kernel: str
    log_count: float
    log_ratio: float


@dataclass(frozen=True)
class Anchors:
    """The rows that a predictor was fitted to, by shape."""

    rows: Sequence[Anchored] = ()
    _by_shape: dict[str, list[Anchored]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            self._by_shape.setdefault(row.shape, []).append(row)

    def log_ratio(self, shape: str, kernel: str, count: float) -> float:
        """What to add to the logarithm of the prediction of `kernel` at `count` active rows or tiles."""
        alike = self._by_shape.get(shape, [])
        if not alike:
            return 0.0
        mean = sum(row.log_ratio for row in alike) / (len(alike) + _DOUBT_OF_SHAPE)
        own = [row for row in alike if row.kernel == kernel]
        if not own:
            return mean
        place = float(np.log1p(count))
        weights = [float(np.exp(-abs(place - row.log_count) / _REACH)) for row in own]
        said = sum(weight * row.log_ratio for weight, row in zip(weights, own, strict=True))
        return (_DOUBT_OF_KERNEL * mean + said) / (_DOUBT_OF_KERNEL + sum(weights))

    def to_list(self) -> list[list[Any]]:
        """As a file holds it."""
        return [[row.shape, row.kernel, row.log_count, row.log_ratio] for row in self.rows]

    @staticmethod
    def from_list(stored: Sequence[Sequence[Any]]) -> Anchors:
        """The inverse of `to_list`."""
        return Anchors([Anchored(str(row[0]), str(row[1]), float(row[2]), float(row[3])) for row in stored])
