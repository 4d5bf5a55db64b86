"""Look at the records of tuning, merge those of other machines, remove what is not needed.

Records are kept by device and version of TVM, those of the user in ~/.cache/lascompile/records. `build` takes the
better one of the user's and of those that lascompile comes with.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from lascompile.records import Record, RecordStore, Stored

_LOG = logging.getLogger("lascompile.records")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions of `lascompile records`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("list", help="what is on record, a line a task")
    listing.add_argument("--device", metavar="NAME", help="only records of this device")
    listing.set_defaults(act=_list)
    merging = actions.add_parser("merge", help="copy the records of other folders, those that are missing")
    add_sources_argument(merging)
    merging.set_defaults(act=_merge)
    pruning = actions.add_parser("prune", help="remove records that are not needed")
    pruning.add_argument("--failed", action="store_true", help="failed trials, except those whose output was wrong")
    pruning.add_argument("--keep", type=int, metavar="N", help="all but the N fastest of each task and algorithm")
    pruning.add_argument("--outdated", action="store_true", help="what no longer applies to the kernels as they are")
    pruning.add_argument("--other-tvm", action="store_true", help="what was measured with another version of TVM")
    pruning.add_argument("--device", metavar="NAME", help="remove only records of this device")
    pruning.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    pruning.set_defaults(act=_prune)
    for action in (listing, merging, pruning):
        add_folder_argument(action)
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Does what the action says."""
    code: int = args.act(args)
    return code


def _list(args: argparse.Namespace) -> int:
    from lascompile.records import open_store
    from lascompile.report.record_table import summarize, task_tables

    store = open_store(existing_folder(args.records))
    items = [item for item in store.records() if args.device in (None, item.value.task.device)]
    summaries = summarize(items)
    if args.json:
        print_json(store, tasks=[summary.to_json() for summary in summaries])
        return 0
    of_device = f" of {args.device!r}" if args.device else ""
    none = f"no records{of_device} in {store.folder}; lascompile tune makes them"
    print_contents(store, task_tables(summaries), f"{len(summaries)} tasks, {len(items)} trials" if summaries else none)
    return 0


def _merge(args: argparse.Namespace) -> int:
    from lascompile.records import open_store

    return merge(open_store(args.records), args, "records")


def _prune(args: argparse.Namespace) -> int:
    from lascompile.records import open_store
    from lascompile.records.prune import Rules, find_unwanted

    if args.keep is not None and args.keep < 1:
        raise UsageError(f"--keep {args.keep}: at least 1 is needed")
    if not (args.failed or args.keep or args.outdated or args.other_tvm):
        raise UsageError("nothing to prune by; give --failed, --keep N, --outdated or --other-tvm")
    store = open_store(existing_folder(args.records))
    outdated = _is_outdated if args.outdated else None
    rules = Rules(args.failed, args.keep, outdated, args.other_tvm, args.device)
    unwanted = find_unwanted(store.records(shipped=False), rules)
    removed = len(unwanted) if args.dry_run else _remove(store, unwanted)
    left = sum(1 for _ in store.records(shipped=False)) - (removed if args.dry_run else 0)
    if args.json:
        report = {"folder": str(store.folder), "dry_run": args.dry_run, "removed": removed, "left": left}
        print(to_json({"schema": SCHEMA, **report}, indent=1))
    else:
        print(f"{store.folder}: {removed} records {'would be ' if args.dry_run else ''}removed, {left} left")
    return 0


def _remove(store: RecordStore, unwanted: Sequence[Stored]) -> int:
    doomed = {item.payload for item in unwanted}
    return store.prune(lambda item: item.payload in doomed)


def _is_outdated(record: Record) -> bool:
    from tvm.error import InternalError

    from lascompile.plan.known import known_algorithms

    try:
        known = known_algorithms(record.task.workload, record.task.target.kind).get(record.algorithm)
    except (ValueError, KeyError, ZeroDivisionError, AssertionError, InternalError) as error:
        # Somebody has edited a workload into one that no kernel computes.
        _LOG.info("%s is outdated: %s: %s", record.identity, type(error).__name__, error)
        return True
    return known is None or known.why_not(record) is not None
