"""Winograd convolutions of a small map under a mask of patches: workloads, and the activities that belong to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lascompile.lower.tiles import cut_into_tiles
from lascompile.sites.activity import Activity, Decided, Dilated, Tiles
from lascompile.sites.domain import window_shape
from lascompile.workload import Epilogue, WinogradWorkload
from tests.lower.tiling import cells_of, domain_of, window_of


@dataclass(frozen=True)
class Site:
    """A 3x3 convolution.

    Attributes:
        m: Side of the tiles.
        size: Height and width of the map.
        patch: Side of the mask's patches; 0 is dense.
        reads_packed: Whether the input is packed to the pixels that are needed.
        packs: Whether the output is packed to those that are computed.
        groups: Masks.
    """

    m: int = 2
    size: tuple[int, int] = (7, 6)
    patch: int = 3
    batch: int = 1
    reads_packed: bool = False
    packs: bool = False
    groups: int = 1
    workload: WinogradWorkload = field(init=False)
    activity: Activity = field(init=False)

    def __post_init__(self) -> None:
        window = window_of(self.size)
        domain = domain_of(self.batch, self.size, self.patch) if self.patch else None
        tiling = cut_into_tiles(window, self.batch, self.m, domain)
        pixels = self.batch * self.size[0] * self.size[1]
        workload = WinogradWorkload(self.m, tiling.tiles, pixels, pixels, 12, 20, counted=self.patch > 0)
        tiles = Tiles.of(tiling.inputs, tiling.outputs)
        activity = Activity(tiles=tiles, packs=self.packs)
        if self.patch:
            index = cells_of(self.batch, self.size, self.patch).tobytes() * self.groups
            mask = Decided("mask", (self.batch, *self.size), index)
            source = Dilated(window_shape(window, self.batch), mask) if self.reads_packed else None
            activity = replace(activity, rows=mask, source=source)
        object.__setattr__(self, "workload", workload)
        object.__setattr__(self, "activity", activity)

    def with_epilogue(self, epilogue: Epilogue, in_place: bool = False) -> WinogradWorkload:
        """The same kernel with another end."""
        return replace(self.workload, epilogue=epilogue, in_place=in_place)
