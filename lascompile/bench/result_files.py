"""The files that a script of measurements writes: results as JSON, tables as Markdown, a plot."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lascompile.files import write_whole


def write_results(
    folder: Path, name: str, results: Any, tables: str, plot: Callable[[Path], None] | None = None
) -> None:
    """Write `results` to `name`.json in `folder`, `tables` to `name`.md, and what `plot` writes to `name`.png.

    Each file appears under its name when it is whole: a script that is killed leaves the older one.
    """
    write_whole(folder / f"{name}.json", json.dumps(results, indent=1))
    write_whole(folder / f"{name}.md", tables)
    if plot is not None:
        with tempfile.TemporaryDirectory(prefix="lascompile-") as elsewhere:
            picture = Path(elsewhere) / f"{name}.png"
            plot(picture)
            write_whole(folder / picture.name, picture.read_bytes())
