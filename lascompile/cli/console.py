"""Where commands print tables: the terminal, or lines as long as they need to be."""

from __future__ import annotations

import errno
import os
from typing import Any, Literal, NoReturn

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_ANY_WIDTH = 1_000
"""Columns where the output is no terminal, so that nothing is broken into lines."""


class _OutputConsole(Console):
    """A console that leaves it to `main` what happens when the reader of the output has gone, and tables whole."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does, but a table keeps its columns and words, and the terminal breaks lines that are too long."""
        if len(objects) == 1 and isinstance(objects[0], Table):
            unbounded = self.options.update(max_width=_ANY_WIDTH)
            needed = Measurement.get(self, unbounded, objects[0]).maximum
            if needed > self.width:
                Console(
                    file=self.file, width=needed, force_terminal=self.is_terminal, color_system=colors()
                ).print(*objects, **options)
                return
        super().print(*objects, **options)

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def colors() -> Literal["auto"] | None:
    """What rich is to do: with NO_COLOR set it still writes bold, which is an escape sequence like any other."""
    return None if os.environ.get("NO_COLOR") else "auto"


def output_console() -> Console:
    """A console on stdout that colours nothing of itself."""
    console = _OutputConsole(highlight=False, color_system=colors())
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _ANY_WIDTH
    return console
