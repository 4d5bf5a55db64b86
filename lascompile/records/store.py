"""A folder of records: append, iterate, find the best, count the trials."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lascompile.journal import Collection, Damage, JournalTree, Merged, Unreadable
from lascompile.records.matching import Known, Match, Stored, find_best
from lascompile.records.measured import installed_tvm
from lascompile.records.record import Record, Task

_LOG = logging.getLogger("lascompile.records")
FILE_NAME = "trials.jsonl"


class RecordStore:
    """The records in `folder`, which is written to, and those in `shipped`, which are read only.

    Both hold `<device>/tvm-<version>/trials.jsonl`. May be shared between threads, and `folder` between processes.
    """

    def __init__(self, folder: Path, shipped: Path | None = None) -> None:
        self.folder = folder
        self._tree = JournalTree(folder, FILE_NAME)
        self._collection = Collection(self._tree, shipped, Record.from_json)
        self._said: set[object] = set()

    def append(self, *records: Record) -> None:
        """Write records; they are on the disk when this returns.

        Raises:
            TypeError: A decision is no value of JSON's.
            LascompileError: Another process holds the lock.
            OSError: The folder cannot be written to.
        """
        self._collection.append((item.task.device, item.versions.tvm, item.to_json()) for item in records)

    def records(self, *, shipped: bool = True) -> Iterator[Stored]:
        """All records that can be read, file by file, in the order in which they were written."""
        return self._collection.items(shipped=shipped)

    def unreadable(self, *, shipped: bool = True) -> list[Unreadable]:
        """The lines that are sound, but not for this version of lascompile."""
        return self._collection.unreadable(shipped=shipped)

    def damaged(self) -> list[Damage]:
        """The lines in `folder` that cannot be read; the next write moves them aside."""
        return self._tree.damaged()

    def quarantined(self) -> int:
        """How many damaged lines of `folder` were moved aside."""
        return self._tree.quarantined()

    def best(self, task: Task, known: Mapping[str, Known]) -> Match | None:
        """The record that serves `task` best, by the rules of `lascompile.records.matching`.

        Records that no longer apply are left out, with one line on the log; where it is the same with many kernels,
        a warning for the first of them.

        Args:
            task: What is to be run.
            known: The algorithms that may serve it, by name; records of others are not looked at.
        """
        applicable, outdated = [], []
        for item in self.records():
            if _may_serve(item.value, task) and item.value.algorithm in known:
                why_not = known[item.value.algorithm].why_not(item.value)
                if why_not is None:
                    applicable.append(item)
                else:
                    outdated.append((item.value.algorithm, why_not))
        match = find_best(task, applicable, known)
        self._report_outdated(task, Counter(outdated), served=match is not None)
        return match

    def trials(self, task: Task, known: Mapping[str, Known]) -> list[Record]:
        """The trials of exactly this task in `folder`, failed ones too, in order: what a budget has been spent on.

        Trials by other versions of TVM, and those that no longer apply, do not count.
        """
        return [
            item.value
            for item in self.records(shipped=False)
            if item.value.task == task
            and item.value.versions.tvm == installed_tvm()
            and item.value.algorithm in known
            and known[item.value.algorithm].why_not(item.value) is None
        ]

    def merge(self, source: Path) -> Merged:
        """Copy the records below the folder `source` that are not here yet; a second time adds nothing.

        Raises:
            UsageError: `source` is no folder, or holds no records.
            LascompileError, OSError: As for `append`.
        """
        return self._tree.merge(source)

    def prune(self, unwanted: Callable[[Stored], bool]) -> int:
        """Remove records of `folder`; returns how many. What cannot be read stays.

        Raises:
            LascompileError, OSError: As for `append`.
        """
        return self._collection.prune(unwanted)

    def _report_outdated(self, task: Task, counts: Mapping[tuple[str, str], int], served: bool) -> None:
        for (algorithm, why_not), count in counts.items():
            if self._is_news((task.workload, algorithm, why_not)):
                # Where others serve, nothing is lost; and a network has many kernels with the same fate.
                is_warning = not served and self._is_news((algorithm, why_not))
                _LOG.log(
                    logging.WARNING if is_warning else logging.INFO,
                    "%s by algorithm %s: records left out, since they are %s: %d; tune again, or remove them by "
                    "lascompile records prune --outdated",
                    task.workload.name(),
                    algorithm,
                    why_not,
                    count,
                )

    def _is_news(self, what: object) -> bool:
        is_new = what not in self._said
        self._said.add(what)
        return is_new


def _may_serve(record: Record, task: Task) -> bool:
    own = record.task
    return (
        own.threads == task.threads
        and own.workload == task.workload
        and own.target == task.target
        and record.versions.tvm == installed_tvm()
    )
