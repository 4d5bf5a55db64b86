"""Which rows a dynamic kernel finds active: lists and tables as the network's own kernels make them, but in NumPy.

What is active follows from decisions, one a patch. Real masks cover things, so decisions are made as a smooth random
field that is cut off at the quantile which leaves the wanted share on: independent ones would put far more patches next
to skipped ones, and so far more halo around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import numpy as np

from lascompile.sites.window_table import dense_table as padded_table
from lascompile.workload import ROW_SLACK, WindowShape

_SMOOTHNESS = 1.5
"""Amplitude falls as frequency to the power of so much: 1 for the grey of photographs, more for what is in them."""


@dataclass(frozen=True)
class Decided:
    """The pixels that a mask switches on.

    Attributes:
        mask: The mask's name; places with the same one agree.
        size: N, H, W of the map.
        patches: [G, N * H * W] which patch each pixel belongs to, in each group.
    """

    mask: str
    size: tuple[int, int, int]
    patches: bytes

    @property
    def groups(self) -> int:
        """Masks per pixel."""
        return len(self.indices)

    @cached_property
    def indices(self) -> np.ndarray:
        """`patches` as int32."""
        return np.frombuffer(self.patches, np.int32).reshape(-1, int(np.prod(self.size)))


@dataclass(frozen=True)
class Dilated:
    """The pixels that windows over the pixels `of` read."""

    window: WindowShape
    of: Region


@dataclass(frozen=True)
class United:
    """The pixels of either."""

    first: Region
    second: Region


Region = Decided | Dilated | United


@dataclass(frozen=True)
class Tiles:
    """The Winograd tiles of a map: `lascompile.lower.tiles.Tiling`, as something that can be hashed and sent.

    Attributes:
        m: Side of a tile's outputs.
        inputs: [tiles, (m + 2)²] int32, the row of a dense map that each input is; 0 is none.
        outputs: [tiles, m²] int32, the pixel that each output is; the number of pixels is none.
    """

    m: int
    inputs: bytes
    outputs: bytes

    @staticmethod
    def of(inputs: np.ndarray, outputs: np.ndarray) -> Tiles:
        """Those of a tiling's tables."""
        stored = [np.ascontiguousarray(table, dtype=np.int32).tobytes() for table in (inputs, outputs)]
        return Tiles(isqrt(outputs.shape[1]), *stored)

    @cached_property
    def reads(self) -> np.ndarray:
        """`inputs` as int32."""
        return np.frombuffer(self.inputs, np.int32).reshape(-1, (self.m + 2) ** 2)

    @cached_property
    def writes(self) -> np.ndarray:
        """`outputs` as int32."""
        return np.frombuffer(self.outputs, np.int32).reshape(-1, self.m**2)


@dataclass(frozen=True)
class Activity:
    """Where a kernel's rows come from.

    Attributes:
        rows: The pixels that it computes; None is all of them.
        window: The window by which a table is made; None where there is no table, or it is the list of rows itself.
        source: The pixels that its packed input holds; None if the input is dense.
        constant_table: The table of a kernel that is not dynamic, int32, as it was known at build time.
        tiles: The tiles that it computes where they hold one of `rows`; None for a kernel over rows.
        packs: Whether a kernel over tiles packs its output to `rows`; for one over rows its workload says so.
    """

    rows: Region | None = None
    window: WindowShape | None = None
    source: Region | None = None
    constant_table: bytes | None = None
    tiles: Tiles | None = None
    packs: bool = False

    @property
    def masks(self) -> dict[str, Decided]:
        """The masks that the rows depend on, by name."""
        return {leaf.mask: leaf for region in (self.rows, self.source) for leaf in _leaves(region)}

    @property
    def granularity(self) -> int:
        """Pixels along the side of the largest patch; 0 where there is no mask."""
        return max((_granularity(leaf) for leaf in self.masks.values()), default=0)


Decisions = Mapping[str, np.ndarray]
"""By mask: [G, patches] bool."""


def decide(activity: Activity, rate: float, seed: int) -> Decisions:
    """Coherent decisions of all masks, the share `rate` of each group's patches on."""
    return {
        name: np.stack([_decide(mask, indices, rate, [seed, group]) for group, indices in enumerate(mask.indices)])
        for name, mask in activity.masks.items()
    }


