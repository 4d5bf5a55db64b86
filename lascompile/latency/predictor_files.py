"""Where fitted predictors lie: beside the records, a file for each device and number of threads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lascompile.errors import UsageError
from lascompile.latency.observations import Observation, observe
from lascompile.latency.predictor import Predictor
from lascompile.latency.table import Row
from lascompile.machine import DataSheet
from lascompile.records.folders import shipped_folder, user_folder

FOLDER = "predictors"
FEWEST = 20
"""Kernels to fit to, at least."""


def path_of(folder: Path, sheet: DataSheet, threads: int) -> Path:
    """The file of the predictor for a device on so many threads, in a folder of records."""
    return folder / FOLDER / f"{sheet.name}-{threads}.json"


def find_predictor(sheet: DataSheet, threads: int, folder: Path | None = None) -> Predictor | None:
    """The fitted predictor of the user (in `folder`, if given), else the one that comes with lascompile, else None.

    Raises:
        UsageError: A file is there and holds none.
    """
    for place in (user_folder() if folder is None else folder, shipped_folder()):
        path = path_of(place, sheet, threads)
        if path.is_file() and _is_alike((found := read_predictor(path)).sheet, sheet):
            return found
    return None


def _is_alike(fitted: DataSheet, sheet: DataSheet) -> bool:
    """Whether a device is the one that was fitted to; the host differs in cores, and in what LLVM calls it."""
    return replace(fitted, engines=sheet.engines, arch=sheet.arch) == sheet


def read_predictor(path: Path) -> Predictor:
    """The predictor in `path`.

    Raises:
        UsageError: It holds none, or one of another version.
    """
    try:
        return Predictor.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: {error}; fit it anew with lascompile predictor fit") from None


def observations_of(rows: Iterable[Row], sheet: DataSheet, threads: int) -> list[Observation]:
    """What was measured on CPUs like that of `sheet`, on so many threads.

    Raises:
        UsageError: That is too little to fit to.
    """
    own = [row for row in rows if row.cell.task.threads == threads and row.cell.task.target.mcpu == sheet.arch]
    found = observe(own, sheet)
    if len(found) < FEWEST:
        raise UsageError(
            f"the latency table has {len(found)} kernels of {sheet.name} ({sheet.arch}) on {threads} threads, and "
            f"{FEWEST} are needed; lascompile measure makes rows"
        )
    return found
