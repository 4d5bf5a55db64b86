"""What the lines of journals mean: objects of one type, those of the user and those that lascompile comes with."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from lascompile.journal.journal import Damage, Journal
from lascompile.journal.tree import JournalTree, Merged

_LOG = logging.getLogger("lascompile.journal")

T = TypeVar("T")


@dataclass(frozen=True)
class Item(Generic[T]):
    """An object and where it lies.

    Attributes:
        payload: The JSON text that it was made of.
        shipped: True if lascompile comes with it.
    """

    value: T
    path: Path
    line: int
    payload: bytes
    shipped: bool


@dataclass(frozen=True)
class Unreadable:
    """A sound line that this version of lascompile can make nothing of; it is kept, and merged like any other."""

    path: Path
    line: int
    why: str


class Collection(Generic[T]):
    """The objects in `folder`, which is written to, and in `shipped`, which is only read.

    Both hold `<device>/tvm-<version>/<name>`. May be shared between threads, and `folder` between processes.

    Args:
        parse: Makes an object of a line's data, or raises ValueError and says why not.
        place: Device, version of TVM, and data of an object: where its line belongs, and what stands there.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        shipped: Path | None,
        parse: Callable[[Mapping[str, Any]], T],
        place: Callable[[T], tuple[str, str, Mapping[str, Any]]],
    ) -> None:
        self.folder = folder
        self._own = JournalTree(folder, name)
        self._parse, self._place = parse, place
        # One folder that is both is the user's.
        is_other = shipped is not None and shipped.resolve() != folder.resolve()
        self._shipped = JournalTree(shipped, name) if shipped is not None and is_other else None
        self._parsed: dict[bytes, T | _Refused] = {}
        self._reported: set[Unreadable] = set()

    def items(self, *, shipped: bool = True) -> Iterator[Item[T]]:
        """All objects, file by file, in the order in which they were written."""
        for line in self._lines(shipped):
            if isinstance(line, Item):
                yield line

    def unreadable(self, *, shipped: bool = True) -> list[Unreadable]:
        """The lines that are sound, but not for this version of lascompile."""
        return [line for line in self._lines(shipped) if isinstance(line, Unreadable)]

    def damaged(self) -> list[Damage]:
        """The lines in `folder` that cannot be read; the next write moves them aside."""
        return self._own.damaged()

    def quarantined(self) -> int:
        """How many damaged lines of `folder` were moved aside."""
        return self._own.quarantined()

    def append(self, *values: T) -> None:
        """Write objects; they are on the disk when this returns.

        Raises:
            TypeError: One holds what is no value of JSON's.
            LascompileError: Another process holds the lock.
            OSError: The folder cannot be written to.
        """
        by_journal: dict[Journal, list[Mapping[str, Any]]] = {}
        for device, tvm, data in map(self._place, values):
            by_journal.setdefault(self._own.journal(device, tvm), []).append(data)
        for journal, together in by_journal.items():
            journal.append(*together)

    def merge(self, source: Path) -> Merged:
        """Copy the lines below the folder `source` that are not here yet; a second time adds nothing.

        Raises:
            UsageError: `source` is no folder, or holds no such lines.
            LascompileError, OSError: As for `append`.
        """
        return self._own.merge(source)

    def prune(self, unwanted: Callable[[Item[T]], bool]) -> int:
        """Remove objects of `folder`; returns how many. What cannot be read stays.

        Raises:
            LascompileError, OSError: As for `append`.
        """
        doomed = {item.payload for item in self.items(shipped=False) if unwanted(item)}
        return sum(journal.prune(lambda entry: entry.payload not in doomed) for journal in self._own.journals())

    def _lines(self, shipped: bool) -> Iterator[Item[T] | Unreadable]:
        for journal in self._own.journals():
            yield from self._lines_of(journal, shipped=False)
        if shipped and self._shipped is not None:
            for journal in self._shipped.journals():
                yield from self._lines_of(journal, shipped=True)

    def _lines_of(self, journal: Journal, shipped: bool) -> Iterator[Item[T] | Unreadable]:
        unreadable = []
        for entry in journal.entries():
            value = self._value(entry.payload, entry.data)
            if isinstance(value, _Refused):
                unreadable.append(Unreadable(journal.path, entry.line, value.why))
                yield unreadable[-1]
            else:
                yield Item(value, journal.path, entry.line, entry.payload, shipped)
        self._report(unreadable)

    def _value(self, payload: bytes, data: Mapping[str, Any]) -> T | _Refused:
        if payload not in self._parsed:
            try:
                self._parsed[payload] = self._parse(data)
            except ValueError as error:
                self._parsed[payload] = _Refused(str(error))
        return self._parsed[payload]

    def _report(self, unreadable: list[Unreadable]) -> None:
        """One line on the log for all that are new, by file and reason."""
        news = [line for line in unreadable if line not in self._reported]
        self._reported.update(news)
        counts = Counter((line.path, line.why) for line in news)
        for line in news:
            count = counts.pop((line.path, line.why), 0)
            if count:
                more = f" and {count - 1} more" if count > 1 else ""
                _LOG.warning("%s, line %d%s: left out, since %s", line.path, line.line, more, line.why)


@dataclass(frozen=True)
class _Refused:
    why: str
