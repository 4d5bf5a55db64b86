"""How many rows or tiles of a kernel are active: known, or expected of masks of one granularity and rate.

What a kernel costs depends on the number of its rows, and not on the rate of the mask: a dilated mask, or Winograd
tiles that are larger than patches, are active at more pixels than the mask is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import isqrt

import numpy as np

from lascompile.workload import ConvWorkload, Form, WinogradWorkload

_SMOOTHNESS = 1.5
"""Amplitude falls as frequency to the power of so much: 1 for the grey of photographs, more for what is in them."""

_DRAWS = 8


@dataclass(frozen=True)
class MaskShape:
    """A spatial mask over a map.

    Attributes:
        size: Height and width of the map.
        granularity: Height and width of a patch in pixels.
    """

    size: tuple[int, int]
    granularity: tuple[int, int]

    @property
    def patches(self) -> tuple[int, int]:
        """Patches along either axis."""
        height, width = (max(1, length // side) for length, side in zip(self.size, self.granularity, strict=True))
        return height, width

    def axis(self, number: int) -> np.ndarray:
        """The patch that each pixel along axis `number` belongs to, as nearest upsampling has it."""
        length, patches = self.size[number], self.patches[number]
        return np.arange(length) * patches // length

    def pixels(self, decisions: np.ndarray) -> np.ndarray:
        """Active pixels [..., H, W] under `decisions` [..., patches high, patches wide]."""
        return decisions[..., self.axis(0)[:, None], self.axis(1)[None, :]]


def expected_count(
    workload: Form, mask: MaskShape | None, rate: float, batch: int = 1, reach: int | None = None
) -> float:
    """Active rows or tiles that `workload` has on average under coherent masks of `rate`; all if it has no count.

    Args:
        workload: The kernel.
        mask: The mask that it obeys, over the map that the block's last 3×3 writes.
        rate: Share of the patches that are on, 0 to 1.
        batch: Images at a time.
        reach: Stride of the 3×3 whose inputs are computed; None where the mask's own pixels are.
    """
    if mask is None or not workload.counted:
        return float(workload.most)
    if isinstance(workload, WinogradWorkload):
        return batch * (_tiles(mask, rate, workload.m) if reach is None else _reached_tiles(mask, rate, workload.m))
    pixels = mask.size[0] * mask.size[1]
    return rate * batch * pixels if reach is None else batch * float(_reached(mask, rate, reach).sum((1, 2)).mean())


def reach_of(workload: Form, mask: MaskShape, batch: int = 1) -> int | None:
    """The reach of a kernel of a bottleneck: only its first 1×1 neither gathers taps nor scatters."""
    is_first = isinstance(workload, ConvWorkload) and workload.taps == 1 and not workload.scatters
    if not is_first or not workload.counted or workload.epilogue.gate_groups:
        return None
    return isqrt(workload.map_rows // (mask.size[0] * mask.size[1] * batch))


@cache
def _drawn(mask: MaskShape, rate: float) -> np.ndarray:
    """Coherent decisions [draws, patches high, patches wide], the share `rate` on in each."""
    rng = np.random.default_rng(0)
    height, width = mask.patches
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal((_DRAWS, height, width)))
    field = np.fft.irfft2(noise / frequency**_SMOOTHNESS, s=(height, width)).reshape(_DRAWS, -1)
    field += 1e-6 * rng.standard_normal(field.shape)
    order = np.argsort(np.argsort(-field, axis=1), axis=1)
    # Some draws round down and some up, so that the mean is the rate even where patches are few.
    on = np.floor(rate * height * width + (np.arange(_DRAWS) + 0.5) / _DRAWS)
    return np.asarray(order < on[:, None]).reshape(_DRAWS, height, width)


@cache
def _reached(mask: MaskShape, rate: float, stride: int) -> np.ndarray:
    """The pixels [draws, H, W] of a 3×3's input that its active outputs read."""
    active = mask.pixels(_drawn(mask, rate))
    height, width = (length * stride for length in mask.size)
    reached = np.zeros((len(active), height + 2, width + 2), bool)
    for dy in range(3):
        for dx in range(3):
            rows, columns = slice(dy, dy + height, stride), slice(dx, dx + width, stride)
            reached[:, rows, columns] |= active
    return reached[:, 1:-1, 1:-1]


@cache
def _reached_tiles(mask: MaskShape, rate: float, m: int) -> float:
    """Winograd tiles of side `m` that hold a pixel which a 3×3 of stride 1 reads, on average."""
    reached = _reached(mask, rate, 1)
    rows, columns = (_tile_of(mask.axis(axis), m) for axis in (0, 1))
    tiles = np.zeros((len(reached), int(rows.max()) + 1, int(columns.max()) + 1), bool)
    draws, y, x = np.nonzero(reached)
    tiles[draws, rows[y], columns[x]] = True
    return float(tiles.sum(axis=(1, 2)).mean())


def _tile_of(patches: np.ndarray, m: int) -> np.ndarray:
    """The tile that computes each pixel along an axis: tiles begin anew with each patch."""
    begins = np.searchsorted(patches, patches)
    first = np.concatenate([[0], np.cumsum(_tiles_of_patches(patches, m))])
    return np.asarray(first[patches] + (np.arange(len(patches)) - begins) // m)


@cache
def _tiles(mask: MaskShape, rate: float, m: int) -> float:
    """Winograd tiles of side `m` that hold an active pixel, on average; no tile straddles two patches."""
    drawn = _drawn(mask, rate)
    counts = [_tiles_of_patches(mask.axis(axis), m) for axis in (0, 1)]
    return float((drawn * np.outer(*counts)).sum(axis=(1, 2)).mean())


def _tiles_of_patches(patches: np.ndarray, m: int) -> np.ndarray:
    """Tiles along an axis in each patch."""
    return -(-np.bincount(patches) // m)
