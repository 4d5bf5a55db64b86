"""Read damaged files, in children that may crash, and keep those that do or that raise what nobody foresaw."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lascompile.errors import LascompileError
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import Target

BATCH = 50
"""Cases of one child: a fork costs more than a case."""


@dataclass(frozen=True)
class Finding:
    """A damaged file that was not refused as it should be."""

    number: int
    content: bytes
    why: str


def cases(sound: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    """The numbers from `first` on, and the damaged file of each."""
    number = first
    while True:
        yield number, mutate(sound, random.Random(number))
        number += 1


def run(target: Target, count: int, seconds: float, first: int = 0) -> tuple[int, list[Finding]]:
    """Read up to `count` damaged files of a kind within `seconds`; how many that were, and what was found."""
    until = time.monotonic() + seconds
    done, findings = 0, []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = target.make(Path(folder))
        sound = path.read_bytes()
        while done < count and time.monotonic() < until:
            size = min(BATCH, count - done)
            findings += _batch(target, path, sound, first + done, size, Path(folder) / "found")
            done += size
    return done, findings


def _batch(target: Target, path: Path, sound: bytes, first: int, size: int, log: Path) -> list[Finding]:
    log.write_text("")
    child = os.fork()
    if child == 0:
        _read_all(target, path, sound, first, size, log)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    path.write_bytes(sound)
    found = []
    lines = log.read_text().splitlines()
    for line in lines:
        case, _, why = line.partition(" ")
        if why:
            found.append(Finding(int(case), mutate(sound, random.Random(int(case))), why))
    if status != 0:
        number = int(lines[-1]) if lines and lines[-1].isdigit() else first
        found.append(Finding(number, mutate(sound, random.Random(number)), f"status {status}"))
    return found


def _read_all(target: Target, path: Path, sound: bytes, first: int, size: int, log: Path) -> None:
    with log.open("a") as file:
        for number, content in cases(sound, first):
            if number == first + size:
                return
            path.write_bytes(content)
            print(number, file=file, flush=True)  # the last one before a crash
            try:
                target.read(path)
            except LascompileError as error:
                if "\n" in str(error):
                    print(number, "several lines", file=file, flush=True)
            except OSError as error:
                if error.errno is None:
                    print(number, _why(error), file=file, flush=True)
            except BaseException as error:
                print(number, _why(error), file=file, flush=True)


def _why(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return " ".join(f"{type(error).__name__} {error} {where.filename}:{where.lineno}".split())


def keep(findings: list[Finding], target: Target, folder: Path) -> None:
    """Write what was found, to become tests."""
    for finding in findings:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{target.name}-{finding.number}").write_bytes(finding.content)


def clean(folder: Path) -> None:
    """Remove what an earlier campaign kept."""
    shutil.rmtree(folder, ignore_errors=True)
