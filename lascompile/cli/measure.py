"""Fill the latency table: measure every kernel of a network, by every algorithm, at several activation rates.

Kernels are built with the decisions that `build` would take now, and `build` then goes by what they were measured to
take. A cell that stands in the table is not measured again: the same command goes on where an earlier one ended. It may
be stopped at any moment. `lascompile table` shows the rows, and plots them. Exit code 1 if a kernel computes something
wrong, or if all cells failed.

  lascompile measure m.onnx
  lascompile measure --arch lasnet_resnet50 --granularity 4,4,2,1 --granularity 8,4,7,1 --activation-rate 0.25,0.5,0.75
  lascompile measure m.onnx --again 20
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console

from lascompile.cli import numbers
from lascompile.cli.interruption import EXIT_CODE, Interruption
from lascompile.cli.json_output import to_json
from lascompile.cli.live_display import LiveDisplay
from lascompile.cli.measured_folder import add_folder_argument
from lascompile.cli.shapes import parse_shapes
from lascompile.cli.tuning_arguments import (
    add_device_arguments,
    add_network_arguments,
    check_arguments,
    network_files,
    read_fleet,
    read_setting,
    read_target,
)
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from lascompile.latency import LatencyTable, Row
    from lascompile.measure.cells import Measurable
    from lascompile.measure.measurer import Measurer
    from lascompile.measure.progress import MeasuringProgress
    from lascompile.target import Target
    from lascompile.tune.fleet import Fleet

RATES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Activation rates; 0.5 is the one that `build` asks for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `measure`."""
    add_network_arguments(parser, rates=RATES)
    add_device_arguments(parser)
    budget = parser.add_argument_group("budget")
    budget.add_argument("--repeats", type=int, default=90, metavar="N", help="timed runs of a cell (default: 90)")
    budget.add_argument("--time-limit", type=float, metavar="MIN", help="begin nothing after so many minutes")
    budget.add_argument("--dry-run", action="store_true", help="list what would be measured, and do nothing")
    budget.add_argument("--seed", type=numbers.seed, default=0, help="of masks, of the order, of --again (default: 0)")
    budget.add_argument(
        "--again", type=int, metavar="N", help="measure N random rows of the table once more, and compare"
    )
    add_folder_argument(parser)
    parser.add_argument("--quiet", action="store_true", help="print the summary alone")
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure, and say what came out."""
    check_arguments(args, counts=["repeats", "again"])
    target = read_target(args)
    fleet = read_fleet(args)
    from lascompile.latency import open_table
    from lascompile.measure.groups import make_groups
    from lascompile.measure.measurer import Measurer

    table = open_table(args.records)
    from lascompile.cli.console import colors

    console = Console(stderr=True, color_system=colors())
    with console.status("reading the network") if console.is_terminal else nullcontext():
        items = _items(args, table, target, fleet)
    _hint(args, items)
    due, before = _due(args, table, items)
    if args.dry_run:
        return _print_plan(args, items, due)
    limit_s = None if args.time_limit is None else 60 * args.time_limit
    on_record = 0 if args.again else len(items) - len(due)
    measurer = Measurer(make_groups(due), table, args.repeats, limit_s, on_record, args.seed)
    interrupted = _measure(args, measurer, target, fleet, console)
    _print_summary(args, measurer.progress, before)
    if interrupted:
        return EXIT_CODE
    return 0 if measurer.progress.is_sound else 1


def _items(
    args: argparse.Namespace, table: LatencyTable, target: Target, fleet: Fleet | None
) -> list[Measurable]:
    """All cells of the networks."""
    from lascompile.measure.cells import plan_cells
    from lascompile.measure.kernels import kernels_of_network, merge_kernels
    from lascompile.plan.measured import Measurements
    from lascompile.records import open_store

    setting = read_setting(args, target, fleet)
    shapes = parse_shapes(args.shape)
    kernels = [kernel for file in network_files(args) for kernel in kernels_of_network(file, setting, shapes)]
    if not kernels:
        raise UsageError("the network has no kernel that can be measured")
    measurements = Measurements(open_store(args.records), table, target, setting.threads, setting.device)
    return plan_cells(merge_kernels(kernels), args.activation_rate, measurements, args.seed)


def _hint(args: argparse.Namespace, items: list[Measurable]) -> None:
    """Say so if `build` will ask for another activation rate than those that are measured."""
    from lascompile.records.matching import is_dynamic
    from lascompile.workload import NOMINAL_RATE

    if args.quiet or NOMINAL_RATE in args.activation_rate:
        return
    if any(is_dynamic(item.cell.task.workload) for item in items):
        print(
            f"lascompile: hint: build asks the table at activation rate {NOMINAL_RATE:g}, which is not measured here; "
            f"add {NOMINAL_RATE:g} to --activation-rate",
            file=sys.stderr,
        )


def _due(
    args: argparse.Namespace, table: LatencyTable, items: list[Measurable]
) -> tuple[list[Measurable], list[Row]]:
    """The cells to measure in this run, and the rows that they are compared with."""
    missing = {cell.identity for cell in table.missing(item.cell for item in items)}
    if not args.again:
        return [item for item in items if item.cell.identity in missing], []
    from lascompile.measure.again import choose_again

    known = [item for item in items if item.cell.identity not in missing]
    if not known:
        raise UsageError(f"--again: no row of this network stands in {table.folder}; measure without --again first")
    return choose_again(known, args.again, args.seed), table.current()


def _measure(
    args: argparse.Namespace, measurer: Measurer, target: Target, fleet: Fleet | None, console: Console
) -> bool:
    """True if the user has stopped it."""
    from lascompile.cpu import physical_cores
    from lascompile.measure.visitor import Visitor
    from lascompile.report.measuring_table import measuring_line, measuring_view
    from lascompile.tune.builder import Builder

    if not measurer.progress.cells:
        return False
    display = LiveDisplay(console, args.quiet, measuring_view, measuring_line)
    with Interruption() as interruption, closing(Builder(target, physical_cores())) as builder:
        interruption.clean_up_by(builder.remove_files)
        with closing(Visitor(fleet)) as visitor, display:
            measurer.run(builder, visitor, display.show, interruption.__bool__)
    return bool(interruption)


def _print_plan(args: argparse.Namespace, items: list[Measurable], due: list[Measurable]) -> int:
    from lascompile.cli.console import output_console
    from lascompile.measure.measurer import SECONDS_PER_CELL
    from lascompile.report.measuring_table import plan_json, plan_table
    from lascompile.report.tuning_table import duration

    seconds = SECONDS_PER_CELL * len(due) / args.jobs
    if args.time_limit is not None:
        seconds = min(seconds, 60 * args.time_limit)
    if args.json:
        print(to_json(plan_json(items, due, seconds), indent=1))
        return 0
    output_console().print(plan_table(items, due))
    again = " again" if args.again else ""
    print(f"{len(items)} cells, {len(due)} to measure{again}, about {duration(seconds)}")
    return 0


def _print_summary(args: argparse.Namespace, progress: MeasuringProgress, before: list[Row]) -> None:
    from lascompile.cli.console import output_console
    from lascompile.measure.again import compare
    from lascompile.report.measuring_table import again_line, again_table, measuring_json, measuring_summary

    comparisons = compare(before, progress.rows)
    if args.json:
        print(to_json(measuring_json(progress, comparisons), indent=1))
        return
    if comparisons and not args.quiet:
        output_console().print(again_table(comparisons))
    for line in measuring_summary(progress):
        print(line)
    if comparisons:
        print(again_line(comparisons))
