"""Where records lie: the user's folder, and the one that comes with the package."""

from __future__ import annotations

import os
from pathlib import Path

from lascompile.errors import UsageError
from lascompile.records.store import RecordStore


def user_folder() -> Path:
    """`$XDG_CACHE_HOME/lascompile/records`, by default `~/.cache/lascompile/records`."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is to be ignored, says the XDG Base Directory Specification.
    root = Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache"
    return root / "lascompile" / "records"


def shipped_folder() -> Path:
    """The records that lascompile comes with."""
    return Path(__file__).parents[1] / "schedules" / "records"


def open_store(folder: Path | None = None) -> RecordStore:
    """The records of the user (in `folder`, if given), and behind them those that lascompile comes with.

    Raises:
        UsageError: `folder` is a file.
    """
    return RecordStore(check_folder(folder if folder is not None else user_folder()), shipped_folder())


def check_folder(folder: Path) -> Path:
    """`folder`, if it is one or can become one.

    Raises:
        UsageError: It is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, but records are kept in a folder; give another one with --records")
    return folder
