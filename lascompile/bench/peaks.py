"""What this machine can do at best: float32 matrix products, the tile unit, and bytes from caches and memory.

Each peak is something to run, so that it can take its turns among the kernels that are held against it: a clock that
drifts, or a neighbour on a shared machine, then hits both. Data are random numbers: on zeros a chip that is throttled
by power runs up to 1.5 times as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as T

from lascompile.bench.linked import load_linked
from lascompile.kernels.definition import BufferSpec, define
from lascompile.runtime.memory import aligned, allocate_block, as_tensor
from lascompile.schedules.cpu import tile_unit
from lascompile.schedules.cpu.bfloat16 import split
from lascompile.target import CpuTarget

GEMM, TILES, MEMORY, SECOND_LEVEL = "gemm", "tiles", "memory", "second_level"

_GEMM_SIDE = 768
_TILE_STEPS = 20_000
_TILE_OPERANDS = 16
"""Tiles of operands, 1 KB each: all of them stay in a first-level cache of 32 KB."""

_TILE_FLOPS = 2 * 16 * 16 * 32
_SECOND_LEVEL_BYTES = 512 * 1024
"""More than a first-level cache holds, and half or a quarter of a second-level one."""

_SECOND_LEVEL_PASSES = 64
_MEMORY_BYTES = 512 * 1024 * 1024
_SLICES = 16
"""Parts of MEMORY, each read by one run."""

_VECTORS = 8
"""Sums that a core keeps while it reads, so that no addition waits for the one before."""


@dataclass(frozen=True)
class Peak:
    """Something that does as much as the machine can.

    Attributes:
        name: GEMM, TILES, MEMORY or SECOND_LEVEL.
        work: What a run does, in floating-point operations (of the tile unit, in bfloat16 ones) or bytes.
        run: Runs it once.
    """

    name: str
    work: float
    run: Callable[[], object]


def peaks(target: CpuTarget, threads: int, memory_bytes: int = _MEMORY_BYTES) -> Iterator[Peak]:
    """Those that `target`, which is this machine, has.

    Args:
        target: This machine.
        threads: How many threads each of them runs on.
        memory_bytes: How much MEMORY reads; more than the last-level cache holds.
    """
    yield gemm(threads)
    if target.has_tile_unit:
        yield _tile_products(target, threads)
    yield _reading(SECOND_LEVEL, target, threads, threads * _SECOND_LEVEL_BYTES, 1, _SECOND_LEVEL_PASSES)
    yield _reading(MEMORY, target, threads, memory_bytes // _SLICES, _SLICES, 1)


def gemm(threads: int, side: int = _GEMM_SIDE) -> Peak:
    """A product of square float32 matrices by PyTorch, which leaves it to MKL or OpenBLAS."""
    import torch

    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator) for _ in range(2))
    product = torch.empty(side, side)
    return Peak(GEMM, 2.0 * side**3, lambda: torch.mm(left, right, out=product))


def _tile_products(target: CpuTarget, threads: int) -> Peak:
    """Four sums of tiles at once, operands from the first-level cache: what a kernel does if nothing is in its way."""

    def body(b: dict[str, tirx.Var]) -> None:
        with T.parallel(threads) as walker:
            tile_unit.configure()
            for sums in range(4):
                tile_unit.zero(sums)
            with T.serial(_TILE_STEPS) as step:
                first = T.bind(tirx.floormod(step, _TILE_OPERANDS // 4) * 4)
                for i in range(4):
                    tile_unit.load(4 + i, tirx.address_of(b["operands"][walker, first + i, 0]))
                for sums in range(4):
                    tile_unit.add_product(sums, 4 + sums // 2, 6 + sums % 2)
            for sums in range(4):
                tile_unit.store(sums, tirx.address_of(b["sums"][walker, sums, 0]), tile_unit.ROW_BYTES)
            tile_unit.release()

    rng = np.random.default_rng(0)
    operands, _ = split(rng.standard_normal((threads, _TILE_OPERANDS, 512), np.float32))
    arrays = {"operands": operands, "sums": np.zeros((threads, 4, 256), np.float32)}
    run = _bind(_compile(target, threads, arrays, body), list(arrays.values()))
    return Peak(TILES, float(threads * _TILE_STEPS * 4 * _TILE_FLOPS), run)


def _reading(name: str, target: CpuTarget, threads: int, nbytes: int, slices: int, passes: int) -> Peak:
    """Each thread sums up its part of `nbytes`, several times over; the next run does so with the next slice."""
    width = max(1, target.lanes)
    each = nbytes // 4 // threads // (_VECTORS * width)

    def body(b: dict[str, tirx.Var]) -> None:
        with T.parallel(threads) as walker:
            sums = T.alloc_buffer((_VECTORS, width), "float32", scope="local")
            with T.unroll(_VECTORS) as vector, T.vectorized(width) as lane:
                T.buffer_store(sums, T.float32(0), [vector, lane])
            with T.serial(passes), T.serial(each) as i, T.unroll(_VECTORS) as vector, T.vectorized(width) as lane:
                T.buffer_store(sums, sums[vector, lane] + b["data"][walker, i, vector, lane], [vector, lane])
            with T.unroll(_VECTORS) as vector, T.vectorized(width) as lane:
                T.buffer_store(b["sums"], sums[vector, lane], [walker, vector, lane])

    shape = (threads, each, _VECTORS, width)
    data = allocate_block(4 * slices * int(np.prod(shape))).view(np.float32).reshape(slices, *shape)
    data[...] = np.random.default_rng(0).standard_normal(shape[-2:], np.float32)
    sums = np.zeros((threads, _VECTORS, width), np.float32)
    main = _compile(target, threads, {"data": data[0], "sums": sums}, body)
    calls = cycle([_bind(main, [part, sums]) for part in data])
    return Peak(name, float(data[0].nbytes * passes), lambda: next(calls)())


def _compile(
    target: CpuTarget, threads: int, arrays: dict[str, np.ndarray], body: Callable[[dict[str, tirx.Var]], None]
) -> Callable[..., object]:
    """The kernel `body` over `arrays`."""
    specs: dict[str, BufferSpec] = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    func = define(list(arrays), specs, lambda b: body(dict(b)), keeps_buffers=True)
    main: Callable[..., object] = load_linked(func, target, threads)["main"]
    return main


def _bind(main: Callable[..., object], arrays: Sequence[np.ndarray]) -> Callable[[], object]:
    tensors = [as_tensor(aligned(array)) for array in arrays]
    return lambda: main(*tensors)
