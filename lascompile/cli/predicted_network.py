"""The options that `predict` and `search` share: which network, on which device, under which load."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lascompile.cli import numbers
from lascompile.cli.measured_folder import add_folder_argument, existing_folder
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from lascompile.latency.network import NetworkPredictor
    from lascompile.models.config import ResNetConfig

_INPUT_SIZE = 224


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares them."""
    parser.add_argument("--arch", required=True, metavar="NAME", help="such as lasnet_resnet50; a wrong name lists all")
    parser.add_argument("--input-size", type=int, default=_INPUT_SIZE, metavar="N", help="pixels (default: 224)")
    parser.add_argument("--batch", type=numbers.images, default=1, metavar="N", help="images at a time (default: 1)")
    parser.add_argument(
        "--device", default="host", metavar="NAME", help="this CPU (host), a name from `device list`, or a data sheet"
    )
    parser.add_argument("--threads", type=numbers.threads, metavar="N", help="cores of a CPU (default: all)")
    parser.add_argument("--data-sheet-only", action="store_true", help="leave out what was fitted to measurements")
    add_folder_argument(parser)


def read_network(args: argparse.Namespace, granularity: tuple[int, ...] | None = None) -> ResNetConfig:
    """The network.

    Raises:
        UsageError: There is none of that name, or a number does not fit.
    """
    from lascompile.models.architectures import configure

    for name in ("input_size", "batch", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}, but at least 1 is needed")
    return configure(args.arch, granularity=granularity, input_size=args.input_size)


def read_predictor(args: argparse.Namespace) -> NetworkPredictor:
    """What predicts for the device.

    Raises:
        UsageError: There is no such device, or threads are asked of a GPU.
    """
    from lascompile.latency.network import NetworkPredictor, device_of
    from lascompile.latency.predictor_files import find_predictor
    from lascompile.machine import find_device
    from lascompile.machine.host import HOST, host_sheet

    sheet = host_sheet() if args.device == HOST else find_device(args.device)
    if sheet.kind == "gpu":
        if args.threads is not None:
            raise UsageError(f"--threads is for CPUs: {sheet.name} is a GPU")
        return NetworkPredictor(device_of(sheet))
    threads = args.threads or sheet.engines
    fitted = None if args.data_sheet_only else find_predictor(sheet, threads, existing_folder(args.records))
    return NetworkPredictor(device_of(sheet, threads, fitted))