def active_pixels(region: Region, decisions: Decisions) -> np.ndarray:
    """[pixels] bool."""
    if isinstance(region, Decided):
        return np.logical_or.reduce(group_active(region, decisions), axis=0)
    if isinstance(region, United):
        return np.logical_or(active_pixels(region.first, decisions), active_pixels(region.second, decisions))
    inner = active_pixels(region.of, decisions)
    reached = np.zeros(region.window.input_rows + 1, bool)
    reached[dense_table(region.window)[inner]] = True
    return reached[1:]


def active_count(activity: Activity, rate: float, seed: int) -> int | None:
    """How many rows or tiles a kernel finds under `decide`'s masks; None if it computes all of them."""
    if activity.rows is None:
        return None
    active = active_pixels(activity.rows, decide(activity, rate, seed))
    if activity.tiles is None:
        return int(active.sum())
    # Behind the last pixel stands the one that tiles name where they have none.
    return int(np.append(active, False)[activity.tiles.writes].any(axis=1).sum())


def group_active(mask: Decided, decisions: Decisions) -> np.ndarray:
    """[G, pixels] bool."""
    taken = decisions[mask.mask]
    return np.stack([on[indices] for on, indices in zip(taken, mask.indices, strict=True)])


def row_list(active: np.ndarray) -> np.ndarray:
    """The list that `compact_mask` makes: [pixels + ROW_SLACK] int32, behind the active ones the slack row."""
    listed = np.full(len(active) + ROW_SLACK, len(active) + 1, np.int32)
    found = np.flatnonzero(active) + 1
    listed[: len(found)] = found
    return listed


def row_table(activity: Activity, active: np.ndarray, decisions: Decisions) -> np.ndarray:
    """The input row of each tap of the `active` pixels in order, [active, taps] int32; 0 outside the image."""
    assert activity.window is not None
    rows = dense_table(activity.window)[active]
    if activity.source is None:
        return rows
    return packed_rows(active_pixels(activity.source, decisions))[rows]


def packed_rows(packed: np.ndarray) -> np.ndarray:
    """Where each row of a dense map is in one that is packed to the pixels `packed`, [1 + pixels] int32; 0: nowhere."""
    return np.concatenate([[0], np.cumsum(packed) * packed]).astype(np.int32)


def dense_table(window: WindowShape) -> np.ndarray:
    """The input row of each tap of every output pixel, [output pixels, taps] int32; 0 outside the image."""
    return padded_table(window)[: window.output_rows].reshape(window.output_rows, window.taps)


def smooth_field(size: tuple[int, int, int], seed: list[int]) -> np.ndarray:
    """Random numbers [N, H, W] whose amplitude falls with the frequency."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size[1])[:, None], np.fft.rfftfreq(size[2])[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal(size))
    # A little white noise: no two patches are equal, where a map has no frequency but 0.
    return np.fft.irfft2(noise / frequency**_SMOOTHNESS, s=size[1:]) + 1e-6 * rng.standard_normal(size)


def _decide(mask: Decided, indices: np.ndarray, rate: float, seed: list[int]) -> np.ndarray:
    """[patches] bool, of a mask's group, whose patches stand out by the mean of a field over their pixels."""
    field = smooth_field(mask.size, seed).reshape(-1)
    patches = int(mask.indices.max()) + 1
    pixels = np.bincount(indices, minlength=patches)
    means = np.bincount(indices, weights=field, minlength=patches) / np.maximum(pixels, 1)
    own = np.flatnonzero(pixels)
    highest = own[np.argsort(-means[own])][: _count(len(own), rate)]
    decisions = np.zeros(patches, bool)
    decisions[highest] = True
    return decisions


def _count(patches: int, rate: float) -> int:
    """As many as come closest; a rate above 0 leaves one on at least, and one below 1 one off where there are two."""
    if rate in (0.0, 1.0):
        return round(rate * patches)
    return min(max(round(rate * patches), 1), max(patches - 1, 1))


def _leaves(region: Region | None) -> list[Decided]:
    if region is None:
        return []
    if isinstance(region, Decided):
        return [region]
    inner = (region.of,) if isinstance(region, Dilated) else (region.first, region.second)
    return [leaf for part in inner for leaf in _leaves(part)]


def _granularity(mask: Decided) -> int:
    """The height of the patch that pixel 0 belongs to."""
    column = mask.indices[0].reshape(mask.size)[0, :, 0]
    return int((column == column[0]).sum())
