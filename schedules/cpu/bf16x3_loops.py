"""Convolutions over rows on the tile matrix unit, each float32 as the sum of two bfloat16 numbers.

The unit multiplies bfloat16 and sums up in float32, sixteen times as fast as the vector units multiply float32. With
x = x1 + x2 and w = w1 + w2, both as in `bfloat16`,

    x w  ≈  x2 w1 + x1 w1 + x1 w2,

three products for one: still five times as fast. What is left out is about 2^-17 of |x w|, and of either sign (Henry,
Tang and Heinecke, «Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations», 2019;
oneMKL calls it FLOAT_TO_BF16X3).

Two tiles of 16 rows times two tiles of 16 channels are summed up at once in four of the eight tile registers. The rows,
wherever they lie, are first split and packed side by side: taps × channels numbers each, rounded up to steps of 32.
Where these are many, they are cut into depth parts, so that what is packed stays in the cache; between two parts the
sums stand in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import BufferSpec, define
from lascompile.kernels.epilogue import finish
from lascompile.kernels.row_conv import buffers as row_buffers
from lascompile.schedules.cpu import tile_unit
from lascompile.schedules.cpu.asker import Asker
from lascompile.schedules.cpu.bfloat16 import LANES, split, split_in_kernel
from lascompile.schedules.cpu.tile_unit import TILE_ROWS
from lascompile.schedules.cpu.vectors import LINE_BYTES, ceil_div
from lascompile.schedules.weight_stream import OWN_WEIGHTS, Stream
from lascompile.workload import ConvWorkload, channel_stride

GROUP_ROWS = 2 * TILE_ROWS
"""Rows that are multiplied together."""

BLOCK_CHANNELS = 2 * TILE_ROWS
"""Output channels that are summed up together."""

STEP = 32
"""Products that one tile instruction adds to each sum."""

_SUMS, _ROWS, _WEIGHTS = (0, 1, 2, 3), (4, 5), (6, 7)
"""Tile registers: sum [2 i + j] belongs to row tile i and weight tile j."""

_HIGH, _LOW = 0, 1

_STEP_PITCH = 2 * GROUP_ROWS * STEP + STEP
"""From one step of packed rows to the next: a cache line more than they take, as lines 4 KB apart evict each other."""

_STEP_LINES = 2 * STEP * BLOCK_CHANNELS * 2 // LINE_BYTES
"""Cache lines of weights that one step takes."""


@dataclass(frozen=True)
class TileNest:
    """How the loops around the tiles are dealt out.

    Attributes:
        channel_walkers: Parts that the channel blocks are dealt out to, in parallel.
        row_walkers: Parts that the row groups are dealt out to, in parallel.
        packed_groups: Row groups that are packed before their products begin. A block of weights is used for all of
            them before the next one is read.
        depth_parts: Parts that the sum is cut into.
    """

    channel_walkers: int
    row_walkers: int
    packed_groups: int
    depth_parts: int = 1


def channel_blocks(workload: ConvWorkload) -> int:
    """Blocks of BLOCK_CHANNELS output channels, the last one filled up."""
    return -(-channel_stride(workload.out_channels) // BLOCK_CHANNELS)


def steps(workload: ConvWorkload) -> int:
    """Tile instructions along a sum of all taps and channels."""
    return -(-workload.taps * channel_stride(workload.in_channels) // STEP)


def can_cut_depth(workload: ConvWorkload, parts: int) -> bool:
    """True if the sum can be cut into so many parts: of whole taps, or of the channels of a single one."""
    if parts == 1:
        return True
    whole_steps = channel_stride(workload.in_channels) % STEP == 0
    return whole_steps and (steps(workload) if workload.taps == 1 else workload.taps) % parts == 0


def weight_shape(workload: ConvWorkload, nest: TileNest) -> tuple[int, ...]:
    """Packed weights, in the order in which they are read.

    [channel walker × depth part × channel block, step, half (high, low), weight tile, pair of products, channel × 2]
    """
    depth = steps(workload) // nest.depth_parts
    return channel_blocks(workload) * nest.depth_parts, depth, 2, 2, STEP // 2, 2 * TILE_ROWS


def pack_weight(weight: np.ndarray, workload: ConvWorkload, nest: TileNest) -> np.ndarray:
    """[out, in, kh, kw] float32 → the bits of its bfloat16 parts, [`weight_shape`] uint16, zeros where it ends."""
    blocks, depth = channel_blocks(workload), steps(workload)
    out_channels, in_channels = weight.shape[:2]
    by_tap = np.zeros((workload.taps, channel_stride(in_channels), blocks * BLOCK_CHANNELS), np.float32)
    by_tap[:, :in_channels, :out_channels] = weight.reshape(out_channels, in_channels, -1).transpose(2, 1, 0)
    products = by_tap.reshape(-1, blocks * BLOCK_CHANNELS)
    halves = split(np.pad(products, ((0, depth * STEP - len(products)), (0, 0))))
    walkers, parts = nest.channel_walkers, nest.depth_parts
    # half, part, step, pair, which of the pair, walker, block, tile, channel
    cut = halves.reshape(2, parts, depth // parts, STEP // 2, 2, walkers, blocks // walkers, 2, TILE_ROWS)
    ordered = cut.transpose(5, 1, 6, 2, 0, 7, 3, 8, 4)
    return np.ascontiguousarray(ordered).reshape(weight_shape(workload, nest))


def buffers(workload: ConvWorkload, nest: TileNest) -> dict[str, BufferSpec]:
    """Shape and dtype of every buffer that a convolution can take."""
    return row_buffers(workload, 1) | {"weight": (weight_shape(workload, nest), "uint16")}


def define_bf16x3_conv(workload: ConvWorkload, nest: TileNest, stream: Stream = OWN_WEIGHTS) -> tirx.PrimFunc:
    """The convolution `workload`; bounded by its count as it stands, and parallel as `nest` says.

    If `stream` names upcoming weights, they are an argument before the last.
    """
    arguments, specs = list(workload.arguments()), buffers(workload, nest)
    if stream.upcoming is not None:
        arguments.insert(-1, "upcoming")
        specs["upcoming"] = (stream.upcoming.shape, "uint16")

    def body(b: Mapping[str, tirx.Var]) -> None:
        b = {**b, "residual": b["output"]} if workload.in_place else b
        if not workload.scatters:
            _set_zero(b["output"])
        with T.parallel(nest.channel_walkers * nest.row_walkers) as walker:
            _Walk(workload, nest, stream, b, walker).emit()

    return define(arguments, specs, body, keeps_buffers=True)


def _set_zero(output: tirx.Var) -> None:
    with T.serial(int(output.shape[1])) as channel:
        T.buffer_store(output, T.float32(0), [0, channel])


class _Walk:
    """What one walker does."""

    def __init__(
        self, workload: ConvWorkload, nest: TileNest, stream: Stream, b: Mapping[str, tirx.Var], walker: Expr
    ) -> None:
        self.workload, self.nest, self.stream, self.b, self.walker = workload, nest, stream, b, walker
        self.stride = channel_stride(workload.in_channels)
        self.depth = steps(workload) // nest.depth_parts
        self.blocks = channel_blocks(workload) // nest.channel_walkers
        self.count = b["count"][0] if workload.counted else T.int32(workload.rows)
        self.own_part = tirx.floordiv(walker, nest.row_walkers)
        self.rows = T.alloc_buffer((nest.packed_groups, self.depth, _STEP_PITCH), "uint16")
        unfinished = nest.packed_groups * self.blocks if nest.depth_parts > 1 else 1
        self.sums = T.alloc_buffer((unfinished, GROUP_ROWS, BLOCK_CHANNELS), "float32")

    def emit(self) -> None:
        tile_unit.configure()
        self._clear_padding()
        nest = self.nest
        groups = ceil_div(self.count, GROUP_ROWS)
        # Neighbours stay together, and so on one core from kernel to kernel: what another one has written costs more.
        row_walker = tirx.floormod(self.walker, nest.row_walkers)
        first, end = (T.bind(tirx.floordiv(groups * (row_walker + i), nest.row_walkers)) for i in (0, 1))
        chunks = T.bind(ceil_div(end - first, nest.packed_groups))
        with T.serial(chunks) as chunk:
            self._emit_chunk(T.bind(first + chunk * nest.packed_groups), end, chunk, chunks)
        tile_unit.release()

    def _emit_chunk(self, first: Expr, end: Expr, chunk: Expr, chunks: Expr) -> None:
        """Pack and multiply the row groups from `first` to `end`, packed_groups of them at most."""
        packed = T.bind(tirx.min(end - first, self.nest.packed_groups))
        own_lines = self.blocks * steps(self.workload) * _STEP_LINES
        asker = Asker.of_chunk(
            self.stream,
            self.b["weight"],
            self.b.get("upcoming"),
            own_lines,
            self.walker,
            self.own_part,
            chunk,
            chunks,
            packed * (self.blocks * steps(self.workload)),
        )
        with T.serial(self.nest.depth_parts) as part:
            with T.serial(packed) as slot:
                begin = T.bind((first + slot) * GROUP_ROWS)
                with T.serial(tirx.min(self.count - begin, GROUP_ROWS)) as row:
                    self._pack_row(begin + row, part, slot, row)
            with T.serial(self.blocks) as block, T.serial(packed) as slot:
                begin = T.bind((first + slot) * GROUP_ROWS)
                passed = T.bind(((part * self.blocks + block) * packed + slot) * self.depth)
                place = slot * self.blocks + block if self.nest.depth_parts > 1 else T.int32(0)
                with T.If(self.count - begin > TILE_ROWS):
                    with T.Then():
                        self._multiply(part, block, slot, place, (0, 1), asker, passed)
                    with T.Else():
                        self._multiply(part, block, slot, place, (0,), asker, passed)
                with T.If(part == self.nest.depth_parts - 1), T.Then():
                    with T.serial(tirx.min(self.count - begin, GROUP_ROWS)) as row:
                        self._store(begin + row, self.own_part * self.blocks + block, place, row)

    def _clear_padding(self) -> None:
        """Zero the last step's numbers, of which packing writes only those that exist."""
        if self.workload.taps * self.stride % STEP == 0:
            return
        with T.grid(self.nest.packed_groups, 2, GROUP_ROWS) as (slot, half, row), T.vectorized(STEP) as lane:
            T.buffer_store(self.rows, tirx.const(0, "uint16"), [slot, self.depth - 1, _place(half, row) + lane])

    def _pack_row(self, m: Expr, part: Expr, slot: Expr, row: Expr) -> None:
        """Split what row `m` has in a depth part into its place among the packed rows."""
        workload, lanes = self.workload, STEP if self.stride % STEP == 0 else LANES
        if self.stride < LANES:
            taps = LANES // self.stride
            with T.serial(-(-workload.taps // taps)) as piece:
                self._store_halves(self._join_taps(m, piece * taps, taps), LANES, slot, row, piece * LANES)
            return
        if workload.taps == 1:
            pieces = self.stride // lanes // self.nest.depth_parts
            self._pack_pixel(self._source(m, T.int32(0)), part * pieces, pieces, slot, row, T.int32(0), lanes)
            return
        taps = workload.taps // self.nest.depth_parts
        with T.serial(taps) as t:
            pixel = self._source(m, part * taps + t)
            self._pack_pixel(pixel, T.int32(0), self.stride // lanes, slot, row, t * self.stride, lanes)

    def _pack_pixel(
        self, pixel: Expr, first: Expr, pieces: int, slot: Expr, row: Expr, place: Expr, lanes: int
    ) -> None:
        """Split `pieces` vectors of a pixel's channels, from the `first` on, to `place`."""
        pixel, known = T.bind(pixel), self.workload.in_channels
        is_cut = known % lanes != 0  # the last vector of the last part then holds channels that do not exist
        with T.serial(pieces - is_cut) as piece:
            value = self.b["input"][pixel, tirx.Ramp((first + piece) * lanes, 1, lanes)]
            self._store_halves(value, lanes, slot, row, place + piece * lanes)
        if is_cut:
            channels = tirx.Ramp((first + (pieces - 1)) * lanes, 1, lanes)
            value = _known(self.b["input"][pixel, channels], channels, lanes, known)
            self._store_halves(value, lanes, slot, row, place + (pieces - 1) * lanes)

    def _join_taps(self, m: Expr, first: Expr, taps: int) -> Expr:
        """The channels of several taps, one behind the other; zero (row 0) beyond the last tap."""
        parts = []
        for i in range(taps):
            pixel = tirx.if_then_else(first + i < self.workload.taps, self._source(m, first + i), T.int32(0))
            parts.append(T.bind(self.b["input"][T.bind(pixel), tirx.Ramp(T.int32(0), 1, self.stride)]))
        joined = tirx.Shuffle(parts, [tirx.const(lane, "int32") for lane in range(LANES)])
        if self.workload.in_channels == self.stride:
            return joined
        channels = tirx.floormod(tirx.Ramp(T.int32(0), 1, LANES), tirx.Broadcast(T.int32(self.stride), LANES))
        return _known(joined, channels, LANES, self.workload.in_channels)

    def _source(self, m: Expr, t: Expr) -> Expr:
        """The input row of tap `t`."""
        if not self.workload.gathers:
            return m + 1
        return self.b["table"][m, t] if self.workload.taps > 1 else self.b["table"][m]

    def _store_halves(self, value: Expr, lanes: int, slot: Expr, row: Expr, place: Expr) -> None:
        step, lane = tirx.floordiv(place, STEP), tirx.floormod(place, STEP)
        for half, bits in enumerate(split_in_kernel(value, lanes)):
            T.buffer_store(self.rows, bits, [slot, step, tirx.Ramp(_place(half, row) + lane, 1, lanes)])

    def _multiply(
        self, part: Expr, block: Expr, slot: Expr, place: Expr, row_tiles: tuple[int, ...], asker: Asker, passed: Expr
    ) -> None:
        """Sum up `row_tiles` × 2 tiles over a depth part, asking for other weights meanwhile, and store them."""
        weight = self.b["weight"]
        panel = (self.own_part * self.nest.depth_parts + part) * self.blocks + block

        def load_rows(step: Expr, half: int) -> None:
            for i in row_tiles:
                tile_unit.load(_ROWS[i], tirx.address_of(self.rows[slot, step, _place(half, i * TILE_ROWS)]))

        def load_weights(step: Expr, half: int) -> None:
            for j in (0, 1):
                tile_unit.load(_WEIGHTS[j], tirx.address_of(weight[panel, step, half, j, 0, 0]))

        def add_products() -> None:
            for i in row_tiles:
                for j in (0, 1):
                    tile_unit.add_product(_SUMS[2 * i + j], _ROWS[i], _WEIGHTS[j])

        def each_sum(action: Callable[[int, Expr], None]) -> None:
            for i in row_tiles:
                for j in (0, 1):
                    action(_SUMS[2 * i + j], tirx.address_of(self.sums[place, i * TILE_ROWS, j * TILE_ROWS]))

        self._begin_sums(part, each_sum)
        with T.serial(self.depth) as step:
            asker.ask(passed + step)
            # In this order each of the four operands is loaded once.
            load_rows(step, _LOW)
            load_weights(step, _HIGH)
            add_products()
            load_rows(step, _HIGH)
            add_products()
            load_weights(step, _LOW)
            add_products()
        each_sum(lambda tile, address: tile_unit.store(tile, address, 4 * BLOCK_CHANNELS))

    def _begin_sums(self, part: Expr, each_sum: Callable[[Callable[[int, Expr], None]], None]) -> None:
        """Begin with zero, or with what the depth parts before have summed up."""
        if self.nest.depth_parts == 1:
            each_sum(lambda tile, _: tile_unit.zero(tile))
            return
        with T.If(part == 0):
            with T.Then():
                each_sum(lambda tile, _: tile_unit.zero(tile))
            with T.Else():
                each_sum(lambda tile, address: tile_unit.load(tile, address, 4 * BLOCK_CHANNELS))

    def _store(self, m: Expr, block: Expr, place: Expr, row: Expr) -> None:
        """Finish one row of a block and store it where it belongs."""
        target = T.bind(self.b["list"][m] if self.workload.scatters else m + 1)
        stride = channel_stride(self.workload.out_channels)

        def half(j: int) -> None:
            with T.vectorized(min(TILE_ROWS, stride)) as lane:
                channel = block * BLOCK_CHANNELS + j * TILE_ROWS + lane
                value = self.sums[place, row, j * TILE_ROWS + lane] + self.b["bias"][channel]
                T.buffer_store(self.b["output"], finish(self.workload, self.b, value, m, channel), [target, channel])

        half(0)
        if stride % BLOCK_CHANNELS == 0:
            half(1)
        else:
            with T.If(block * BLOCK_CHANNELS + TILE_ROWS < stride), T.Then():
                half(1)


def _known(value: Expr, channels: Expr, lanes: int, known: int) -> Expr:
    """`value`, but zero in channels beyond the last: what stands there may be NaN, and zero weights would keep it."""
    return tirx.Select(
        channels < tirx.Broadcast(T.int32(known), lanes), value, tirx.Broadcast(T.float32(0), lanes)
    )


def _place(half: int | Expr, row: int | Expr) -> Expr:
    """Where `row` of a group stands within a step."""
    return half * (GROUP_ROWS * STEP) + row * STEP
