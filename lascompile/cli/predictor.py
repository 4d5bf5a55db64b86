"""Fit the predictor of a CPU to its latency table, and say how well it foretells what it was not fitted to.

`evaluate` holds out whole shapes, granularities, rates, map sizes or algorithms, never random rows. Kernels shorter
than 20 µs are left out of its figures.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lascompile.cli import numbers
from lascompile.cli.console import output_console
from lascompile.cli.json_output import to_json
from lascompile.cli.measured_folder import add_folder_argument, existing_folder
from lascompile.errors import UsageError
from lascompile.files import check_file_place, write_whole

if TYPE_CHECKING:
    from lascompile.latency.observations import Observation
    from lascompile.machine import DataSheet

SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions of `lascompile predictor`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    fitting = actions.add_parser("fit", help="fit to the latency table, and keep it beside the records")
    fitting.add_argument("-o", "--output", type=Path, metavar="FILE", help="another place, .json")
    fitting.set_defaults(act=_fit)
    evaluating = actions.add_parser("evaluate", help="errors on what is held out")
    evaluating.set_defaults(act=_evaluate)
    showing = actions.add_parser("show", help="rates, interval and correction of the fitted one")
    showing.set_defaults(act=_show)
    for action in (fitting, evaluating, showing):
        action.add_argument("--device", default="host", metavar="NAME", help="a CPU (default: host)")
        action.add_argument("--threads", type=numbers.threads, metavar="N", help="default: all of the device's cores")
        add_folder_argument(action)
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Does what the action says."""
    code: int = args.act(args)
    return code


def _fit(args: argparse.Namespace) -> int:
    from lascompile.latency.predictor import Predictor
    from lascompile.latency.predictor_files import path_of
    from lascompile.records.folders import user_folder

    if args.output is not None:
        check_file_place("-o", args.output, (".json",))
    sheet, threads = _device(args)
    observations = _observations(args, sheet, threads)
    predictor = Predictor.fit(observations, sheet, threads)
    path = args.output or path_of(args.records or user_folder(), sheet, threads)
    if args.output is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(predictor.to_dict(), separators=(",", ":")) + "\n")
    if args.json:
        print(to_json({"schema": SCHEMA, "path": str(path), "kernels": len(observations)}))
    else:
        print(f"{path}: fitted to {len(observations)} kernels of {sheet.name} on {threads} threads")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from lascompile.latency.evaluation import SPLITS, algorithm_choices, coverage, hold_out

    sheet, threads = _device(args)
    observations = _observations(args, sheet, threads)
    found = [hold_out(observations, sheet, threads, split) for split in SPLITS]
    comparisons = [comparison for comparison in found if comparison is not None]
    chosen, covered = algorithm_choices(observations, sheet, threads), coverage(observations, sheet, threads)
    if args.json:
        report = {
            "schema": SCHEMA,
            "device": sheet.name,
            "threads": threads,
            "splits": [asdict(comparison) for comparison in comparisons],
            "algorithm_choices": chosen and asdict(chosen),
            "covered": covered,
        }
        print(to_json(report, indent=1))
        return 0
    _print(comparisons)
    if chosen is not None:
        print(
            f"\nalgorithms, shapes held out: right at {chosen.right:.0f}% of {chosen.sites} kernels, "
            f"regret {chosen.mean_regret:.2f}% on average, {chosen.worst_regret:.1f}% at worst"
        )
    if covered is not None:
        print(f"the 90% interval of a shape that was held out covers {covered:.0f}%")
    return 0


def _print(comparisons: list[Any]) -> None:
    from rich.table import Table

    table = Table("held out", box=None, header_style="bold", pad_edge=False)
    for heading in ("parts", "kernels", "MAPE %", "RMSPE %", "in 5/10/15 %", "worst %", "τ", "ρ", "data sheet alone"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in comparisons:
        errors = one.predictor
        within = "/".join(f"{share:.0f}" for share in errors.within)
        numbers = (f"{errors.mape:.1f}", f"{errors.rmspe:.1f}", within, f"{errors.worst:.0f}")
        ranks = (f"{errors.tau:.3f}", f"{errors.rho:.3f}", f"{one.analytical.mape:.1f}")
        table.add_row(one.split, str(one.groups), str(errors.kernels), *numbers, *ranks)
    output_console().print(table)


def _show(args: argparse.Namespace) -> int:
    from lascompile.latency.analytical import Rates
    from lascompile.latency.predictor_files import find_predictor

    sheet, threads = _device(args)
    predictor = find_predictor(sheet, threads, existing_folder(args.records))
    if predictor is None:
        raise UsageError(f"nothing was fitted for {sheet.name} on {threads} threads; lascompile predictor fit does")
    if args.json:
        print(to_json(predictor.to_dict()))
        return 0
    start = Rates.of(sheet, threads)
    print(f"{sheet.name} on {threads} threads: {len(predictor.anchors.rows)} measured kernels")
    for name, value in asdict(predictor.rates).items():
        print(f"  {name:20} {value:10.3g}   {value / getattr(start, name):.2f} of the data sheet's")
    low, high = (f"{2.718281828459045**bound:.2f}" for bound in predictor.interval)
    strength = predictor.correction.strength if predictor.correction is not None else 0
    print(f"nine of ten shapes that were held out took {low} to {high} of what was predicted")
    print(f"the learned correction counts {strength:g}")
    return 0


def _device(args: argparse.Namespace) -> tuple[DataSheet, int]:
    from lascompile.machine import find_device
    from lascompile.machine.host import HOST, host_sheet

    # Rows carry LLVM's name of the CPU, which may be another one than that of the row nearest to it.
    sheet = replace(host_sheet(), arch=_native()) if args.device == HOST else find_device(args.device)
    if sheet.kind != "cpu":
        raise UsageError(f"{sheet.name} is a GPU: a predictor is fitted to a CPU, a GPU is told by its data sheet")
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads is {args.threads}, but at least 1 is needed")
    return sheet, args.threads or sheet.engines


def _native() -> str:
    from lascompile.target import parse_target

    return parse_target("llvm").name


def _observations(args: argparse.Namespace, sheet: DataSheet, threads: int) -> list[Observation]:
    from lascompile.latency import open_table
    from lascompile.latency.predictor_files import observations_of

    table = open_table(existing_folder(args.records))
    return observations_of((item.value for item in table.rows()), sheet, threads)
