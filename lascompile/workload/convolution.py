"""Workloads of convolutions, row by row and over Winograd tiles."""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.workload.base import Workload
from lascompile.workload.epilogue import Epilogue


@dataclass(frozen=True)
class ConvWorkload(Workload):
    """A convolution over rows: Y[out(m)] = epilogue(sum over t, k of X[table[m, t], k] * W[t, k] + bias).

    Attributes:
        rows: Output pixels at most (all of them where the convolution is dense).
        input_rows: Pixels of the input map.
        taps: Kernel positions, kh * kw.
        groups: Convolution groups.
        in_channels: Input channels in all groups.
        out_channels: Output channels in all groups.
        gathers: True if input rows come from a table [rows + ROW_SLACK, taps]; else row m + 1 is read.
        counted: True if only the first count[0] rows exist; else all of them.
        scatters: True if row m is stored at list[m] of a dense map; else at m + 1.
        residual_listed: True if the residual row is read at list[m] of a dense map; else at m + 1.
        in_place: True if the residual is the output's own buffer.
        epilogue: What is done before the store.
    """

    rows: int
    input_rows: int
    taps: int
    groups: int
    in_channels: int
    out_channels: int
    gathers: bool
    counted: bool
    scatters: bool
    residual_listed: bool = False
    in_place: bool = False
    epilogue: Epilogue = Epilogue()

    @property
    def most(self) -> int:
        """What a count counts, at most: rows."""
        return self.rows

    @property
    def map_rows(self) -> int:
        """Pixels of the output map, computed or not."""
        return self.rows

    @property
    def is_depthwise(self) -> bool:
        """One input channel per output channel."""
        return self.groups == self.in_channels == self.out_channels and self.groups > 1

    @property
    def uses_list(self) -> bool:
        """True if the kernel takes the list of active rows."""
        return self.scatters or self.residual_listed or self.epilogue.gate_groups > 0

    @property
    def flops(self) -> int:
        """Floating-point operations with all rows active."""
        return 2 * self.rows * self.taps * self.in_channels * self.out_channels // self.groups

    def arguments(self) -> tuple[str, ...]:
        """The kernel's buffers in order; the output is last. A residual in place is the output."""
        last = self.epilogue.arguments(uses_list=self.uses_list, in_place=self.in_place, counted=self.counted)
        return ("input", *(["table"] if self.gathers else []), "weight", "bias", *last)

    def name(self) -> str:
        """`gather_conv3x3`, `masked_conv1x1_scatter_add`, `conv1x1_add` and the like."""
        side = round(self.taps**0.5)
        shape = f"{side}x{side}" if side * side == self.taps else f"{self.taps}taps"
        kind = ("gather_" if self.taps > 1 else "masked_") if self.counted else ""
        depthwise = "depthwise_" if self.is_depthwise else ""
        ending = "_scatter" if self.scatters else ""
        return f"{kind}{depthwise}conv{shape}{ending}{'_add' if self.epilogue.add else ''}"


@dataclass(frozen=True)
class WinogradWorkload(Workload):
    """A 3x3 convolution of stride 1 over tiles: m x m outputs are computed together from (m + 2) x (m + 2) inputs.

    Tables of rows say where the pixels of a tile lie, so tiles may be anywhere, overlap, and reach beyond the image:
    an input there is row 0, an output that is not wanted goes to the slack row output_rows + 1.

    Attributes:
        m: Side of a tile's outputs, 2 or 4.
        tiles: Tiles at most (all of them where the convolution is dense).
        input_rows: Pixels of the input map.
        output_rows: Pixels of the output map; where there are gates, it is dense.
        in_channels: Input channels.
        out_channels: Output channels.
        counted: True if only the first count[0] tiles exist; else all of them.
        in_place: True if the residual is the output's own buffer.
        epilogue: What is done before the store; the residual is read at the row that is written.
    """

    m: int
    tiles: int
    input_rows: int
    output_rows: int
    in_channels: int
    out_channels: int
    counted: bool
    in_place: bool = False
    epilogue: Epilogue = Epilogue()

    @property
    def most(self) -> int:
        """What a count counts, at most: tiles."""
        return self.tiles

    @property
    def map_rows(self) -> int:
        """Pixels of the output map, computed or not."""
        return self.output_rows

    @property
    def taps(self) -> int:
        """Positions of the convolution's kernel, as for one over rows."""
        return 9

    @property
    def groups(self) -> int:
        """Convolution groups, as for one over rows."""
        return 1

    @property
    def positions(self) -> int:
        """Inputs of a tile, and products per tile and pair of channels."""
        return (self.m + 2) ** 2

    @property
    def flops(self) -> int:
        """Floating-point operations of the products with all tiles active; those of the transforms come on top."""
        return 2 * self.tiles * self.positions * self.in_channels * self.out_channels

    def arguments(self) -> tuple[str, ...]:
        """The kernel's buffers in order; the output is last. A residual in place is the output."""
        last = self.epilogue.arguments(in_place=self.in_place, counted=self.counted)
        return ("input", "input_table", "output_table", "weight", "bias", *last)

    def name(self) -> str:
        """`gather_winograd4_conv3x3`, `winograd2_conv3x3_add` and the like."""
        gather, add = "gather_" if self.counted else "", "_add" if self.epilogue.add else ""
        return f"{gather}winograd{self.m}_conv3x3{add}"


Form = ConvWorkload | WinogradWorkload
"""The forms in which kernels take a convolution."""
