"""Where an artifact goes, and how it gets there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lascompile.errors import UsageError
from lascompile.manifest import MANIFEST_NAME


def check_destination(folder: Path) -> Path:
    """`folder`, if an artifact may be written there.

    Raises:
        UsageError: Its parent is missing, or something else stands there.
    """
    if not folder.resolve().parent.is_dir():
        raise UsageError(f"{folder.parent} is not a folder; make it, or give another place with -o")
    if folder.exists() and not (folder / MANIFEST_NAME).is_file():
        raise UsageError(f"{folder} exists and is not an artifact; remove it, or give another place with -o")
    return folder


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when all went well, and vanishes otherwise."""
    place = folder.resolve()  # where a link leads
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        # The one aside is not what the user asked for.
        raise OSError(error.errno, os.strerror(error.errno or 0), str(folder)) from error
    old = aside.with_name(f"{aside.name}.old")
    try:
        yield aside
        aside.chmod(0o755)
        if place.exists():
            place.rename(old)
        aside.rename(place)
    finally:
        if old.exists() and not place.exists():
            old.rename(place)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
