"""Where an artifact may go: to a new place, or into that of an older artifact and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lascompile.errors import UsageError
from lascompile.manifest import MANIFEST_NAME

_ADVICE = "remove it, or give another place with -o"


def check_destination(folder: Path) -> Path:
    """`folder`, if an artifact may be written there.

    Raises:
        UsageError: Its parent is missing, or something stands there that `check_replaceable` refuses.
    """
    if not folder.resolve().parent.is_dir():
        raise UsageError(f"{folder.parent} is not a folder; make it, or give another place with -o")
    if folder.exists():
        check_replaceable(folder)
    return folder


def check_replaceable(folder: Path, name: Path | None = None) -> None:
    """Refuse to replace what is no artifact, or holds anything beside one.

    Args:
        folder: What stands at the destination.
        name: How the user calls it, if it has been taken away from there.

    Raises:
        UsageError: It has no manifest that lascompile wrote, or holds what the manifest does not list.
    """
    name = name or folder
    listed = _listed(folder / MANIFEST_NAME)
    if listed is None:
        raise UsageError(f"{name} exists and is not an artifact; {_ADVICE}")
    others = sorted(path.name for path in folder.iterdir() if path.name not in listed or not path.is_file())
    if others:
        raise UsageError(
            f"{name} is an artifact, but holds {others[0]!r} too, which is none of its files; move it away, or give "
            "another place with -o"
        )


def _listed(manifest: Path) -> set[str] | None:
    """The names of an artifact's files, by whatever version of lascompile; None if it is no manifest of an artifact."""
    try:
        stored: Any = json.loads(manifest.read_bytes())
        is_ours = isinstance(stored["schema"], int) and isinstance(stored["versions"]["lascompile"], str)
        return {MANIFEST_NAME, *stored["files"], str(stored["library"])} if is_ours else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
