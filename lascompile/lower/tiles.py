"""Cut a map into Winograd tiles, and say which of them run.

Tiles follow the patches of the masks: none straddles two, so that a tile runs for one patch's sake. Where a patch is
no multiple of the tile, the last tiles overlap the ones before, and what would be computed twice is discarded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lascompile.analysis.demand import Window
from lascompile.lower.lists import Lists
from lascompile.lower.program import Buffer, Role
from lascompile.sites.domain import Domain
from lascompile.workload import ROW_SLACK, ActiveTilesWorkload, CompactWorkload, TileTableWorkload


@dataclass(frozen=True)
class Tiling:
    """The tiles of a batch of maps.

    Attributes:
        m: Side of a tile's outputs.
        inputs: Row of a dense map that each of (m + 2)^2 inputs of each tile is, [tiles, inputs] int32; 0 is none.
        outputs: Pixel of the map that each of m^2 outputs is, [tiles, outputs] int32; the number of pixels is none.
        input_rows: Pixels of the input maps.
        output_rows: Pixels of the output maps.
    """

    m: int
    inputs: np.ndarray
    outputs: np.ndarray
    input_rows: int
    output_rows: int

    @property
    def tiles(self) -> int:
        """How many there are."""
        return len(self.inputs)


@dataclass(frozen=True)
class TileBuffers:
    """The tables of the tiles that run, and how many they are; None is all."""

    input_table: Buffer
    output_table: Buffer
    count: Buffer | None

    def by_argument(self) -> dict[str, Buffer]:
        """By the names of a kernel's arguments."""
        tables = {"input_table": self.input_table, "output_table": self.output_table}
        return tables if self.count is None else tables | {"count": self.count}


def suits_tiles(window: Window) -> bool:
    """True for 3x3 convolutions of stride 1."""
    return (window.kernel, window.stride, window.dilation) == ((3, 3), (1, 1), (1, 1))


def cut_into_tiles(window: Window, batch: int, m: int, domain: Domain | None) -> Tiling:
    """The tiles of side `m` for a convolution with `window` that is computed at `domain`."""
    boundaries = _boundaries(domain, batch, window.output_size)
    axes = [_tile_axis(cuts, m) for cuts in boundaries]
    (in_y, in_x), (out_y, out_x) = ([axis[k] for axis in axes] for k in (0, 1))
    height, width = window.input_size
    in_y, in_x = in_y - window.pad[0], in_x - window.pad[1]
    y, x = in_y[None, :, None, :, None], in_x[None, None, :, None, :]
    image = np.arange(batch)[:, None, None, None, None]
    is_inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    rows = np.where(is_inside, (image * height + y) * width + x + 1, 0)
    out_height, out_width = window.output_size
    nothing = batch * out_height * out_width
    y, x = out_y[None, :, None, :, None], out_x[None, None, :, None, :]
    pixels = np.where((y >= 0) & (x >= 0), (image * out_height + y) * out_width + x, nothing)
    inputs, outputs = (m + 2) ** 2, m**2
    return Tiling(
        m,
        rows.reshape(-1, inputs).astype(np.int32),
        pixels.reshape(-1, outputs).astype(np.int32),
        batch * height * width,
        nothing,
    )


def _boundaries(domain: Domain | None, batch: int, size: tuple[int, int]) -> list[list[int]]:
    """Per axis, where patches begin, and the end of the map: the masks' own boundaries, or none between."""
    masks = [
        footprint.mask.index.reshape(-1, batch, *size)
        for footprint in domain or ()
        if footprint.mask.index.shape[-1] == batch * size[0] * size[1]
    ]
    cuts = []
    for axis, length in enumerate(size):
        inner = {
            int(place) + 1
            for index in masks
            for place in np.flatnonzero((np.diff(index, axis=axis + 2) != 0).any(axis=(0, 1, 3 - axis)))
        }
        cuts.append([0, *sorted(inner), length])
    return cuts


def _tile_axis(cuts: Sequence[int], m: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: the positions that each tile reads, before padding, and those that it writes (-1 is none)."""
    reads, writes = [], []
    for begin, end in zip(cuts[:-1], cuts[1:], strict=True):
        done = begin
        while done < end:
            start = max(begin, min(done, end - m))
            places = np.arange(start, start + m)
            writes.append(np.where((places >= done) & (places < end), places, -1))
            reads.append(np.arange(start, start + m + 2))
            done = start + m
    return np.array(reads), np.array(writes)


def tile_buffers(
    lists: Lists, tiling: Tiling, domain: Domain | None, source: Domain | None, packs: bool
) -> TileBuffers:
    """What finds the tiles of `domain` and their rows; the input may be packed to `source`, the output `packs`."""
    constant, run = lists.context.constant, lists.context.run_before_use
    if domain is None:
        reads = np.pad(tiling.inputs, ((0, ROW_SLACK), (0, 0)))
        writes = np.pad(tiling.outputs + 1, ((0, ROW_SLACK), (0, 0)), constant_values=tiling.output_rows + 1)
        return TileBuffers(constant("input_table", reads), constant("output_table", writes), None)
    tiles = tiling.tiles
    rows = constant("tile_rows", np.pad(tiling.inputs, ((0, 1), (0, 0))))
    pixels = constant("tile_pixels", np.pad(tiling.outputs, ((0, 1), (0, 0)), constant_values=tiling.output_rows))
    active, active_tiles = lists.active(domain), Buffer("active_tiles", (tiles + 1,), "uint8")
    run(ActiveTilesWorkload(tiles, tiling.m**2, tiling.output_rows), [active, pixels, active_tiles], [active_tiles])
    listed = Buffer("tile_list", (tiles + ROW_SLACK,), "int32")
    count = Buffer("tile_count", (1,), "int32", Role.PINNED)
    position = Buffer("tile_position", (tiles + 1,), "int32")
    run(CompactWorkload(tiles), [active_tiles, listed, count, position], [listed, count, position])
    inputs = Buffer("input_table", (tiles + ROW_SLACK, (tiling.m + 2) ** 2), "int32")
    outputs = Buffer("output_table", (tiles + ROW_SLACK, tiling.m**2), "int32")
    positions = [lists.of(source).position] if source is not None else []
    positions += [lists.of(domain).position] if packs else []
    workload = TileTableWorkload(
        tiles, (tiling.m + 2) ** 2, tiling.m**2, tiling.input_rows, tiling.output_rows, source is not None, packs
    )
    run(workload, [listed, count, rows, pixels, active, *positions, inputs, outputs], [inputs, outputs])
    return TileBuffers(inputs, outputs, count)
