"""Look at the records of tuning, merge those of other machines, remove what is not needed.

Records are kept by device and version of TVM, those of the user in ~/.cache/lascompile/records. `build` takes the
better one of the user's and of those that lascompile comes with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lascompile.cli.console import output_console
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from lascompile.journal import Damage, Unreadable
    from lascompile.records import Record, Stored

SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions of `lascompile records`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("list", help="what is on record, a line a task")
    listing.add_argument("--device", metavar="NAME", help="only records of this device")
    listing.set_defaults(act=_list)
    merging = actions.add_parser("merge", help="copy the records of other folders, those that are missing")
    merging.add_argument("sources", nargs="+", type=Path, metavar="DIR", help="folder of records, as from a board")
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


def add_folder_argument(parser: argparse._ActionsContainer) -> None:
    """`--records DIR`, for every command that has to do with them."""
    parser.add_argument("--records", type=Path, metavar="DIR", help="folder (default: ~/.cache/lascompile/records)")


def run(args: argparse.Namespace) -> int:
    """Does what the action says."""
    code: int = args.act(args)
    return code


def existing_folder(folder: Path | None) -> Path | None:
    """`folder`, if it is None or there.

    Raises:
        UsageError: There is no such folder.
    """
    if folder is not None and not folder.exists():
        raise UsageError(f"--records {folder}: no such folder")
    return folder


def print_troubles(damaged: Sequence[Damage], unreadable: Sequence[Unreadable], quarantined: int) -> None:
    """How many lines were left out, where there are any; the log has named them."""
    counts = {
        "damaged; the next write moves them aside": len(damaged),
        "damaged and moved to a file .quarantine": quarantined,
        "of another version of lascompile": len(unreadable),
    }
    for what, count in counts.items():
        if count:
            print(f"lines left out: {count} {what}")


def troubles_to_json(damaged: Sequence[Damage], unreadable: Sequence[Unreadable], quarantined: int) -> dict[str, Any]:
    """The same for machines, line by line."""

    def lines(found: Sequence[Damage | Unreadable]) -> list[dict[str, Any]]:
        return [{"path": str(line.path), "line": line.line, "why": line.why} for line in found]

    return {"damaged": lines(damaged), "unreadable": lines(unreadable), "quarantined": quarantined}


def _list(args: argparse.Namespace) -> int:
    from lascompile.records import open_store
    from lascompile.report.record_table import summarize, task_tables

    store = open_store(existing_folder(args.records))
    items = [item for item in store.records() if args.device in (None, item.value.task.device)]
    summaries = summarize(items)
    troubles = store.damaged(), store.unreadable(), store.quarantined()
    if args.json:
        tasks = [summary.to_json() for summary in summaries]
        print(json.dumps({"schema": SCHEMA, "tasks": tasks, **troubles_to_json(*troubles)}, indent=1))
        return 0
    console = output_console()
    for heading, table in task_tables(summaries):
        console.print(heading, style="bold", markup=False)
        console.print(table)
        console.print()
    if summaries:
        print(f"{len(summaries)} tasks, {len(items)} trials")
    else:
        of_device = f" of {args.device!r}" if args.device else ""
        print(f"no records{of_device} in {store.folder}; lascompile tune makes them")
    print_troubles(*troubles)
    return 0


def _merge(args: argparse.Namespace) -> int:
    from lascompile.records import open_store

    store = open_store(args.records)
    merged = {str(source): store.merge(source) for source in args.sources}
    if args.json:
        sources = {source: asdict(count) for source, count in merged.items()}
        print(json.dumps({"schema": SCHEMA, "folder": str(store.folder), "sources": sources}, indent=1))
    else:
        for source, count in merged.items():
            print(f"{source}: {count.added} records added to {store.folder}, {count.present} were there already")
    return 0


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
        print(json.dumps({"schema": SCHEMA, **report}, indent=1))
    else:
        print(f"{store.folder}: {removed} records {'would be ' if args.dry_run else ''}removed, {left} left")
    return 0


def _remove(store: Any, unwanted: Sequence[Stored]) -> int:
    doomed = {item.payload for item in unwanted}
    removed: int = store.prune(lambda item: item.payload in doomed)
    return removed


def _is_outdated(record: Record) -> bool:
    from lascompile.plan.known import known_algorithms

    known = known_algorithms(record.task.workload).get(record.algorithm)
    return known is None or known.why_not(record) is not None
