"""Look at the latency table, merge those of other machines, plot it.

Its rows are kept beside the records of tuning, by device and version of TVM. A plot shows latency against the
activation rate r, a panel for each stage and kernel, a line for each granularity S, and dense kernels as dashed lines.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.cli import numbers
from lascompile.cli.json_output import to_json
from lascompile.cli.measured_folder import (
    SCHEMA,
    add_folder_argument,
    add_sources_argument,
    existing_folder,
    merge,
    print_contents,
    print_json,
)
from lascompile.errors import UsageError
from lascompile.files import check_file_place

if TYPE_CHECKING:
    from lascompile.latency import LatencyTable, Row

_ENDINGS = (".png", ".svg")
_HOW_TO_GET_ROWS = "lascompile measure makes rows, lascompile table merge copies those of other machines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions of `lascompile table`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    showing = actions.add_parser("show", help="the rows")
    showing.set_defaults(act=_show)
    merging = actions.add_parser("merge", help="copy the rows of other folders, those that are missing")
    add_sources_argument(merging)
    merging.set_defaults(act=_merge)
    plotting = actions.add_parser("plot", help="draw latency against r, as PNG or SVG")
    plotting.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a .png or .svg file")
    plotting.set_defaults(act=_plot)
    for action in (showing, plotting):
        action.add_argument("--device", metavar="NAME", help="only rows of this device")
        action.add_argument("--threads", type=numbers.threads, metavar="N", help="only rows of so many threads")
    for action in (showing, merging, plotting):
        add_folder_argument(action)
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Does what the action says."""
    code: int = args.act(args)
    return code


def _show(args: argparse.Namespace) -> int:
    from lascompile.latency import open_table
    from lascompile.report.latency_rows import latency_tables, row_to_json

    table = open_table(existing_folder(args.records))
    rows = _rows(table, args)
    if args.json:
        print_json(table, rows=[row_to_json(row) for row in rows])
        return 0
    none = f"no such rows in {table.folder}; {_HOW_TO_GET_ROWS}"
    print_contents(table, latency_tables(rows), f"{len(rows)} rows" if rows else none)
    return 0


def _merge(args: argparse.Namespace) -> int:
    from lascompile.latency import open_table

    return merge(open_table(args.records), args, "rows")


def _plot(args: argparse.Namespace) -> int:
    from lascompile.latency import open_table
    from lascompile.report.latency_plot import arrange, plot

    output: Path = args.output
    check_file_place("-o", output, _ENDINGS)
    table = open_table(existing_folder(args.records))
    rows = _without_others(_rows(table, args), _rows(table, args, shipped=False))
    device = _only("device", "--device", rows, lambda row: row.cell.task.device)
    threads = _only("number of threads", "--threads", rows, lambda row: str(row.cell.task.threads))
    panels = arrange(rows)
    if not panels:
        raise UsageError(f"nothing to plot in {table.folder}: no rows of a stage; {_HOW_TO_GET_ROWS}")
    plot(panels, f"{device}, {threads} thread{'s' * (threads != '1')}", output)
    if args.json:
        print(to_json({"schema": SCHEMA, "output": str(output), "rows": len(rows), "panels": len(panels)}, indent=1))
    else:
        print(f"{output}: {len(rows)} rows in {len(panels)} panels")
    return 0


def _rows(table: LatencyTable, args: argparse.Namespace, shipped: bool = True) -> list[Row]:
    rows = (item.value for item in table.rows(shipped=shipped))
    return [
        row
        for row in rows
        if args.device in (None, row.cell.task.device) and args.threads in (None, row.cell.task.threads)
    ]


def _without_others(rows: Sequence[Row], own: Sequence[Row]) -> Sequence[Row]:
    """Of the rows that lascompile comes with, those alone that were measured as the user's `own` were, if there are."""
    places = {(row.cell.task.device, row.cell.task.threads) for row in own}
    return [row for row in rows if not places or (row.cell.task.device, row.cell.task.threads) in places]


def _only(what: str, option: str, rows: Sequence[Row], of: Callable[[Row], str]) -> str:
    """What all rows have in common.

    Raises:
        UsageError: They do not.
    """
    found = sorted({of(row) for row in rows})
    if len(found) > 1:
        raise UsageError(f"the rows are of more than one {what} ({', '.join(found)}); choose one with {option}")
    return found[0] if found else ""
