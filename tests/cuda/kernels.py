"""Scheduled functions for tests of the tools around kernels."""

from __future__ import annotations

import numpy as np
from tvm import te, tirx
from tvm.s_tir import Schedule

ROWS, DEPTH, CHANNELS = 64, 32, 16


def gathered_product() -> tirx.PrimFunc:
    """y [ROWS, CHANNELS] = x[list] @ w, with rows gathered through shared memory."""
    x = te.placeholder((ROWS * 2, DEPTH), "float32", name="x")
    rows = te.placeholder((ROWS,), "int32", name="rows")
    w = te.placeholder((DEPTH, CHANNELS), "float32", name="w")
    k = te.reduce_axis((0, DEPTH), "k")
    gathered = te.compute((ROWS, DEPTH), lambda i, d: x[rows[i], d], name="gathered")
    y = te.compute((ROWS, CHANNELS), lambda i, c: te.sum(gathered[i, k] * w[k, c], axis=k), name="y")
    sch = Schedule(te.create_prim_func([x, rows, w, y]))
    block, gather = sch.get_sblock("y"), sch.get_sblock("gathered")
    i, c, k_loop = sch.get_loops(block)
    outer, inner = sch.split(i, [None, 16])
    sch.bind(outer, "blockIdx.x")
    sch.bind(inner, "threadIdx.y")
    sch.bind(c, "threadIdx.x")
    k_outer, _ = sch.split(k_loop, [None, 16])
    sch.set_scope(gather, 0, "shared")
    sch.compute_at(gather, k_outer)
    fused = sch.fuse(*sch.get_loops(gather)[-2:])
    _, thread_y, thread_x = sch.split(fused, [None, 16, CHANNELS])
    sch.bind(thread_y, "threadIdx.y")
    sch.bind(thread_x, "threadIdx.x")
    return sch.mod["main"]


def arguments() -> dict[str, np.ndarray]:
    """For `gathered_product`, the result as NaN."""
    random = np.random.default_rng(0)
    return {
        "x": random.standard_normal((ROWS * 2, DEPTH)).astype("float32"),
        "rows": random.permutation(ROWS * 2)[:ROWS].astype("int32"),
        "w": random.standard_normal((DEPTH, CHANNELS)).astype("float32"),
        "y": np.full((ROWS, CHANNELS), np.nan, "float32"),
    }


def two_kernels() -> tirx.PrimFunc:
    """y = 2 x + 1 in two kernels: the first writes z, a parameter too."""
    x = te.placeholder((64,), "float32", name="x")
    z = te.compute((64,), lambda i: x[i] * 2.0, name="z")
    y = te.compute((64,), lambda i: z[i] + 1.0, name="y")
    sch = Schedule(te.create_prim_func([x, z, y]))
    for name, threads in (("z", 32), ("y", 64)):
        outer, inner = sch.split(sch.get_loops(sch.get_sblock(name))[0], [None, threads])
        sch.bind(outer, "blockIdx.x")
        sch.bind(inner, "threadIdx.x")
    return sch.mod["main"]


SPILLS = """
extern "C" __global__ void __launch_bounds__(1024, 2) spills(float* __restrict__ x, float* __restrict__ y) {
  float sums[64];
  #pragma unroll
  for (int i = 0; i < 64; ++i) sums[i] = x[threadIdx.x * 64 + i];
  for (int k = 0; k < 100; ++k) {
    #pragma unroll
    for (int i = 0; i < 64; ++i) sums[i] = sums[i] * sums[(i + 7) % 64] + x[k * 64 + i];
  }
  #pragma unroll
  for (int i = 0; i < 64; ++i) y[threadIdx.x * 64 + i] = sums[i];
}
"""
"""Asks for two blocks of 1024 threads, which leaves a thread 32 registers for 64 sums."""
