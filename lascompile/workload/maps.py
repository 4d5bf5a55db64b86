"""Workloads of what else is done to feature maps: element by element, by windows, or moved as it is."""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.workload.base import Workload
from lascompile.workload.epilogue import Epilogue
from lascompile.workload.window import WindowShape


@dataclass(frozen=True)
class MapWorkload(Workload):
    """An element-wise operator over rows: Y[out(m), c] = epilogue(op(operands at row m, channel c)).

    Attributes:
        rows: Output pixels at most.
        pixels: H * W, the pixels per image, by which per-image operands are found.
        channels: Channels of the output.
        op: ONNX name of a binary operator, or "Identity" of the first operand.
        operands: Per operand, where its row m is: "row" (m + 1), "list" (list[m] of a dense map), "table" (table[m]),
            "image" (one row an image), "channel" (one row for all), "scalar".
        operand_rows: Per operand, its pixels (0 for "channel" and "scalar").
        counted, scatters, residual_listed, in_place, epilogue: As for a convolution.
    """

    rows: int
    pixels: int
    channels: int
    op: str
    operands: tuple[str, ...]
    operand_rows: tuple[int, ...]
    counted: bool
    scatters: bool
    residual_listed: bool = False
    in_place: bool = False
    epilogue: Epilogue = Epilogue()

    @property
    def uses_list(self) -> bool:
        """True if the kernel takes the list of active rows."""
        by_pixel = {"list", *(["image"] if self.counted else [])}
        return (
            self.scatters or self.residual_listed or self.epilogue.gate_groups > 0 or bool(by_pixel & {*self.operands})
        )

    def arguments(self) -> tuple[str, ...]:
        """The kernel's buffers in order; the output is last. A residual in place is the output."""
        operands = (f"operand{i}" for i in range(len(self.operands)))
        tables = (f"table{i}" for i, kind in enumerate(self.operands) if kind == "table")
        last = self.epilogue.arguments(uses_list=self.uses_list, in_place=self.in_place, counted=self.counted)
        return (*operands, *tables, *last)

    def name(self) -> str:
        """`map_mul`, `masked_map_add` and the like."""
        return f"{'masked_' if self.counted else ''}map_{self.op.lower()}{'_scatter' if self.scatters else ''}"


@dataclass(frozen=True)
class PoolWorkload(Workload):
    """Pooling over rows.

    Attributes:
        kind: "max" or "average".
        window: The pooling window.
        channels: Channels of input and output.
        counts_padding: True if an average counts the zeros outside the image.
    """

    kind: str
    window: WindowShape
    channels: int
    counts_padding: bool = False

    def name(self) -> str:
        """`max_pool3x3`, `global_average_pool` and the like."""
        if self.window.kernel == self.window.input_size and self.window.output_size == (1, 1):
            return f"global_{self.kind}_pool"
        return f"{self.kind}_pool{self.window.kernel[0]}x{self.window.kernel[1]}"


@dataclass(frozen=True)
class CopyWorkload(Workload):
    """`elements` elements of `dtype` from one buffer to another."""

    elements: int
    dtype: str

    def name(self) -> str:
        """`copy`."""
        return "copy"


@dataclass(frozen=True)
class MoveWorkload(Workload):
    """Elements from one buffer to places in another: out[i] = in[table[i]], or a fill where the table has -1.

    Attributes:
        inputs: Elements to choose from.
        outputs: Elements to write.
        dtype: Of both.
    """

    inputs: int
    outputs: int
    dtype: str

    def name(self) -> str:
        """`move`."""
        return "move"


@dataclass(frozen=True)
class LayoutWorkload(Workload):
    """A feature map [N, C, H, W] → a row matrix (`to_rows`) or the other way round.

    Attributes:
        shape: N, C, H, W.
        to_rows: The direction.
    """

    shape: tuple[int, int, int, int]
    to_rows: bool

    def name(self) -> str:
        """`pack_rows` or `unpack_rows`."""
        return "pack_rows" if self.to_rows else "unpack_rows"
