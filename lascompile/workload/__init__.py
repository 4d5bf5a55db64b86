"""Workloads: everything about one kernel call that its code depends on.

Two calls with equal workloads run the same kernel; `key()` names it in libraries, records and tables.

`base.py` has the rows, `convolution.py`, `maps.py`, `lists.py` and `tiles.py` the kernels. Records name a workload by
its class, not by its module.
"""

from lascompile.workload.base import ROW_SLACK, Activation, Workload, channel_stride
from lascompile.workload.convolution import ConvWorkload, Form, WinogradWorkload
from lascompile.workload.epilogue import Epilogue
from lascompile.workload.lists import ActiveWorkload, CompactWorkload, DilateWorkload, TableWorkload, UnionWorkload
from lascompile.workload.load import NOMINAL_RATE
from lascompile.workload.maps import CopyWorkload, LayoutWorkload, MapWorkload, MoveWorkload, PoolWorkload
from lascompile.workload.tiles import ActiveTilesWorkload, TileTableWorkload
from lascompile.workload.window import WindowShape

__all__ = [
    "NOMINAL_RATE",
    "ROW_SLACK",
    "Activation",
    "ActiveTilesWorkload",
    "ActiveWorkload",
    "CompactWorkload",
    "ConvWorkload",
    "CopyWorkload",
    "DilateWorkload",
    "Epilogue",
    "Form",
    "LayoutWorkload",
    "MapWorkload",
    "MoveWorkload",
    "PoolWorkload",
    "TableWorkload",
    "TileTableWorkload",
    "UnionWorkload",
    "WindowShape",
    "WinogradWorkload",
    "Workload",
    "channel_stride",
]
