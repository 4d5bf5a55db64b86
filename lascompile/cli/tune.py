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
import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from lascompile.cli.shapes import add_shape_argument, parse_shapes
from lascompile.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from lascompile.target import Target
    from lascompile.tune.fleet import Fleet
    from lascompile.tune.progress import Progress
    from lascompile.tune.runner import Runner
    from lascompile.tune.tasks import TuningTask
    from lascompile.tune.tuner import Tuner

_TARGET_OPTIONS = ("arch", "mcpu", "mtriple", "mattr")
_LINE_EVERY_S = 10.0
_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `tune`."""
    parser.add_argument("model", type=Path, nargs="?", help="the ONNX file")
    what = parser.add_argument_group("instead of a model")
    what.add_argument("--arch", type=_names, default=(), metavar="NAME,...", help="networks of the zoo")
    what.add_argument(
        "--granularity", type=_numbers, action="append", metavar="S,S,...", help="as for export; may be repeated"
    )
    what.add_argument("--input-size", type=int, default=224, metavar="N", help="pixels (default: 224)")
    what.add_argument("--batch", type=int, default=1, metavar="N", help="images a call (default: 1)")
    parser.add_argument(
        "--activation-rate", type=_rates, default=(0.5,), metavar="R,...", help="of all masks (default: 0.5)"
    )
    where = parser.add_argument_group("where it will run")
    where.add_argument("--target", default="llvm", help="llvm or cuda with options, a TVM tag, or a JSON target")
    for option in _TARGET_OPTIONS:
        # As TVM spells them: --target cuda -arch=sm_70, with no quotes.
        where.add_argument(f"-{option}", dest=f"target_{option}", help=argparse.SUPPRESS)
    where.add_argument("--threads", type=int, help="threads of a kernel (default: physical cores)")
    where.add_argument("--device", metavar="NAME", help="as records name it (default: the CPU's name, or --key)")
    where.add_argument("--tracker", metavar="HOST:PORT", help="measure on boards that have registered there")
    where.add_argument("--key", metavar="NAME", help="of the boards")
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="boards at a time (default: 1)")
    budget = parser.add_argument_group("budget")
    budget.add_argument("--trials", type=int, default=512, metavar="N", help="in all (default: 512)")
    budget.add_argument("--time-limit", type=float, metavar="MIN", help="begin no trial after so many minutes")
    budget.add_argument("--dry-run", action="store_true", help="list tasks, trials and time, and do nothing")
    budget.add_argument("--seed", type=int, default=0, help="of the search and of masks (default: 0)")
    parser.add_argument("--numerics", choices=("fast", "exact"), default="fast", help="as for build (default: fast)")
    parser.add_argument("--records", type=Path, metavar="DIR", help="folder (default: ~/.cache/lascompile/records)")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="best latency over trials (default: tuning.png beside the records)"
    )
    parser.add_argument("--quiet", action="store_true", help="print the summary alone")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    add_shape_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Tune, and say what came out."""
    _check(args)
    target = _read_target(args)
    fleet = _fleet(args)
    from lascompile.records import open_store
    from lascompile.tune.tuner import Budget, Tuner

    store = open_store(args.records)
    console = Console(stderr=True)
    with console.status("reading the network") if console.is_terminal else nullcontext():
        tasks = _tasks(args, target, fleet)
    limit_s = None if args.time_limit is None else 60 * args.time_limit
    tuner = Tuner(tasks, store, Budget(args.trials, limit_s), args.seed)
    if args.dry_run:
        return _print_plan(args, tuner)
    interrupted = _tune(args, tuner, target, fleet, console)
    _print_summary(args, tuner.progress, args.plot or store.folder / "tuning.png")
    return _INTERRUPTED if interrupted else 0


def _check(args: argparse.Namespace) -> None:
    if (args.model is None) == (not args.arch):
        raise UsageError("give either an ONNX file or --arch, as in --arch lasnet_resnet50")
    if args.model is not None and args.granularity:
        raise UsageError("--granularity is for --arch: a model has its own")
    for name in ("trials", "threads", "batch", "input_size", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}, but at least 1 is needed")
    if args.seed < 0:
        raise UsageError(f"--seed is {args.seed}: it must not be negative")
    if args.time_limit is not None and not args.time_limit > 0:
        raise UsageError(f"--time-limit is {args.time_limit:g} minutes: it must be above 0")
    if args.plot is not None and not args.plot.parent.is_dir():
        raise UsageError(f"--plot {args.plot}: there is no folder {args.plot.parent}")


