"""How far measuring is."""

from __future__ import annotations

from dataclasses import dataclass, field

from lascompile.latency import Row
from lascompile.measure.cells import Measurable
from lascompile.records import WRONG, Failure


@dataclass
class MeasuringProgress:
    """Measuring a table.

    Attributes:
        cells: How many there are to measure in this run.
        on_record: How many more were measured before.
        rows: What was measured, in order.
        failed: What could not be, and why.
        groups: How many groups there are.
        finished: How many of them are done.
        doing: What is being done, in a few words; empty at the end.
        elapsed_s: Since the start.
        left_s: Until the end, as far as can be told.
    """

    cells: int
    on_record: int = 0
    rows: list[Row] = field(default_factory=list)
    failed: list[tuple[Measurable, Failure]] = field(default_factory=list)
    groups: int = 0
    finished: int = 0
    doing: str = ""
    elapsed_s: float = 0.0
    left_s: float | None = None

    @property
    def done(self) -> int:
        """Cells of this run that have a row or have failed."""
        return len(self.rows) + len(self.failed)

    @property
    def is_sound(self) -> bool:
        """False if a kernel computes something wrong, or if nothing but failures came out."""
        is_wrong = any(failure.reason == WRONG for _, failure in self.failed)
        return not is_wrong and bool(self.rows or not self.failed)
