"""Rows that are measured a second time: does the table say the same tomorrow?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lascompile.latency import Row
from lascompile.measure.cells import Measurable

AGREES_WITHIN = 0.1


@dataclass(frozen=True)
class Remeasured:
    """A cell that was measured twice.

    Attributes:
        before: The row that stood in the table.
        now: The new one.
    """

    before: Row
    now: Row

    @property
    def ratio(self) -> float:
        """The new median over the old one."""
        return self.now.latency.median_s / self.before.latency.median_s

    @property
    def agrees(self) -> bool:
        """Whether the medians differ by at most `AGREES_WITHIN` of the old one."""
        return abs(self.ratio - 1) <= AGREES_WITHIN


def choose_again(known: Sequence[Measurable], count: int, seed: int) -> list[Measurable]:
    """`count` of the cells `known`, by chance and in their order; all where there are fewer."""
    if len(known) <= count:
        return list(known)
    chosen = np.random.default_rng(seed).choice(len(known), count, replace=False)
    return [known[index] for index in sorted(chosen)]


def compare(before: Iterable[Row], now: Iterable[Row]) -> list[Remeasured]:
    """Each of the rows `now` beside the last one of its cell in `before`."""
    last = {row.cell.identity: row for row in sorted(before, key=lambda row: row.when)}
    return [Remeasured(last[row.cell.identity], row) for row in now if row.cell.identity in last]