def _read_target(args: argparse.Namespace) -> Target:
    from lascompile.target import parse_target

    options = {name: getattr(args, f"target_{name}") for name in _TARGET_OPTIONS}
    text = " ".join([args.target, *(f"-{name}={value}" for name, value in options.items() if value)])
    try:
        target = parse_target(text)
    except DeviceError as error:
        raise UsageError(str(error)) from None
    if target.kind == "cuda":
        raise DeviceError(
            f"target {target} is known, but there are no schedule spaces for CUDA yet, so nothing to tune: "
            "use --target llvm"
        )
    return target


def _fleet(args: argparse.Namespace) -> Fleet | None:
    if args.tracker is None:
        if args.key is not None:
            raise UsageError("--key needs --tracker HOST:PORT")
        return None
    from lascompile.tune.fleet import Fleet

    fleet = Fleet.parse(args.tracker, args.key, args.jobs)
    if not args.dry_run:
        fleet.check()
    return fleet


def _tasks(args: argparse.Namespace, target: Target, fleet: Fleet | None) -> list[TuningTask]:
    from lascompile.cpu import cpu_model, physical_cores
    from lascompile.plan.numerics import Numerics
    from lascompile.tune.tasks import Setting, merge_tasks, tasks_of_model, tasks_of_zoo

    threads = args.threads or physical_cores()
    device = args.device or (fleet.key if fleet else cpu_model())
    found = []
    for rate in args.activation_rate:
        setting = Setting(target, threads, device, rate, Numerics(args.numerics))
        if args.model is not None:
            found += tasks_of_model(args.model, setting, parse_shapes(args.shape))
        for name in args.arch:
            for granularity in args.granularity or [None]:
                found += tasks_of_zoo(name, setting, granularity, args.input_size, args.batch)
    if not found:
        raise UsageError("the network has no kernel that can be tuned")
    return merge_tasks(found)


def _tune(args: argparse.Namespace, tuner: Tuner, target: Target, fleet: Fleet | None, console: Console) -> bool:
    """True if the user has stopped it."""
    from lascompile.cpu import physical_cores
    from lascompile.tune.allocation import ROUND
    from lascompile.tune.builder import Builder

    if tuner.progress.trials >= args.trials:
        return False
    builder = Builder(target, physical_cores())
    try:
        runner = _runner(fleet)
        try:
            with _Display(console, args.quiet) as display:
                size = ROUND if fleet is None else max(ROUND, 4 * fleet.jobs)
                tuner.run(builder, runner, display.show, size)
        finally:
            runner.close()
    except KeyboardInterrupt:
        return True
    finally:
        builder.close()
    return False


def _runner(fleet: Fleet | None) -> Runner:
    from lascompile.tune.runner import FleetRunner, LocalRunner

    return LocalRunner() if fleet is None else FleetRunner(fleet)


class _Display:
    """A live table on a terminal; elsewhere a line now and then; nothing where that is wanted."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self._console, self._quiet, self._said = console, quiet, -_LINE_EVERY_S
        self._live = Live(console=console, transient=True, auto_refresh=False) if self._is_live else None

    @property
    def _is_live(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def __enter__(self) -> _Display:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)

    def show(self, progress: Progress) -> None:
        from lascompile.report.tuning_table import progress_line, progress_view

        if self._live:
            self._live.update(progress_view(progress, max(3, self._console.height - 4)), refresh=True)
        elif not self._quiet and time.monotonic() - self._said >= _LINE_EVERY_S:
            self._said = time.monotonic()
            self._console.print(progress_line(progress), markup=False, highlight=False, soft_wrap=True)


def _print_plan(args: argparse.Namespace, tuner: Tuner) -> int:
    from lascompile.cli.console import output_console
    from lascompile.report.tuning_table import duration, progress_json, progress_table
    from lascompile.tune.tuner import SECONDS_PER_TRIAL

    progress = tuner.progress
    left = max(0, args.trials - progress.trials)
    seconds = left * SECONDS_PER_TRIAL / max(1, args.jobs)
    if args.time_limit is not None:
        seconds = min(seconds, 60 * args.time_limit)
    if args.json:
        print(json.dumps({**progress_json(progress), "trials_left": left, "left_s": seconds}, indent=1))
        return 0
    output_console().print(progress_table(progress))
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
        print(json.dumps({**progress_json(progress), "plot": str(plot) if has_plot else None}, indent=1))
        return
    if not args.quiet:
        output_console().print(progress_table(progress))
    for line in summary_lines(progress):
        print(line)
    print(f"best latency over trials: {plot}" if has_plot else "no plot: python -m pip install matplotlib")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"granularity {text!r}: must be whole numbers and commas, as in 4,4,2,1") from None


def _rates(text: str) -> tuple[float, ...]:
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate <= 1 for rate in rates):
        raise UsageError(f"activation rate {text!r}: must be numbers above 0 and at most 1, as in 0.25,0.5")
    return rates
