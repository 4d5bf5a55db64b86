"""The options that `tune` and `measure` share: which networks, on which device, by which machines."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.cli import numbers
from lascompile.cli.names import names
from lascompile.cli.shapes import add_shape_argument
from lascompile.cli.target_arguments import add_target_arguments, target_text
from lascompile.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from lascompile.target import Target
    from lascompile.tune.fleet import Fleet
    from lascompile.tune.tasks import Setting

_INPUT_SIZE = 224
_COUNTS = ("threads", "batch", "input_size", "jobs")
_LARGEST_SEED = 2**32 - 1
"""What NumPy's RandomState takes, from which MetaSchedule draws."""


def add_network_arguments(parser: argparse.ArgumentParser, rates: Sequence[float]) -> None:
    """The networks, and the activation rates, by default `rates`."""
    parser.add_argument("model", type=Path, nargs="?", help="the ONNX file")
    what = parser.add_argument_group("instead of a model")
    what.add_argument("--arch", type=names, default=(), metavar="NAME,...", help="networks of the zoo")
    what.add_argument(
        "--granularity", type=_numbers, action="append", metavar="S,S,...", help="as for export; may be repeated"
    )
    what.add_argument("--input-size", type=int, metavar="N", help=f"pixels (default: {_INPUT_SIZE})")
    what.add_argument("--batch", type=numbers.images, metavar="N", help="images a call (default: 1)")
    shown = ",".join(f"{rate:g}" for rate in rates)
    parser.add_argument(
        "--activation-rate", type=_rates, default=rates, metavar="R,...", help=f"of all masks (default: {shown})"
    )
    parser.add_argument("--numerics", choices=("fast", "exact"), default="fast", help="as for build (default: fast)")
    add_shape_argument(parser)


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Where kernels will run, and what measures them."""
    where = parser.add_argument_group("where it will run")
    add_target_arguments(where)
    where.add_argument("--threads", type=numbers.threads, help="threads of a kernel (default: physical cores)")
    where.add_argument("--device", metavar="NAME", help="as records name it (default: the CPU's name, or --key)")
    where.add_argument("--tracker", metavar="HOST:PORT", help="measure on boards that have registered there")
    where.add_argument("--key", metavar="NAME", help="of the boards")
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="boards at a time (default: 1)")


def check_arguments(args: argparse.Namespace, counts: Sequence[str] = ()) -> None:
    """Refuse what does not fit together; `counts` names options of the command that have to be positive, if given.

    Raises:
        UsageError: It does not.
    """
    if args.model is None and not args.arch:
        raise UsageError("give either an ONNX file or --arch, as in --arch lasnet_resnet50")
    if args.model is not None and args.arch:
        raise UsageError("give either an ONNX file or --arch, not both")
    for name in ("granularity", "input_size", "batch"):
        if args.model is not None and getattr(args, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for --arch: a model has its own")
    for name in (*counts, *_COUNTS):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}, but at least 1 is needed")
    if not 0 <= args.seed <= _LARGEST_SEED:
        raise UsageError(f"--seed is {args.seed}: it must be from 0 to {_LARGEST_SEED}")
    if args.time_limit is not None and not args.time_limit > 0:
        raise UsageError(f"--time-limit is {args.time_limit:g} minutes: it must be above 0")


def read_target(args: argparse.Namespace) -> Target:
    """The target that the options spell.

    Raises:
        UsageError: There is none of that name.
        DeviceError: Its kernels cannot be tuned or measured yet, or not on this machine, where they would have to run.
    """
    from lascompile.target import check_runs_here, parse_target

    target = parse_target(target_text(args))
    if target.kind != "llvm":
        raise DeviceError(
            f"target {target} is known, but there are no schedule spaces for CUDA yet, so nothing to {args.command}: "
            "use --target llvm"
        )
    if args.tracker is None and not args.dry_run:
        check_runs_here(target, args.command, "measure on boards with --tracker and --key, or list it with --dry-run")
    return target


def read_fleet(args: argparse.Namespace) -> Fleet | None:
    """The boards, which are there; None for this machine.

    Raises:
        UsageError: The options do not fit, or no board answers.
    """
    if args.tracker is None:
        for option, is_given in (("--key", args.key is not None), ("--jobs", args.jobs > 1)):
            if is_given:
                raise UsageError(f"{option} needs --tracker HOST:PORT")
        return None
    from lascompile.tune.fleet import Fleet

    fleet = Fleet.parse(args.tracker, args.key, args.jobs)
    if not args.dry_run:
        fleet.check()
    return fleet


def read_setting(args: argparse.Namespace, target: Target, fleet: Fleet | None) -> Setting:
    """Where kernels run, with the first activation rate."""
    from lascompile.cpu import cpu_model, physical_cores
    from lascompile.schedules.numerics import Numerics
    from lascompile.tune.tasks import Setting

    threads = args.threads or physical_cores()
    device = args.device or (fleet.key if fleet else cpu_model())
    return Setting(target, threads, device, args.activation_rate[0], Numerics(args.numerics))


def network_files(args: argparse.Namespace) -> Iterator[Path]:
    """The networks as ONNX files, each of which may be gone when the next one is asked for.

    Raises:
        UsageError: There is no such network in the zoo, or a granularity does not fit.
    """
    if args.model is not None:
        yield args.model
        return
    from lascompile.tune.tasks import zoo_file

    for name in args.arch:
        for granularity in args.granularity or [None]:
            with zoo_file(name, granularity, args.input_size or _INPUT_SIZE, args.batch or 1) as file:
                yield file


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
    return tuple(dict.fromkeys(rates))
