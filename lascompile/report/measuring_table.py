"""How filling the latency table goes, and how it went, as tables and lines for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lascompile.latency import Cell, Row
from lascompile.measure.again import AGREES_WITHIN, Remeasured
from lascompile.measure.cells import Measurable
from lascompile.measure.progress import MeasuringProgress
from lascompile.records.matching import is_dynamic
from lascompile.report.latency_rows import row_to_json, show_stage
from lascompile.report.record_table import show_shape
from lascompile.report.time_tables import show_granularity
from lascompile.report.tuning_table import duration

_MOST_FAILURES = 10
_KERNEL = ("stage", "kernel", "shape", "algorithm", "S")


def measuring_view(progress: MeasuringProgress, most_rows: int) -> Group:
    """The last rows that were measured, as many as fit, and a line about the whole."""
    table = _table("r", "median ms", "p10", "p90")
    for row in progress.rows[-max(1, most_rows - 2) :]:
        latency = row.latency
        times = (_ms(seconds) for seconds in (latency.median_s, latency.p10_s, latency.p90_s))
        table.add_row(*_kernel(row), *times)
    return Group(table, Text(measuring_line(progress), style="bold"))


def measuring_line(progress: MeasuringProgress) -> str:
    """Measuring in one line."""
    parts = [f"cell {progress.done} of {progress.cells}"]
    if progress.failed:
        parts.append(f"{len(progress.failed)} failed")
    if progress.left_s is not None:
        parts.append(f"{duration(progress.left_s)} left")
    if progress.doing:
        parts.append(progress.doing)
    return " · ".join(parts)


def plan_table(items: Sequence[Measurable], missing: Sequence[Measurable]) -> Table:
    """A row a kernel, granularity and algorithm: its activation rates, and how many of its cells are to be measured."""
    table = _table("rates", "to measure")
    left = {item.cell.identity for item in missing}
    alike: dict[object, list[Measurable]] = {}
    for item in items:
        alike.setdefault((item.library, item.cell.granularity, item.cell.stage), []).append(item)
    for group in alike.values():
        kernel = group[0].kernel
        rates = ",".join(f"{item.kernel.task.rate:g}" for item in group) if kernel.granularity else ""
        count = sum(item.cell.identity in left for item in group)
        table.add_row(*_of_cell(group[0].cell), rates, str(count) if count else "")
    return table


def measuring_summary(progress: MeasuringProgress) -> list[str]:
    """What came out, for people."""
    counts = [f"{len(progress.rows)} cells measured in {duration(progress.elapsed_s)}"]
    if progress.on_record:
        counts.append(f"{progress.on_record} on record before")
    left = progress.cells - progress.done
    if left:
        counts.append(f"{left} left to measure")
    if progress.failed:
        reasons = Counter(failure.reason for _, failure in progress.failed)
        shown = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        counts.append(f"{len(progress.failed)} failed ({shown})")
    lines = [", ".join(counts)]
    lines += [
        f"not measured: {item.kernel.name}: {failure.reason}: {failure.error}".rstrip(": ")
        for item, failure in progress.failed[:_MOST_FAILURES]
    ]
    if len(progress.failed) > _MOST_FAILURES:
        lines.append(f"and {len(progress.failed) - _MOST_FAILURES} more, which -v names")
    return lines


def again_table(comparisons: Sequence[Remeasured]) -> Table:
    """A row a cell that was measured a second time."""
    table = _table("r", "before ms", "now ms", "ratio", "")
    for pair in comparisons:
        times = (_ms(row.latency.median_s) for row in (pair.before, pair.now))
        table.add_row(*_kernel(pair.now), *times, f"{pair.ratio:.3f}", "" if pair.agrees else "differs")
    return table


def again_line(comparisons: Sequence[Remeasured]) -> str:
    """How many agree."""
    agreeing = sum(pair.agrees for pair in comparisons)
    return f"{agreeing} of {len(comparisons)} rows that were measured again agree within {AGREES_WITHIN:.0%}"


def measuring_json(progress: MeasuringProgress, comparisons: Sequence[Remeasured]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "schema": 1,
        "cells": progress.cells,
        "on_record": progress.on_record,
        "measured": len(progress.rows),
        "elapsed_s": progress.elapsed_s,
        "rows": [row_to_json(row) for row in progress.rows],
        "failed": [
            {**_cell_json(item), "reason": failure.reason, "error": failure.error} for item, failure in progress.failed
        ],
        "again": [
            {**row_to_json(pair.now), "before": vars(pair.before.latency), "ratio": pair.ratio, "agrees": pair.agrees}
            for pair in comparisons
        ],
    }


def plan_json(items: Sequence[Measurable], missing: Sequence[Measurable], left_s: float) -> dict[str, Any]:
    """What would be measured, for machines."""
    left = {item.cell.identity for item in missing}
    cells = [{**_cell_json(item), "on_record": item.cell.identity not in left} for item in items]
    return {"schema": 1, "cells": cells, "to_measure": len(missing), "left_s": left_s}


def _cell_json(item: Measurable) -> dict[str, Any]:
    cell = item.cell
    return {
        "name": item.kernel.name,
        "workload": cell.task.workload.key(),
        "algorithm": cell.algorithm,
        "activation_rate": cell.task.activation_rate,
        "granularity": cell.granularity,
        "stage": cell.stage,
        "decisions": dict(cell.decisions),
    }


def _table(*numbers: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in (*_KERNEL, *numbers):
        table.add_column(name, justify="right" if name in ("S", *numbers) else "left", no_wrap=True)
    return table


def _kernel(row: Row) -> list[str]:
    task = row.cell.task
    return [*_of_cell(row.cell), f"{task.activation_rate:.2f}" if is_dynamic(task.workload) else ""]


def _of_cell(cell: Cell) -> list[str]:
    workload = cell.task.workload
    return [
        show_stage(cell.stage),
        workload.name(),
        show_shape(workload),
        cell.algorithm,
        show_granularity(cell.granularity),
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"
