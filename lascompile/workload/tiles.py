"""Workloads that turn active pixels into lists and tables of Winograd tiles."""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.workload.base import Workload


@dataclass(frozen=True)
class ActiveTilesWorkload(Workload):
    """Active pixels → which Winograd tiles hold one, uint8.

    Attributes:
        tiles: Tiles in all.
        outputs: Output pixels of a tile.
        rows: Pixels of the map.
    """

    tiles: int
    outputs: int
    rows: int

    def name(self) -> str:
        """`active_tiles`."""
        return "active_tiles"


@dataclass(frozen=True)
class TileTableWorkload(Workload):
    """List of Winograd tiles → the row of each input and output of each of them.

    Attributes:
        tiles: Tiles in all.
        inputs: Input pixels of a tile.
        outputs: Output pixels of a tile.
        input_rows: Pixels of the input map.
        output_rows: Pixels of the output map.
        packed_input: True if the input is packed, so that a dense row number is looked up in its position map.
        packed_output: The same of the output.
    """

    tiles: int
    inputs: int
    outputs: int
    input_rows: int
    output_rows: int
    packed_input: bool
    packed_output: bool

    def name(self) -> str:
        """`tile_table`."""
        return "tile_table"
