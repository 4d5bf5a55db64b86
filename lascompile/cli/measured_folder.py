"""The folder of what was measured, as commands show and fill it: records of tuning, and rows of the latency table."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lascompile.cli.console import output_console
from lascompile.cli.json_output import to_json
from lascompile.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from lascompile.journal import Collection, Damage, Unreadable

SCHEMA = 1
"""Of what is printed as JSON."""


def add_folder_argument(parser: argparse._ActionsContainer) -> None:
    """`--records DIR`, for every command that has to do with them."""
    parser.add_argument("--records", type=Path, metavar="DIR", help="folder (default: ~/.cache/lascompile/records)")


def add_sources_argument(parser: argparse.ArgumentParser) -> None:
    """The folders of `merge`."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="DIR", help="folder of records, as from a board")


def existing_folder(folder: Path | None) -> Path | None:
    """`folder`, if it is None or there.

    Raises:
        UsageError: There is no such folder.
    """
    if folder is not None and not folder.exists():
        raise UsageError(f"--records {folder}: no such folder")
    return folder


def print_contents(collection: Collection[Any], tables: Iterable[tuple[str, Table]], summary: str) -> None:
    """Tables under their headings, a line about the whole, and what was left out."""
    console = output_console()
    for heading, table in tables:
        console.print(heading, style="bold", markup=False)
        console.print(table)
        console.print()
    print(summary)
    counts = {
        "damaged; the next write moves them aside": len(collection.damaged()),
        "damaged and moved to a file .quarantine": collection.quarantined(),
        "of another version of lascompile": len(collection.unreadable()),
    }
    for what, count in counts.items():
        if count:
            print(f"lines left out: {count} {what}")


def print_json(collection: Collection[Any], **contents: Any) -> None:
    """The same for machines, what was left out line by line."""

    def lines(found: Sequence[Damage | Unreadable]) -> list[dict[str, Any]]:
        return [{"path": str(line.path), "line": line.line, "why": line.why} for line in found]

    left_out = {"damaged": lines(collection.damaged()), "unreadable": lines(collection.unreadable())}
    report = {"schema": SCHEMA, **contents, **left_out, "quarantined": collection.quarantined()}
    print(to_json(report, indent=1))


def merge(collection: Collection[Any], args: argparse.Namespace, what: str) -> int:
    """Copy what other folders hold, and say how many lines, of `what`, that were."""
    merged = {str(source): collection.merge(source) for source in args.sources}
    if args.json:
        sources = {source: asdict(count) for source, count in merged.items()}
        print(to_json({"schema": SCHEMA, "folder": str(collection.folder), "sources": sources}, indent=1))
    else:
        for source, count in merged.items():
            print(f"{source}: {count.added} {what} added to {collection.folder}, {count.present} were there already")
    return 0
