"""How far a long command is: a live view on a terminal; elsewhere a line now and then; nothing where that is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

_LINE_EVERY_S = 10.0

T = TypeVar("T")


class LiveDisplay(Generic[T]):
    """Shows progress of type `T`.

    Args:
        console: Where.
        quiet: Show nothing.
        view: The progress for a terminal, in so many rows.
        line: The progress in one line.
    """

    def __init__(
        self, console: Console, quiet: bool, view: Callable[[T, int], RenderableType], line: Callable[[T], str]
    ) -> None:
        self._console, self._quiet, self._said = console, quiet, -_LINE_EVERY_S
        self._view, self._line = view, line
        is_live = console.is_terminal and not quiet
        self._live = Live(console=console, transient=True, auto_refresh=False) if is_live else None

    def __enter__(self) -> LiveDisplay[T]:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)

    def show(self, progress: T) -> None:
        """Show it, if it is time."""
        if self._live:
            self._live.update(self._view(progress, max(3, self._console.height - 4)), refresh=True)
        elif not self._quiet and time.monotonic() - self._said >= _LINE_EVERY_S:
            self._said = time.monotonic()
            self._console.print(self._line(progress), markup=False, highlight=False, soft_wrap=True)
