"""Where commands print tables: the terminal, or lines as long as they need to be."""

from __future__ import annotations

import errno
import os
from typing import NoReturn

from rich.console import Console

_ANY_WIDTH = 1_000
"""Columns where the output is no terminal, so that nothing is broken into lines."""


class _OutputConsole(Console):
    """A console that leaves it to `main` what happens when the reader of the output has gone."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def output_console() -> Console:
    """A console on stdout that colours nothing of itself."""
    console = _OutputConsole(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _ANY_WIDTH
    return console
