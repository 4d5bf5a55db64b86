"""The weights of a Winograd convolution: packed, and as the kernel gets them while it multiplies.

A *unit* is what is multiplied before the kernel turns to other weights: a block of output channels and a part of the
input channels. Units follow one another in memory. Either weights are transformed when they are packed; then the
kernel asks for the next unit while it multiplies by this one. Or it transforms them itself, those of the next unit
while it multiplies by this one: a few vectors between its register tiles, so that memory, caches and arithmetic are all
busy. A half (m = 2) or a quarter (m = 4) of the bytes are then read from memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.winograd_transforms import TAPS, transform_weight, transformed
from lascompile.schedules.cpu.vectors import ceil_div, lines_of, prefetch_lines, vector
from lascompile.workload import WinogradWorkload, channel_stride

_PADDING = 16
"""Numbers between the rows of a panel, so that one position's do not fall into few sets of a cache."""


@dataclass(frozen=True)
class WinogradNest:
    """How the loops are cut and dealt out.

    Attributes:
        lanes: float32 numbers in a vector register.
        width: Channels of a block: those of the register tile.
        tile_heights: Heights of register tiles in tiles, the highest first. The last register tile of a chunk is the
            lowest that holds what is left.
        unroll: Steps of the sums that are unrolled.
        channel_walkers: Parts that the channel blocks are dealt out to, in parallel. Each transforms all its inputs.
        tile_walkers: Parts that the tiles are dealt out to, in parallel. Each reads all its weights.
        held_tiles: Tiles of a chunk at most.
        transform_weights: True if weights are transformed while the kernel runs; False if when they are packed.
        depth_parts: Parts that the sums are cut into, so that two units of transformed weights stay in cache.
        prefetch: True to ask for weights ahead of time.
    """

    lanes: int
    width: int
    tile_heights: tuple[int, ...]
    unroll: int
    channel_walkers: int
    tile_walkers: int
    held_tiles: int
    transform_weights: bool
    depth_parts: int
    prefetch: bool

    @property
    def block_lanes(self) -> int:
        """Numbers in a vector of a block's channels."""
        return min(self.lanes, self.width)


def channel_blocks(workload: WinogradWorkload, width: int) -> int:
    """Blocks of `width` output channels that the weights are cut into."""
    return channel_stride(workload.out_channels) // width


def weight_shape(workload: WinogradWorkload, nest: WinogradNest) -> tuple[int, int]:
    """Packed weights: [unit, numbers of a unit]; see `pack_weight`."""
    each = TAPS**2 if nest.transform_weights else workload.positions
    units = channel_blocks(workload, nest.width) * nest.depth_parts
    return units, each * workload.in_channels // nest.depth_parts * nest.width


