"""From active pixels to Winograd tiles: which tiles hold one, and where their inputs and outputs lie.

Tiles are known at build time; a table names the pixels of each. What is not there is row 0 among the inputs, and the
pixel behind the last among the outputs, which is never active.
"""

from __future__ import annotations

from collections.abc import Mapping

from tvm import tirx
from tvm.tirx.script.builder import ir as T

from lascompile.kernels.definition import define, independent
from lascompile.workload import ROW_SLACK, ActiveTilesWorkload, TileTableWorkload

Buffers = Mapping[str, tirx.Var]


def define_active_tiles(workload: ActiveTilesWorkload) -> tirx.PrimFunc:
    """Active [rows + 1], pixels [tiles + 1, outputs] → active_tiles [tiles + 1]."""
    buffers = {
        "active": ((workload.rows + 1,), "uint8"),
        "pixels": ((workload.tiles + 1, workload.outputs), "int32"),
        "active_tiles": ((workload.tiles + 1,), "uint8"),
    }

    def body(b: Buffers) -> None:
        with T.serial(workload.tiles + 1) as tile:
            hit = tirx.const(0, "uint8")
            for output in range(workload.outputs):
                hit = hit | b["active"][b["pixels"][tile, output]]
            T.buffer_store(b["active_tiles"], hit, [tile])

    return define(list(buffers), buffers, body)


def define_tile_table(workload: TileTableWorkload) -> tirx.PrimFunc:
    """list, count, rows, pixels, active [, positions] → input_table, output_table.

    `list` holds numbers of tiles, the first being 1, and then the one behind the last. `rows` [tiles + 1, inputs] and
    `pixels` [tiles + 1, outputs] say what a tile reads and writes in dense maps. An output that is not active goes to
    the slack row.
    """
    tiles, trash = workload.tiles, workload.output_rows + 1
    buffers = {
        "list": ((tiles + ROW_SLACK,), "int32"),
        "count": ((1,), "int32"),
        "rows": ((tiles + 1, workload.inputs), "int32"),
        "pixels": ((tiles + 1, workload.outputs), "int32"),
        "active": ((workload.output_rows + 1,), "uint8"),
        "input_position": ((workload.input_rows + 1,), "int32"),
        "output_position": ((workload.output_rows + 1,), "int32"),
        "input_table": ((tiles + ROW_SLACK, workload.inputs), "int32"),
        "output_table": ((tiles + ROW_SLACK, workload.outputs), "int32"),
    }
    is_taken = {"input_position": workload.packed_input, "output_position": workload.packed_output}
    names = [name for name in buffers if is_taken.get(name, True)]

    def body(b: Buffers) -> None:
        with independent(b["count"][0] + (ROW_SLACK - 1)) as m:
            tile = T.bind(b["list"][m] - 1)
            with T.serial(workload.inputs) as i:
                row = b["rows"][tile, i]
                row = b["input_position"][row] if workload.packed_input else row
                T.buffer_store(b["input_table"], row, [m, i])
            with T.serial(workload.outputs) as i:
                pixel = T.bind(b["pixels"][tile, i])
                row = b["output_position"][pixel + 1] if workload.packed_output else pixel + 1
                is_active = b["active"][pixel] != tirx.const(0, "uint8")
                # if_then_else, unlike Select, reads only where the condition holds.
                T.buffer_store(b["output_table"], tirx.if_then_else(is_active, row, tirx.const(trash, "int32")), [m, i])

    return define(names, buffers, body)
