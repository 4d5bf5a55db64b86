"""What can be known, before any work is done, about a place that a file is to be written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lascompile.errors import UsageError


def check_file_place(what: str, path: Path, endings: Sequence[str] = ()) -> None:
    """Refuse a path that no file can be written to.

    Args:
        what: Begins the message: the option, as in `output`.
        path: The place.
        endings: Of which the name must have one, in lower case and with the point; empty if any will do.

    Raises:
        UsageError: The name has another ending, the folder is missing, or something stands there that is no file.
    """
    if endings and path.suffix.lower() not in endings:
        raise UsageError(f"{what} {path}: unknown ending {path.suffix!r}; give a {' or '.join(endings)} file")
    if not path.resolve().parent.is_dir():
        raise UsageError(f"{what} {path}: {path.parent} is not a folder; make it first")
    if path.is_dir():
        raise UsageError(f"{what} {path}: is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise UsageError(f"{what} {path}: is a device, pipe or socket; give the name of a file")
