"""Which algorithm computes each convolution of an artifact, why, and by which record, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from lascompile.manifest import StepSpec

LEGEND = (
    "cost: comparable within a row only; predicted: from the shape and a data sheet; record, table: measured; "
    "scaled: a measured one, times the ratio of the predicted ones. "
    "Names of convolutions are those that a plan takes (build --plan)."
)


def algorithm_table(steps: Sequence[StepSpec]) -> Table:
    """A row for each convolution among `steps`, in the order in which they run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    has_records = any(_record(step) for step in steps)
    for title in ("block", "convolution", "algorithm", "cost of the candidates", *["record"] * has_records):
        table.add_column(title, overflow="fold")
    for step in steps:
        if step.algorithm is not None:
            cells = [step.block or "-", step.node, step.algorithm, _candidates(step.candidates)]
            table.add_row(*cells, *[(_record(step) or {}).get("record", "-")] * has_records)
    return table


def record_lines(steps: Sequence[StepSpec]) -> Iterator[str]:
    """A line for each record that `steps` are computed by: measured when, where, by which versions."""
    records = {record["record"]: record for step in steps if (record := _record(step))}
    for name, record in records.items():
        versions = ", ".join(f"{package} {version}" for package, version in record["versions"].items())
        yield (
            f"record {name}: {_show(record['latency_s'])} at activation rate {record['activation_rate']:g} "
            f"on {record['device'] or 'an unknown device'}, {record['when']}, {versions}; "
            f"{'comes with lascompile' if record['from'] == 'lascompile' else 'one of yours'}"
        )


def _record(step: StepSpec) -> Mapping[str, Any] | None:
    """Provenance of the record that the step's decisions come from."""
    chosen = (candidate for candidate in step.candidates if candidate["algorithm"] == step.algorithm)
    return next((candidate["record"] for candidate in chosen if "record" in candidate), None)


def _candidates(candidates: Sequence[Mapping[str, Any]]) -> str:
    """`bf16x3 160 µs, direct 288 µs (predicted)`, with the source behind the last that it is common to."""
    shown = []
    for position, candidate in enumerate(candidates):
        following = candidates[position + 1]["source"] if position + 1 < len(candidates) else None
        source = f" ({candidate['source']})" if candidate["source"] != following else ""
        shown.append(f"{candidate['algorithm']} {_show(candidate['cost'])}{source}")
    return ", ".join(shown)


def _show(seconds: float) -> str:
    """Three digits of milliseconds or microseconds."""
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
