"""A folder of records: append, iterate, find the best, count the trials."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lascompile.journal import Collection
from lascompile.records.matching import Known, Match, Stored, find_best
from lascompile.records.measured import installed_tvm
from lascompile.records.record import Record, Task

_LOG = logging.getLogger("lascompile.records")
FILE_NAME = "trials.jsonl"


class RecordStore(Collection[Record]):
    """The records in `folder`, which is written to, and those in `shipped`, which are read only."""

    def __init__(self, folder: Path, shipped: Path | None = None) -> None:
        super().__init__(folder, FILE_NAME, shipped, Record.from_json, _place)
        self._said: set[object] = set()

    def records(self, *, shipped: bool = True) -> Iterator[Stored]:
        """All records that can be read, file by file, in the order in which they were written."""
        return self.items(shipped=shipped)

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


def _place(record: Record) -> tuple[str, str, Mapping[str, Any]]:
    return record.task.device, record.versions.tvm, record.to_json()


def _may_serve(record: Record, task: Task) -> bool:
    own = record.task
    return (
        own.threads == task.threads
        and own.workload == task.workload
        and own.target == task.target
        and record.versions.tvm == installed_tvm()
    )
