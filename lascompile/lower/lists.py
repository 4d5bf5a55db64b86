"""Steps that make lists of active pixels, and tables of where each tap of each of them lies."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from lascompile.analysis.demand import Footprint, Window
from lascompile.analysis.gates import Mask
from lascompile.lower.context import Context, elements
from lascompile.lower.program import Buffer, Role
from lascompile.sites.domain import Domain, ordered, window_shape
from lascompile.sites.window_table import dense_table
from lascompile.workload import (
    ROW_SLACK,
    ActiveWorkload,
    CompactWorkload,
    DilateWorkload,
    TableWorkload,
    UnionWorkload,
)


@dataclass(frozen=True)
class RowList:
    """The active pixels of a map: their dense row numbers, how many, and the packed row of each dense row."""

    rows: Buffer
    count: Buffer
    position: Buffer

    def by_argument(self) -> dict[str, Buffer]:
        """By the names of a kernel's arguments."""
        return {"list": self.rows, "count": self.count}


@dataclass(eq=False)
class Lists:
    """Makes each list and table once, before the first step that reads it."""

    context: Context
    _active: dict[Footprint, Buffer] = field(default_factory=dict)
    _unions: dict[Domain, Buffer] = field(default_factory=dict)
    _groups: dict[Mask, Buffer] = field(default_factory=dict)
    _lists: dict[Domain, RowList] = field(default_factory=dict)
    _tables: dict[tuple[Domain, Window, Domain | None], Buffer] = field(default_factory=dict)

    def of(self, domain: Domain) -> RowList:
        """The list of the pixels in `domain`."""
        if domain not in self._lists:
            active = self.active(domain)
            rows = active.shape[0] - 1
            made = RowList(
                Buffer("list", (rows + ROW_SLACK,), "int32"),
                Buffer("count", (1,), "int32", Role.PINNED),
                Buffer("position", (rows + 1,), "int32"),
            )
            arguments = [active, made.rows, made.count, made.position]
            self.context.run_before_use(CompactWorkload(rows), arguments, arguments[1:])
            self._lists[domain] = made
        return self._lists[domain]

    def group_active(self, mask: Mask) -> Buffer:
        """Which pixels each group of `mask` has active, [G, P + 1] uint8."""
        self._active_of(Footprint(mask))
        return self._groups[mask]

    def pin(self, decision: ir.Value) -> Buffer:
        """`decision` in workspace that no other buffer shares; from now on it is read there and nowhere else."""
        decisions, name = self.context.draft.decisions, str(decision.name)
        if name not in decisions:
            plain = self.context.plain_of(decision)
            if plain.root.role not in (Role.WORKSPACE, Role.PINNED):
                plain = self.context.copy(plain)
            plain.root.role = Role.PINNED
            decisions[name] = self.context.plain[decision] = plain
            self.context.rows.pop(decision, None)
        return decisions[name]

    def table(self, domain: Domain, window: Window, batch: int, source: Domain | None) -> Buffer:
        """Where the taps of `window` lie for each pixel of `domain`, in a map that is packed to `source` or dense."""
        key = (domain, window, source)
        if key not in self._tables:
            listed = self.of(domain)
            shape = window_shape(window, batch)
            rows = shape.output_rows + ROW_SLACK
            table = Buffer("table", (rows, shape.taps) if shape.taps > 1 else (rows,), "int32")
            looked_up = [self.of(source).position] if source is not None else []
            arguments = [listed.rows, listed.count, *looked_up, table]
            self.context.run_before_use(TableWorkload(shape, bool(looked_up)), arguments, [table])
            self._tables[key] = table
        return self._tables[key]

    def dense_table(self, window: Window, batch: int) -> Buffer:
        """The same for every pixel of a dense map: known at build time."""
        return self.context.constant("table", dense_table(window_shape(window, batch)))

    def active(self, domain: Domain) -> Buffer:
        """Which pixels are in `domain`, [P + 1] uint8."""
        if domain not in self._unions:
            self._unions[domain] = self._union(domain)
        return self._unions[domain]

    def _union(self, domain: Domain) -> Buffer:
        first, *others = (self._active_of(footprint) for footprint in ordered(domain))
        for other in others:
            union = Buffer("active", first.shape, "uint8")
            self.context.run_before_use(UnionWorkload(first.shape[0] - 1), [first, other, union], [union])
            first = union
        return first

    def _active_of(self, footprint: Footprint) -> Buffer:
        if footprint not in self._active:
            self._active[footprint] = (
                self._dilated(footprint) if footprint.windows else self._decided(footprint.mask)
            )
        return self._active[footprint]

    def _dilated(self, footprint: Footprint) -> Buffer:
        *outer, window = footprint.windows
        active = self._active_of(Footprint(footprint.mask, tuple(outer)))
        shape = window_shape(window, footprint.mask.size[0])
        reached = Buffer("active", (shape.input_rows + 1,), "uint8")
        self.context.run_before_use(DilateWorkload(shape), [active, reached], [reached])
        return reached

    def _decided(self, mask: Mask) -> Buffer:
        groups, rows = mask.index.shape
        plain = self.pin(mask.decision)
        count = elements(mask.decision)
        index = self.context.constant("index", mask.index)
        active = Buffer("active", (rows + 1,), "uint8")
        outputs = [active]
        if groups > 1:
            self._groups[mask] = Buffer("group_active", (groups, rows + 1), "uint8")
            outputs.insert(0, self._groups[mask])
        workload = ActiveWorkload(count, plain.dtype, groups, rows, mask.inverted)
        self.context.run_before_use(workload, [plain.view((count,)), index, *outputs], outputs)
        return active
