"""Find the fastest schedule of every kernel of a model, on the device that will run it.

Trials are kept as records, failed ones too, and `build` uses them. A trial on record counts: the same command goes on
where an earlier one ended, and does nothing once its trials are there. It may be stopped at any moment.

  lascompile tune m.onnx --trials 500
  lascompile tune --arch lasnet_resnet101 --activation-rate 0.25,0.5,0.75 --time-limit 60
  lascompile tune m.onnx --target "llvm -mtriple=aarch64-linux-gnu" --tracker 10.0.0.2:9190 --key tx2 --jobs 4
"""

from __future__ import annotations

import argparse
import importlib.util
from contextlib import closing, nullcontext
from pathlib import Path
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
    from lascompile.target import Target
    from lascompile.tune.fleet import Fleet
    from lascompile.tune.progress import Progress
    from lascompile.tune.runner import Runner
    from lascompile.tune.tasks import TuningTask
    from lascompile.tune.tuner import Tuner



def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `tune`."""
    add_network_arguments(parser, rates=(0.5,))
    add_device_arguments(parser)
    budget = parser.add_argument_group("budget")
    budget.add_argument("--trials", type=int, default=512, metavar="N", help="in all (default: 512)")
    budget.add_argument("--time-limit", type=float, metavar="MIN", help="begin no trial after so many minutes")
    budget.add_argument("--dry-run", action="store_true", help="list tasks, trials and time, and do nothing")
    budget.add_argument("--seed", type=numbers.seed, default=0, help="of the search and of masks (default: 0)")
    add_folder_argument(parser)
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="best latency over trials (default: tuning.png beside the records)"
    )
    parser.add_argument("--quiet", action="store_true", help="print the summary alone")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Tune, and say what came out."""
    _check(args)
    target = read_target(args)
    fleet = read_fleet(args)
    from lascompile.records import open_store
    from lascompile.tune.tuner import Budget, Tuner

    store = open_store(args.records)
    from lascompile.cli.console import colors

    console = Console(stderr=True, color_system=colors())
    with console.status("reading the network") if console.is_terminal else nullcontext():
        tasks = _tasks(args, target, fleet)
    limit_s = None if args.time_limit is None else 60 * args.time_limit
    tuner = Tuner(tasks, store, Budget(args.trials, limit_s), args.seed)
    if args.dry_run:
        return _print_plan(args, tuner)
    interrupted = _tune(args, tuner, target, fleet, console)
    _print_summary(args, tuner.progress, args.plot or store.folder / "tuning.png")
    return EXIT_CODE if interrupted else 0


def _check(args: argparse.Namespace) -> None:
    check_arguments(args, counts=["trials"])
    if args.plot is not None and not args.plot.parent.is_dir():
        raise UsageError(f"--plot {args.plot}: there is no folder {args.plot.parent}")


def _tasks(args: argparse.Namespace, target: Target, fleet: Fleet | None) -> list[TuningTask]:
    from lascompile.tune.tasks import merge_tasks, tasks_of_model

    setting = read_setting(args, target, fleet)
    found = [task for file in network_files(args) for task in tasks_of_model(file, setting, parse_shapes(args.shape))]
    if not found:
        raise UsageError("the network has no kernel that can be tuned")
    return merge_tasks([task.at(rate) for rate in args.activation_rate for task in found])


def _tune(args: argparse.Namespace, tuner: Tuner, target: Target, fleet: Fleet | None, console: Console) -> bool:
    """True if the user has stopped it."""
    from lascompile.cpu import physical_cores
    from lascompile.report.tuning_table import progress_line, progress_view
    from lascompile.tune.allocation import ROUND
    from lascompile.tune.builder import Builder

    if tuner.progress.trials >= args.trials:
        return False
    size = ROUND if fleet is None else max(ROUND, 4 * fleet.jobs)
    display = LiveDisplay(console, args.quiet, progress_view, progress_line)
    with Interruption() as interruption, closing(Builder(target, physical_cores())) as builder:
        interruption.clean_up_by(builder.remove_files)
        with closing(_runner(fleet)) as runner, display:
            tuner.run(builder, runner, display.show, size, interruption.__bool__)
    return bool(interruption)


def _runner(fleet: Fleet | None) -> Runner:
    from lascompile.tune.runner import FleetRunner, LocalRunner

    return LocalRunner() if fleet is None else FleetRunner(fleet)


def _print_plan(args: argparse.Namespace, tuner: Tuner) -> int:
    from lascompile.cli.console import output_console
    from lascompile.report.tuning_plan import plan_json, plan_table, planned_kernels
    from lascompile.report.tuning_table import duration, progress_json
    from lascompile.tune.tuner import SECONDS_PER_TRIAL

    progress = tuner.progress
    left = max(0, args.trials - progress.trials)
    seconds = left * SECONDS_PER_TRIAL / max(1, args.jobs)
    if args.time_limit is not None:
        seconds = min(seconds, 60 * args.time_limit)
    kernels = planned_kernels(progress)
    if args.json:
        planned = {"kernels": plan_json(kernels), "trials_left": left, "left_s": seconds}
        print(to_json({**progress_json(progress), **planned}, indent=1))
        return 0
    output_console().print(plan_table(kernels))
    print(f"{len(progress.tasks)} tasks, {left} trials to make, {progress.trials} on record, about {duration(seconds)}")
    return 0


def _print_summary(args: argparse.Namespace, progress: Progress, plot: Path) -> None:
    from lascompile.cli.console import output_console
    from lascompile.report.tuning_table import progress_json, progress_table, summary_lines

    has_plot = importlib.util.find_spec("matplotlib") is not None and progress.trials > 0
    if has_plot:
        from lascompile.report.tuning_plot import plot_tuning

        plot_tuning(progress, plot)
    if args.json:
        print(to_json({**progress_json(progress), "plot": str(plot) if has_plot else None}, indent=1))
        return
    if not args.quiet:
        output_console().print(progress_table(progress))
    for line in summary_lines(progress):
        print(line)
    if has_plot:
        print(f"best latency over trials: {plot}")
    elif progress.trials:
        print("no plot: python -m pip install matplotlib")