def pack_weight(weight: np.ndarray, workload: WinogradWorkload, nest: WinogradNest) -> np.ndarray:
    """[out, in, 3, 3] → [block, part, position, in, width], or untransformed [block, part, in, vector, tap, lane].

    Zeros beyond the last channel.
    """
    out_channels, in_channels = weight.shape[:2]
    each = weight.transpose(2, 3, 1, 0) if nest.transform_weights else transformed(weight, workload.m)
    flat = each.reshape(-1, in_channels, out_channels)
    padded = np.pad(flat, ((0, 0), (0, 0), (0, channel_stride(out_channels) - out_channels)))
    lanes = nest.block_lanes
    # position or tap, part, in, block, vector, lane
    cut = padded.reshape(len(padded), nest.depth_parts, -1, padded.shape[2] // nest.width, nest.width // lanes, lanes)
    ordered = cut.transpose((3, 1, 2, 4, 0, 5) if nest.transform_weights else (3, 1, 0, 2, 4, 5))
    return np.ascontiguousarray(ordered, np.float32).reshape(weight_shape(workload, nest))


class Weights(Protocol):
    """Where a kernel's loops get their weights from. The methods write code."""

    def start(self, unit: Expr) -> None:
        """Before the first products, which take `unit`."""

    def enter(self, unit: Expr, following: Expr, is_last: Expr, tiles: Expr) -> None:
        """Before the register tiles of a unit; the products after them take `following`, if this is not the last."""

    def before(self, tile: Expr) -> None:
        """Before register tile number `tile` of a unit."""

    def step(self) -> None:
        """In each step of the sums."""

    def load(self, position: Expr, k: Expr, piece: int) -> Expr:
        """The vector of this unit's channels from `piece` for input channel `k` of its part."""


class _Prefetch:
    """Asks for a unit of weights, some lines in each step of the sums before it is needed.

    More at once would fill the buffers in which the products' own loads wait.
    """

    def __init__(
        self, workload: WinogradWorkload, nest: WinogradNest, weight: tirx.Var, groups: int, lead: int
    ) -> None:
        self._nest, self._weight, self._lead = nest, weight, lead
        self._lines = lines_of(weight_shape(workload, nest)[1])
        steps = workload.positions * groups * (workload.in_channels // nest.depth_parts // nest.unroll)
        self._lines_each = -(-self._lines // steps)
        self._asked = T.alloc_buffer((1,), "int32", scope="local")

    def enter(self, unit: Expr) -> None:
        self._unit = unit
        T.buffer_store(self._asked, T.int32(0), [0])

    def step(self) -> None:
        if not self._nest.prefetch:
            return
        with T.If(self._asked[0] < self._lines), T.Then():
            prefetch_lines(self._weight, self._unit, self._asked[0] + self._lead, self._lines_each)
            T.buffer_store(self._asked, self._asked[0] + self._lines_each, [0])


class PackedWeights:
    """Weights that were transformed when they were packed."""

    def __init__(self, workload: WinogradWorkload, nest: WinogradNest, weight: tirx.Var, groups: int) -> None:
        self._nest, self._weight = nest, weight
        self._depth = workload.in_channels // nest.depth_parts
        self._prefetch = _Prefetch(workload, nest, weight, groups, lead=0)

    def start(self, unit: Expr) -> None:
        """Nothing to do."""

    def enter(self, unit: Expr, following: Expr, is_last: Expr, tiles: Expr) -> None:
        """Turn to `unit`, and ask for the following one."""
        self._unit = unit
        self._prefetch.enter(following)

    def before(self, tile: Expr) -> None:
        """Nothing to do."""

    def step(self) -> None:
        """Ask for some lines."""
        self._prefetch.step()

    def load(self, position: Expr, k: Expr, piece: int) -> Expr:
        """From memory."""
        place = (position * self._depth + k) * self._nest.width + piece
        return T.bind(self._weight[self._unit, vector(place, self._nest.block_lanes)])


class PanelWeights:
    """Weights that are transformed while the kernel runs, into one of two panels [in, position × channel].

    What is stored together is neighbours there. The stores miss the first-level cache, but a few of them wait in the
    core's store buffer until the products that come next leave the second level time for them.
    """

    def __init__(self, workload: WinogradWorkload, nest: WinogradNest, weight: tirx.Var, groups: int) -> None:
        self._workload, self._nest, self._weight = workload, nest, weight
        self._depth = workload.in_channels // nest.depth_parts
        self._vectors = nest.width // nest.block_lanes
        self._filters = self._depth * self._vectors
        self._panels = T.alloc_buffer((2 * self._depth, workload.positions * nest.width + _PADDING), "float32")
        self._in_use = T.alloc_buffer((1,), "int32", scope="local")
        # What the next two register tiles transform is to be there.
        lead = 2 * -(-self._filters // (workload.positions * groups)) * lines_of(TAPS**2 * nest.block_lanes)
        self._prefetch = _Prefetch(workload, nest, weight, groups, lead)

    def start(self, unit: Expr) -> None:
        """Transform the first unit."""
        T.buffer_store(self._in_use, T.int32(1), [0])
        with T.serial(self._filters) as number:
            self._transform(unit, number, T.int32(0))

    def enter(self, unit: Expr, following: Expr, is_last: Expr, tiles: Expr) -> None:
        """Change panels, and share out the next unit's vectors among the register tiles."""
        self._following = following
        self._prefetch.enter(following)
        T.buffer_store(self._in_use, 1 - self._in_use[0], [0])
        self._first = T.bind(self._in_use[0] * self._depth)
        self._left = T.bind(tirx.Select(is_last, T.int32(0), T.int32(self._filters)))
        self._share = T.bind(ceil_div(self._left, tiles))

    def before(self, tile: Expr) -> None:
        """Transform this tile's share of the next unit."""
        begin = T.bind(tile * self._share)
        with T.serial(tirx.min(self._share, self._left - begin)) as number:
            self._transform(self._following, begin + number, self._depth - self._first)

    def step(self) -> None:
        """Ask for some lines."""
        self._prefetch.step()

    def load(self, position: Expr, k: Expr, piece: int) -> Expr:
        """From this unit's panel."""
        place = vector(position * self._nest.width + piece, self._nest.block_lanes)
        return T.bind(self._panels[self._first + k, place])

    def _transform(self, unit: Expr, number: Expr, first: Expr) -> None:
        lanes, taps = self._nest.block_lanes, TAPS**2
        loaded = [T.bind(self._weight[unit, vector((number * taps + tap) * lanes, lanes)]) for tap in range(taps)]
        k, piece = tirx.truncdiv(number, self._vectors), tirx.truncmod(number, self._vectors)
        for position, value in enumerate(transform_weight(loaded, self._workload.m)):
            place = vector(position * self._nest.width + piece * lanes, lanes)
            T.buffer_store(self._panels, value, [first + k, place])
