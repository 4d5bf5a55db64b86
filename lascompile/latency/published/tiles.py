"""Tile sizes that the published simulator searches, and its search."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

_LARGEST_POWER = 7
_PARTS = 8
"""Axes are also cut into fewer equal parts than this."""


def powers(limit: int) -> list[int]:
    """The powers of two up to `limit`, and to 128."""
    return [1 << k for k in range(_LARGEST_POWER + 1) if 1 << k <= limit]


@cache
def tile_sizes(extent: int) -> tuple[int, ...]:
    """Candidate tile sizes along an axis of `extent`, ascending."""
    few = range(1, min(extent, _PARTS))
    parts = {-(-extent // count) for count in few}
    return tuple(sorted({*powers(2 * extent), *parts, *(size for size in few if size > 1)}))


def grid(*axes: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The sizes of every tile, an array an axis, in ascending order: of equally fast ones the first counts."""
    yield from (array.reshape(-1) for array in np.meshgrid(*axes, indexing="ij"))


def parts(extent: int, size: np.ndarray) -> np.ndarray:
    """Tiles of `size` along an axis of `extent`; the last one is charged whole."""
    return np.ceil(extent / size)


def least(seconds: np.ndarray) -> float:
    """The fastest tile's time."""
    return float(seconds.min())
