"""The program in the making: which buffer holds which value, and the steps so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir

from lascompile.analysis.gates import is_feature_map
from lascompile.lower.draft import Draft
from lascompile.lower.kernels import Scheduler
from lascompile.lower.program import Buffer, Kernel, Role, Step
from lascompile.sites.domain import Domain
from lascompile.workload import ROW_SLACK, CopyWorkload, LayoutWorkload, Workload, channel_stride


@dataclass(eq=False)
class Context:
    """State of a lowering.

    Attributes:
        draft: What was emitted so far.
        scheduler: Schedules what there is one way to compute.
        rows: Buffer [P + ROW_SLACK, stride] of each value that is stored as dense rows.
        plain: Buffer in ONNX's own layout of each value that is stored so.
        packed: Buffer and pixels of each value that is stored as packed rows.
        position: When each live node runs; the nodes of a chain run with its last.
        kept: Values that others than nodes read, so that no other value may take their memory.
    """

    draft: Draft
    scheduler: Scheduler
    position: Mapping[ir.Node, int]
    kept: frozenset[ir.Value]
    rows: dict[ir.Value, Buffer] = field(default_factory=dict)
    plain: dict[ir.Value, Buffer] = field(default_factory=dict)
    packed: dict[ir.Value, tuple[Buffer, Domain]] = field(default_factory=dict)
    _constants: dict[tuple[int, str], Buffer] = field(default_factory=dict)

    def run(
        self, kernel: Workload | Kernel, arguments: list[Buffer], outputs: list[Buffer], node: str, part: str = "other"
    ) -> None:
        """Append a step."""
        self.draft.steps.append(Step(self._scheduled(kernel), tuple(arguments), tuple(outputs), node, part))

    def run_before_use(self, workload: Workload, arguments: list[Buffer], outputs: list[Buffer]) -> None:
        """A step that makes a list: it runs before the first one that reads what it writes, if any does."""
        step = Step(self._scheduled(workload), tuple(arguments), tuple(outputs), "", "lists")
        self.draft.makers.update(dict.fromkeys((buffer.root for buffer in outputs), step))

    def _scheduled(self, kernel: Workload | Kernel) -> Kernel:
        return self.scheduler.schedule(kernel) if isinstance(kernel, Workload) else kernel

    def new_rows(self, value: ir.Value) -> Buffer:
        """A buffer for `value` as rows, all its pixels in the worst case."""
        batch, channels, height, width = shape4(value)
        return Buffer(str(value.name), (batch * height * width + ROW_SLACK, channel_stride(channels)))

    def rows_of(self, value: ir.Value) -> Buffer:
        """`value` as dense rows; converted if it is stored in ONNX's layout."""
        if value not in self.rows:
            shape = shape4(value)
            target = self.new_rows(value)
            source = self.plain_of(value).view(shape)
            self.run(LayoutWorkload(shape, to_rows=True), [source, target], [target], str(value.name))
            self.rows[value] = target
        return self.rows[value]

    def plain_of(self, value: ir.Value) -> Buffer:
        """`value` in ONNX's layout; converted if it is stored as rows."""
        if value not in self.plain:
            if value.const_value is not None:
                self.plain[value] = self.constant(str(value.name), value.const_value.numpy())
            else:
                self.plain[value] = self._unpacked(value)
        return self.plain[value]

    def copy(self, source: Buffer) -> Buffer:
        """Emit the step that copies `source` to a buffer of its own."""
        target = Buffer(source.name, source.shape, source.dtype)
        size = int(np.prod(source.shape, dtype=np.int64))
        workload = CopyWorkload(size, source.dtype)
        self.run(workload, [source.view((size,)), target.view((size,))], [target], source.name)
        return target

    def new_plain(self, value: ir.Value) -> Buffer:
        """A buffer for `value` in ONNX's layout."""
        assert value.shape is not None and value.dtype is not None
        dims = tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]
        return Buffer(str(value.name), dims, value.dtype.numpy().name)

    def _unpacked(self, value: ir.Value) -> Buffer:
        """Emit the step that writes `value`, stored as rows, in ONNX's layout."""
        shape, target = shape4(value), self.new_plain(value)
        arguments = [self.rows[value], target.view(shape)]
        self.run(LayoutWorkload(shape, to_rows=False), arguments, [target], str(value.name))
        return target

    def constant(self, name: str, data: np.ndarray) -> Buffer:
        """A buffer that holds `data` from the start; equal data of one name are stored once."""
        key = (hash(data.tobytes()), f"{name}{data.shape}{data.dtype}")
        if key not in self._constants:
            stored = np.ascontiguousarray(data).reshape(data.shape)
            self._constants[key] = Buffer(name, data.shape, data.dtype.name, Role.CONSTANT, stored)
        return self._constants[key]

    def dies_at(self, rows: Buffer, node: ir.Node) -> bool:
        """True if nobody reads what `rows` holds after `node`, so that it may be overwritten."""
        held = [value for value, buffer in self.rows.items() if buffer is rows]
        readers = [self.position[reader] for value in held for reader, _ in value.uses() if reader in self.position]
        return self.kept.isdisjoint(held) and max(readers, default=-1) <= self.position[node]


def shape4(value: ir.Value) -> tuple[int, int, int, int]:
    """[N, C, H, W] of a feature map, or of a matrix [N, C] taken as a map of one pixel."""
    assert value.shape is not None
    dims = [int(dim) for dim in value.shape]  # type: ignore[arg-type]
    n, c, h, w = dims if len(dims) == 4 else (*dims, 1, 1)
    return n, c, h, w


def pixel_count(value: ir.Value) -> int:
    """N*H*W."""
    n, _, h, w = shape4(value)
    return n * h * w


def is_row_matrix(value: ir.Value | None) -> bool:
    """True for float32 maps [N, C, H, W] and matrices [N, C]."""
    if value is None or value.shape is None:
        return False
    is_matrix = len(value.shape) == 2 and value.dtype in (ir.DataType.FLOAT, None)
    return is_feature_map(value) or is_matrix


def elements(value: ir.Value) -> int:
    """How many elements `value` has."""
    assert value.shape is not None
    return prod(value.shape.numpy())
