"""Rows for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lascompile.latency import Cell, Row
from lascompile.records import Latency
from tests.records.samples import TASK, VERSIONS

CELL = Cell(TASK, "direct", "d1", {"tile": 8, "inside": False}, (4, 4), (64, 56, 56))


def row(median_s: float = 1e-3, rate: float = 0.5, **changes: Any) -> Row:
    """A row of CELL; `changes` are of fields of the row, the cell or the task."""
    of_task = {name: changes.pop(name) for name in list(changes) if name in vars(TASK)}
    of_cell = {name: changes.pop(name) for name in list(changes) if name in vars(CELL)}
    cell = replace(CELL, task=replace(TASK, activation_rate=rate, **of_task), **of_cell)
    return replace(Row(cell, Latency(median_s, 0.9 * median_s, 1.2 * median_s, 20), VERSIONS), **changes)
