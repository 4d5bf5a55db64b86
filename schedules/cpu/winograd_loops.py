"""Winograd convolution over tiles of rows: 3×3, stride 1, dense or over the active tiles of a list.

Each walker (thread) takes a share of the tiles and a share of the channel blocks, and then:

    for chunk of its tiles:
        V[tile, position, channel]  = B^T d B of the tiles' inputs, read through their table
        for block of its channels:
            for position:
                M[tile, position, channel of the block] = V[position] · U[block, position]
            outputs of the tiles = epilogue(A^T M A + bias), each stored at the row that its table says

V and M stay in the second-level cache. U comes from `winograd_weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import BufferSpec, define
from lascompile.kernels.epilogue import finish_at
from lascompile.kernels.winograd import buffers as tile_buffers
from lascompile.kernels.winograd_transforms import transform_input, transform_output
from lascompile.schedules.cpu.vectors import broadcast, ceil_div, lines_of, prefetch_lines, vector
from lascompile.schedules.cpu.winograd_weights import (
    PackedWeights,
    PanelWeights,
    Weights,
    WinogradNest,
    channel_blocks,
    weight_shape,
)
from lascompile.workload import NOMINAL_RATE, WinogradWorkload, channel_stride

Buffers = Mapping[str, tirx.Var]

_MOST_LINES_EACH = 16
"""Lines that are asked for at once: about as many as a core can wait for."""

_PADDING = 16
"""Numbers between the tiles of V and of M, so that they do not fall into the same set of a cache."""


def buffers(workload: WinogradWorkload, nest: WinogradNest) -> dict[str, BufferSpec]:
    """Shape and dtype of every buffer that the convolution can take."""
    return tile_buffers(workload) | {"weight": (weight_shape(workload, nest), "float32")}


def define_winograd(workload: WinogradWorkload, nest: WinogradNest) -> tirx.PrimFunc:
    """The convolution `workload`; bounded by its count as it stands, and parallel as `nest` says."""

    def body(b: Buffers) -> None:
        b = {**b, "residual": b["output"]} if workload.in_place else b
        if not workload.in_place:
            with T.serial(channel_stride(workload.out_channels)) as channel:
                T.buffer_store(b["output"], T.float32(0), [0, channel])
        with T.parallel(nest.channel_walkers * nest.tile_walkers) as walker:
            _Walk(workload, nest, b).emit(walker)

    return define(workload.arguments(), buffers(workload, nest), body, keeps_buffers=True)


class _Walk:
    """Writes the code of one walker.

    Attributes:
        inputs: V [tile, position × channel]. A tile's numbers are neighbours, so that they lie in few pages.
        sums: M [tile, position × channel of the block].
        weights: U.
    """

    def __init__(self, workload: WinogradWorkload, nest: WinogradNest, b: Buffers) -> None:
        self.workload, self.nest, self.b = workload, nest, b
        self.stride = channel_stride(workload.in_channels)
        self.depth = workload.in_channels // nest.depth_parts
        self.steps = self.depth // nest.unroll
        self.inputs = self._buffer(workload.positions * self.stride)
        self.sums = self._buffer(workload.positions * nest.width)
        kind = PanelWeights if nest.transform_weights else PackedWeights
        groups = -(-self._expected_tiles // nest.tile_heights[0])
        self.weights: Weights = kind(workload, nest, b["weight"], groups)

    @property
    def _expected_tiles(self) -> int:
        """Tiles of a chunk, if as many are active as are expected."""
        tiles = -(-self.workload.tiles // self.nest.tile_walkers)
        return min(self.nest.held_tiles, ceil(tiles * NOMINAL_RATE) if self.workload.counted else tiles)

    def _buffer(self, floats: int) -> tirx.Var:
        return T.alloc_buffer((self.nest.held_tiles, floats + _PADDING), "float32")

    def emit(self, walker: Expr) -> None:
        """All chunks of `walker`."""
        nest, workload = self.nest, self.workload
        count = self.b["count"][0] if workload.counted else T.int32(workload.tiles)
        share = T.bind(ceil_div(count, nest.tile_walkers))
        first = T.bind(tirx.truncmod(walker, nest.tile_walkers) * share)
        mine = T.bind(tirx.max(tirx.min(count - first, share), 0))
        chunks = T.bind(ceil_div(mine, nest.held_tiles))
        # Chunks of equal size, not full ones and a rest.
        size = T.bind(ceil_div(mine, tirx.max(chunks, 1)))
        units = channel_blocks(workload, nest.width) // nest.channel_walkers * nest.depth_parts
        first_unit = T.bind(tirx.truncdiv(walker, nest.tile_walkers) * units)
        with T.serial(chunks) as chunk:
            begin = T.bind(first + chunk * size)
            held = T.bind(tirx.min(mine - chunk * size, size))
            self._transform_inputs(begin, held, first_unit)
            with T.If(chunk == 0), T.Then():
                self.weights.start(first_unit)
            with T.serial(units) as number:
                unit = T.bind(first_unit + number)
                # After the last one of this chunk comes the first one of the next.
                following = T.bind(tirx.Select(number < units - 1, unit + 1, first_unit))
                is_last = tirx.all(chunk == chunks - 1, number == units - 1)
                self._multiply_unit(unit, following, is_last, held)
                self._store(unit, begin, held)

    def _transform_inputs(self, begin: Expr, held: Expr, first_unit: Expr) -> None:
        lanes = min(self.nest.lanes, self.stride)
        pieces = self.stride // lanes
        with T.serial(held) as tile:
            table = self.b["input_table"]
            rows = [T.bind(table[begin + tile, position]) for position in range(self.workload.positions)]
            with T.serial(pieces) as piece:
                if self.nest.prefetch:
                    self._prefetch_first_unit(first_unit, tile * pieces + piece, pieces)
                pixels = [T.bind(self.b["input"][row, vector(piece * lanes, lanes)]) for row in rows]
                for position, value in enumerate(transform_input(pixels, self.workload.m)):
                    T.buffer_store(self.inputs, value, [tile, vector(position * self.stride + piece * lanes, lanes)])
        self._clear_rest(held, lanes)

    def _clear_rest(self, held: Expr, lanes: int) -> None:
        """What no tile fills is read as well. Any number would do, but some slow a CPU down."""
        highest = self.nest.tile_heights[0]
        rest = ceil_div(held, highest) * highest - held
        with T.serial(rest) as tile, T.serial(self.workload.positions * self.stride // lanes) as piece:
            T.buffer_store(self.inputs, broadcast(T.float32(0), lanes), [held + tile, vector(piece * lanes, lanes)])

    def _prefetch_first_unit(self, unit: Expr, iteration: Expr, pieces: int) -> None:
        """While inputs are transformed, ask for the first weights; the tiles to be expected ask for all of them."""
        lines = lines_of(weight_shape(self.workload, self.nest)[1])
        each = min(_MOST_LINES_EACH, -(-lines // (self._expected_tiles * pieces)))
        prefetch_lines(self.b["weight"], unit, iteration * each, each)

    def _multiply_unit(self, unit: Expr, following: Expr, is_last: Expr, held: Expr) -> None:
        """Add the products of a unit to the sums of all tiles."""
        heights, positions = self.nest.tile_heights, self.workload.positions
        part = tirx.truncmod(unit, self.nest.depth_parts)
        groups = T.bind(ceil_div(held, heights[0]))
        self.weights.enter(unit, following, is_last, positions * groups)
        with T.serial(positions) as position, T.serial(groups) as group:
            begin = T.bind(group * heights[0])
            self.weights.before(position * groups + group)

            def multiply(height: int, begin: Expr = begin) -> None:
                self._multiply(part, position, begin, height)

            self._choose_height(heights, held - begin, multiply)

    def _choose_height(self, heights: tuple[int, ...], left: Expr, emit: Callable[[int], None]) -> None:
        """Emit the lowest of `heights` that holds what is left."""
        if len(heights) == 1:
            emit(heights[0])
            return
        with T.If(left > heights[1]):
            with T.Then():
                emit(heights[0])
            with T.Else():
                self._choose_height(heights[1:], left, emit)

    def _multiply(self, part: Expr, position: Expr, begin: Expr, height: int) -> None:
        """Add to M of `height` tiles, from `begin`, and one position: a register tile."""
        nest, lanes = self.nest, self.nest.block_lanes
        pieces = range(0, nest.width, lanes)
        places = [(r, vector(piece, lanes)) for r in range(height) for piece in pieces]
        sums = [(begin + r, vector(position * nest.width + piece, lanes)) for r in range(height) for piece in pieces]
        tile = T.alloc_buffer((height, nest.width), "float32", scope="local")

        def begin_sums(values: list[Expr]) -> None:
            for place, value in zip(places, values, strict=True):
                T.buffer_store(tile, value, place)

        zeros = [broadcast(T.float32(0), lanes)] * len(places)
        if nest.depth_parts == 1:
            begin_sums(zeros)
        else:
            with T.If(part == 0):
                with T.Then():
                    begin_sums(zeros)
                with T.Else():
                    begin_sums([self.sums[place] for place in sums])
        with T.serial(self.steps) as step:
            self.weights.step()
            for k in range(nest.unroll):
                weights = [self.weights.load(position, step * nest.unroll + k, piece) for piece in pieces]
                channel = position * self.stride + part * self.depth + step * nest.unroll + k
                factors = [T.bind(broadcast(self.inputs[begin + r, channel], lanes)) for r in range(height)]
                products = [factor * weight for factor in factors for weight in weights]
                for place, product in zip(places, products, strict=True):
                    T.buffer_store(tile, tile[place] + product, place)
        for place, sum_place in zip(places, sums, strict=True):
            T.buffer_store(self.sums, tile[place], sum_place)

    def _store(self, unit: Expr, begin: Expr, held: Expr) -> None:
        """Outputs of all tiles of a block, after its last part."""
        parts = self.nest.depth_parts
        if parts == 1:
            self._store_block(unit, begin, held)
            return
        with T.If(tirx.truncmod(unit, parts) == parts - 1), T.Then():
            self._store_block(tirx.truncdiv(unit, parts), begin, held)

    def _store_block(self, block: Expr, begin: Expr, held: Expr) -> None:
        workload, width, lanes = self.workload, self.nest.width, self.nest.block_lanes
        results = T.alloc_buffer((workload.m**2, lanes), "float32", scope="local")
        with T.serial(held) as tile, T.serial(width // lanes) as piece:
            places = [vector(position * width + piece * lanes, lanes) for position in range(workload.positions)]
            products = [T.bind(self.sums[tile, place]) for place in places]
            for pixel, value in enumerate(transform_output(products, workload.m)):
                T.buffer_store(results, value, [pixel, vector(0, lanes)])
            for pixel in range(workload.m**2):
                row = T.bind(self.b["output_table"][begin + tile, pixel])
                with T.vectorized(lanes) as lane:
                    channel = block * width + piece * lanes + lane
                    value = results[pixel, lane] + self.b["bias"][channel]
                    finished = finish_at(workload.epilogue, self.b, value, row, row, channel)
                    T.buffer_store(self.b["output"], finished, [row, channel])
