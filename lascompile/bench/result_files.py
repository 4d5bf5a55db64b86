"""The files that a script of measurements writes: results as JSON, tables as Markdown, a plot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_results(
    folder: Path, name: str, results: Any, tables: str, plot: Callable[[Path], None] | None = None
) -> None:
    """Write `results` to `name`.json in `folder`, `tables` to `name`.md, and what `plot` writes to `name`.png.

    Each file appears under its name when it is whole: a script that is killed leaves the older one.
    """
    _write(folder / f"{name}.json", lambda path: _write_text(path, json.dumps(results, indent=1)))
    _write(folder / f"{name}.md", lambda path: _write_text(path, tables))
    if plot is not None:
        _write(folder / f"{name}.png", plot)


def _write(path: Path, write: Callable[[Path], None]) -> None:
    aside = path.with_name(f".{path.name}")
    write(aside)
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
