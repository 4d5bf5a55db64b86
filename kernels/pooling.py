"""Pooling over rows, windows clipped to the image."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import define
from lascompile.workload import ROW_SLACK, PoolWorkload, WindowShape, channel_stride


def define_pool(workload: PoolWorkload) -> tirx.PrimFunc:
    """Input rows → output rows; blocks `acc` (over the window) and `store`.

    Averages divide the sum by the number of pixels inside the image, or by the whole window if padding counts. A NaN
    in the window comes out; of a maximum, onnxruntime lets it out or not by where in the window it stands.
    """
    window, stride = workload.window, channel_stride(workload.channels)
    rows = window.output_rows
    buffers = {
        "input": ((window.input_rows + ROW_SLACK, stride), "float32"),
        "output": ((rows + ROW_SLACK, stride), "float32"),
    }

    def body(b: Mapping[str, tirx.Var]) -> None:
        acc = T.sblock_alloc_buffer((rows, stride), "float32")
        is_max = workload.kind == "max"
        start = tirx.const(-math.inf if is_max else 0.0, "float32")
        with T.grid(rows, stride, *window.kernel) as (m, c, i, j):
            with T.sblock("acc"):
                vm, vc = T.axis.spatial(rows, m), T.axis.spatial(stride, c)
                vi, vj = T.axis.reduce(window.kernel[0], i), T.axis.reduce(window.kernel[1], j)
                with T.init():
                    T.buffer_store(acc, start, [vm, vc])
                row, inside = _source(window, vm, vi, vj)
                value = tirx.if_then_else(inside, b["input"][row, vc], start)
                old = acc[vm, vc]
                # `value > old` fails for NaN on either side: an old one stays, and the second select lets a new one in.
                # TVM takes `value != value` for false, so it has to be asked by name.
                largest = tirx.Select(tirx.isnan(value), value, tirx.Select(value > old, value, old))
                T.buffer_store(acc, largest if is_max else old + value, [vm, vc])
        with T.grid(rows, stride) as (m, c):
            with T.sblock("store"):
                vm, vc = T.axis.spatial(rows, m), T.axis.spatial(stride, c)
                result = acc[vm, vc] if is_max else acc[vm, vc] / _divisor(workload, vm)
                T.buffer_store(b["output"], result, [vm + 1, vc])

    return define(list(buffers), buffers, body)


def _start(window: WindowShape, m: Expr) -> tuple[Expr, Expr, Expr]:
    """The image of output row m, and the first line and column of its window."""
    height, width = window.output_size
    image, place = tirx.floordiv(m, height * width), tirx.floormod(m, height * width)
    y = tirx.floordiv(place, width) * window.stride[0] - window.pad[0]
    x = tirx.floormod(place, width) * window.stride[1] - window.pad[1]
    return image, y, x


def _source(window: WindowShape, m: Expr, i: Expr, j: Expr) -> tuple[Expr, Expr]:
    image, y, x = _start(window, m)
    y, x = y + i * window.dilation[0], x + j * window.dilation[1]
    height, width = window.input_size
    inside = tirx.all(y >= 0, y < height, x >= 0, x < width)
    return (image * height + y) * width + x + 1, inside


def _divisor(workload: PoolWorkload, m: Expr) -> Expr:
    window = workload.window
    if workload.counts_padding:
        return tirx.const(float(window.taps), "float32")
    _, y, x = _start(window, m)
    height, width = window.input_size
    tall = tirx.min(y + window.kernel[0], height) - tirx.max(y, 0)
    wide = tirx.min(x + window.kernel[1], width) - tirx.max(x, 0)
    return tirx.Cast("float32", tall * wide)
