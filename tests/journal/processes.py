"""Programs that tests run beside themselves, to kill them or to let them write all at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

APPEND = """
import sys
from pathlib import Path
from lascompile.journal import Journal
path, writer, items = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
journal = Journal(path)
for item in range(items):
    journal.append({"writer": writer, "item": item, "padding": "x" * (item * 37 % 5000)})
    print(item, flush=True)
"""
"""Appends `items` entries to `path` one by one, and prints the number of each that is safe."""

REWRITE = """
import sys
from pathlib import Path
from lascompile.journal import Journal
path, times = Path(sys.argv[1]), int(sys.argv[2])
for time in range(times):
    Journal(path).append({"writer": -1, "item": time})
    Journal(path).prune(lambda entry: entry.data["writer"] >= 0)
    print(time, flush=True)
"""
"""Puts a new file in the place of `path` again and again."""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs `program`; its output is a pipe."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )
