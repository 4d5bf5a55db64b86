"""The latency table as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from rich.markup import escape
from rich.table import Table

from lascompile.latency import Row
from lascompile.records.matching import is_dynamic
from lascompile.report.record_table import show_shape
from lascompile.report.time_tables import show_granularity

_NUMBERS = ("S", "r", "threads", "median ms", "p10", "p90", "repeats")


def latency_tables(rows: Iterable[Row]) -> Iterator[tuple[str, Table]]:
    """A heading and a table for each device, target and version of TVM; a row a measurement, by stage and kernel."""
    for (device, target, tvm), group in groupby(sorted(rows, key=_order), key=lambda row: _order(row)[:3]):
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("stage", "kernel", "shape", "algorithm", *_NUMBERS, "measured"):
            table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
        for row in group:
            table.add_row(*map(escape, _cells(row)))
        yield f"{device or 'unknown device'}, {target}, TVM {tvm}", table


def row_to_json(row: Row) -> dict[str, Any]:
    """As JSON types, with what the table shows."""
    cell = row.cell
    return {
        "device": cell.task.device,
        "target": str(cell.task.target),
        "threads": cell.task.threads,
        "stage": cell.stage,
        "granularity": cell.granularity,
        "activation_rate": cell.task.activation_rate,
        "kernel": cell.task.workload.name(),
        "workload": cell.task.workload.key(),
        "algorithm": cell.algorithm,
        "decisions": dict(cell.decisions),
        "latency": vars(row.latency),
        "versions": vars(row.versions),
        "when": row.when,
    }


def show_stage(stage: tuple[int, int, int] | None) -> str:
    """`256×56×56`; empty without a stage."""
    return "×".join(map(str, stage)) if stage else ""


def _order(row: Row) -> tuple[Any, ...]:
    cell, task = row.cell, row.cell.task
    channels, height, width = cell.stage or (0, 0, 0)
    return (
        *(task.device, str(task.target), row.versions.tvm),
        *(-height * width, channels, task.workload.name(), show_shape(task.workload)),
        *(cell.algorithm, cell.granularity or (0, 0), task.activation_rate, row.when),
    )


def _cells(row: Row) -> list[str]:
    cell, latency = row.cell, row.latency
    return [
        show_stage(cell.stage),
        cell.task.workload.name(),
        show_shape(cell.task.workload),
        cell.algorithm,
        show_granularity(cell.granularity),
        f"{cell.task.activation_rate:.2f}" if is_dynamic(cell.task.workload) else "",
        str(cell.task.threads),
        *(f"{seconds * 1e3:.3f}" for seconds in (latency.median_s, latency.p10_s, latency.p90_s)),
        str(latency.repeats),
        row.when[:10],
    ]
