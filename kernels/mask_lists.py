"""From a decision to lists: which pixels are active, which ones their windows reach, and where each tap lies.

All of it happens on the device, and each list ends in slack so that the last tile of a kernel may run over its end:
beyond the count, a list names a row that nobody reads, and a table names row 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import define, independent
from lascompile.workload import (
    ROW_SLACK,
    ActiveWorkload,
    CompactWorkload,
    DilateWorkload,
    TableWorkload,
    UnionWorkload,
    WindowShape,
)

Buffers = Mapping[str, tirx.Var]


def _byte(value: int) -> Expr:
    return tirx.const(value, "uint8")


def define_active(workload: ActiveWorkload) -> tirx.PrimFunc:
    """Decision [elements], index [G, rows] → active [rows + 1] and, for several groups, group_active [G, rows + 1]."""
    rows, groups = workload.rows, workload.groups
    buffers = {
        "decision": ((workload.elements,), workload.dtype),
        "index": ((groups, rows), "int32"),
        "group_active": ((groups, rows + 1), "uint8"),
        "active": ((rows + 1,), "uint8"),
    }

    def body(b: Buffers) -> None:
        def on(group: int, pixel: Expr) -> Expr:
            taken = b["decision"][b["index"][group, pixel]]
            number = tirx.Cast("int32", taken) if workload.dtype == "bool" else taken
            is_zero = number == tirx.const(0, str(number.ty.dtype))
            return tirx.Select(is_zero, _byte(int(workload.inverted)), _byte(int(not workload.inverted)))

        with T.serial(rows) as pixel:
            T.buffer_store(b["active"], on(0, pixel), [pixel])
            for group in range(groups if groups > 1 else 0):
                T.buffer_store(b["group_active"], on(group, pixel), [group, pixel])
                T.buffer_store(b["active"], b["active"][pixel] | b["group_active"][group, pixel], [pixel])
        T.buffer_store(b["active"], _byte(0), [rows])
        for group in range(groups if groups > 1 else 0):
            T.buffer_store(b["group_active"], _byte(0), [group, rows])

    return define(list(buffers) if groups > 1 else ["decision", "index", "active"], buffers, body)


def define_dilate(workload: DilateWorkload) -> tirx.PrimFunc:
    """Active [output pixels + 1] → reached [input pixels + 1]: 1 where the window of an active pixel reads."""
    window = workload.window
    height, width = window.input_size
    out_height, out_width = window.output_size
    buffers = {
        "active": ((window.output_rows + 1,), "uint8"),
        "reached": ((window.input_rows + 1,), "uint8"),
    }

    def body(b: Buffers) -> None:
        with independent(window.batch * height) as line:
            image, y = tirx.floordiv(line, height), tirx.floormod(line, height)
            with T.serial(width) as x:
                hit = _byte(0)
                for i in range(window.kernel[0]):
                    for j in range(window.kernel[1]):
                        row, in_rows = _undo(y, i, 0, window)
                        column, in_columns = _undo(x, j, 1, window)
                        pixel = (image * out_height + row) * out_width + column
                        inside = tirx.all(in_rows, in_columns)
                        # if_then_else, unlike Select, reads only where the condition holds.
                        hit = hit | tirx.if_then_else(inside, b["active"][pixel], _byte(0))
                T.buffer_store(b["reached"], hit, [line * width + x])
        T.buffer_store(b["reached"], _byte(0), [window.input_rows])

    return define(list(buffers), buffers, body)


def _undo(position: Expr, tap: int, axis: int, window: WindowShape) -> tuple[Expr, Expr]:
    """The output coordinate whose tap reads input `position`, and whether there is one."""
    ahead = position + (window.pad[axis] - tap * window.dilation[axis])
    stride = window.stride[axis]
    coordinate = tirx.floordiv(ahead, stride)
    inside = tirx.all(ahead >= 0, coordinate < window.output_size[axis], tirx.floormod(ahead, stride) == 0)
    return coordinate, inside


def define_union(workload: UnionWorkload) -> tirx.PrimFunc:
    """first, second [rows + 1] → active [rows + 1], the maximum of both."""
    names = ("first", "second", "active")
    buffers = {name: ((workload.rows + 1,), "uint8") for name in names}

    def body(b: Buffers) -> None:
        with T.serial(workload.rows + 1) as pixel:
            T.buffer_store(b["active"], b["first"][pixel] | b["second"][pixel], [pixel])

    return define(names, buffers, body)


def define_compact(workload: CompactWorkload) -> tirx.PrimFunc:
    """Active [rows + 1] → list [rows + ROW_SLACK], count [1], position [rows + 1].

    `list` holds the dense row numbers of the active pixels in order, then row rows + 1, which is slack. `position` is
    the packed row of each dense row, and 0 for row 0 and for inactive pixels.
    """
    rows = workload.rows
    buffers = {
        "active": ((rows + 1,), "uint8"),
        "list": ((rows + ROW_SLACK,), "int32"),
        "count": ((1,), "int32"),
        "position": ((rows + 1,), "int32"),
    }

    def body(b: Buffers) -> None:
        found = T.sblock_alloc_buffer((1,), "int32", scope="local")
        zero = tirx.const(0, "int32")
        T.buffer_store(found, zero, [0])
        T.buffer_store(b["position"], zero, [0])
        with T.serial(rows) as pixel:
            # Written in any case and kept by moving on: no branch that a random mask would mispredict.
            on = tirx.Cast("int32", b["active"][pixel])
            T.buffer_store(b["list"], pixel + 1, [found[0]])
            T.buffer_store(found, found[0] + on, [0])
            T.buffer_store(b["position"], found[0] * on, [pixel + 1])
        T.buffer_store(b["count"], found[0], [0])
        with T.serial(ROW_SLACK) as beyond:
            T.buffer_store(b["list"], rows + 1, [found[0] + beyond])

    return define(list(buffers), buffers, body)


def define_table(workload: TableWorkload) -> tirx.PrimFunc:
    """list, count [, position] → table [output pixels + ROW_SLACK, taps] of input rows; 0 outside the image."""
    window = workload.window
    rows = window.output_rows
    buffers = {
        "list": ((rows + ROW_SLACK,), "int32"),
        "count": ((1,), "int32"),
        "position": ((window.input_rows + 1,), "int32"),
        "table": ((rows + ROW_SLACK, window.taps) if window.taps > 1 else (rows + ROW_SLACK,), "int32"),
    }
    names = [name for name in buffers if workload.packed or name != "position"]

    def body(b: Buffers) -> None:
        with independent(b["count"][0] + (ROW_SLACK - 1)) as m:
            pixel = b["list"][m] - 1
            for tap in range(window.taps):
                row = _input_row(pixel, tap, window)
                row = b["position"][row] if workload.packed else row
                T.buffer_store(b["table"], row, [m, tap] if window.taps > 1 else [m])

    return define(names, buffers, body)


def _input_row(pixel: Expr, tap: int, window: WindowShape) -> Expr:
    """The dense row that `tap` of output `pixel` reads; 0 outside the image and for pixels beyond the last."""
    out_height, out_width = window.output_size
    image, place = tirx.floordiv(pixel, out_height * out_width), tirx.floormod(pixel, out_height * out_width)
    (i, j), (height, width) = divmod(tap, window.kernel[1]), window.input_size
    y = tirx.floordiv(place, out_width) * window.stride[0] + (i * window.dilation[0] - window.pad[0])
    x = tirx.floormod(place, out_width) * window.stride[1] + (j * window.dilation[1] - window.pad[1])
    inside = tirx.all(image < window.batch, y >= 0, y < height, x >= 0, x < width)
    return tirx.Select(inside, (image * height + y) * width + x + 1, tirx.const(0, "int32"))
