"""The devices that `predict` and `search` know: their data sheets.

A device that is missing is a file: `device show NAME --json` prints one to begin with, and `--device FILE.json` takes
it.
"""

from __future__ import annotations

import argparse

from lascompile.cli.console import output_console
from lascompile.cli.json_output import to_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions of `lascompile device`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("list", help="all of them, a line each")
    listing.set_defaults(act=_list)
    showing = actions.add_parser("show", help="one data sheet")
    showing.add_argument("name", help="host, a name from `device list`, or a file.json")
    showing.set_defaults(act=_show)
    for action in (listing, showing):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Does what the action says."""
    code: int = args.act(args)
    return code


def _list(args: argparse.Namespace) -> int:
    from rich.table import Table

    from lascompile.machine import DEVICES

    if args.json:
        print(to_json({"schema": 1, "devices": [sheet.to_dict() for sheet in DEVICES.values()]}, indent=1))
        return 0
    table = Table("device", "arch", box=None, header_style="bold", pad_edge=False)
    for heading in ("engines", "GHz", "TFLOP/s", "GB/s", "cache MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for sheet in DEVICES.values():
        numbers = (f"{1e-9 * sheet.clock_hz:.2f}", f"{1e-12 * sheet.peak_flops_per_s:.2f}")
        memory = (f"{1e-9 * sheet.memory_bytes_per_s:.0f}", f"{sheet.cache_bytes / 2**20:.2g}")
        table.add_row(sheet.name, sheet.arch, str(sheet.engines), *numbers, *memory)
    output_console().print(table)
    return 0


def _show(args: argparse.Namespace) -> int:
    from lascompile.machine import find_device
    from lascompile.machine.host import HOST, host_sheet

    sheet = host_sheet() if args.name == HOST else find_device(args.name)
    if args.json:
        print(to_json(sheet.to_dict(), indent=1))
        return 0
    for name, value in sheet.to_dict().items():
        if name != "schema" and value is not None:
            print(f"{name:20} {value}")
    return 0
