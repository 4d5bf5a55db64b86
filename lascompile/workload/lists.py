"""Workloads that turn a mask's decision into lists and tables of pixels."""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.workload.base import Workload
from lascompile.workload.window import WindowShape


@dataclass(frozen=True)
class ActiveWorkload(Workload):
    """Decision → which pixels are active: [rows + 1] uint8, and per mask group if there are several.

    Attributes:
        elements: Elements of the decision.
        dtype: The decision's dtype.
        groups: Masks per pixel.
        rows: Pixels of the masked map, N*H*W.
        inverted: True if 0 switches a pixel on.
    """

    elements: int
    dtype: str
    groups: int
    rows: int
    inverted: bool

    def name(self) -> str:
        """`active_pixels`."""
        return "active_pixels"


@dataclass(frozen=True)
class DilateWorkload(Workload):
    """Active output pixels → the input pixels that their windows reach, uint8."""

    window: WindowShape

    def name(self) -> str:
        """`dilate_mask`."""
        return "dilate_mask"


@dataclass(frozen=True)
class UnionWorkload(Workload):
    """Pixels that either of two maps has active."""

    rows: int

    def name(self) -> str:
        """`union_masks`."""
        return "union_masks"


@dataclass(frozen=True)
class CompactWorkload(Workload):
    """Active pixels → list of their row numbers, count, and the packed row of every dense row (0 if inactive)."""

    rows: int

    def name(self) -> str:
        """`compact_mask`."""
        return "compact_mask"


@dataclass(frozen=True)
class TableWorkload(Workload):
    """List of output pixels → the input row of each tap.

    Attributes:
        window: The convolution's window.
        packed: True if the input is packed, so that a dense row number is looked up in the position map.
    """

    window: WindowShape
    packed: bool

    def name(self) -> str:
        """`gather_table`."""
        return "gather_table"
