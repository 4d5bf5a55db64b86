"""Which record serves a task: what must be equal, what comes first, and what rules a record out.

1. Equal must be: workload, target key, number of threads, version of TVM, and, by the record's algorithm, the
   definition of the kernel. Its decisions must be some that the algorithm's schedule space has today.
2. The same decisions measured again on the same device at the same activation rate: the last measurement counts.
3. Decisions whose output was once found wrong are out, on any device, at any rate.
4. Records of the task's device come first; those of others count only where it has none.
5. Of these, the ones measured nearest to the task's activation rate count; of two equally near, the higher rate. A
   kernel that is not dynamic does not depend on the rate.
6. The lowest median latency wins; between equals the user's record, then the newest.

The batch does not matter: the workload has the rows of all images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lascompile.journal import Item, to_payload
from lascompile.records.fields import from_fields
from lascompile.records.measured import WRONG
from lascompile.records.record import Record, Task

_SAME_RATE = 1e-6


@dataclass(frozen=True)
class Known:
    """An algorithm as this version of lascompile has it.

    Attributes:
        definition: Fingerprint of the kernel's definition, for one workload.
        decisions: The class of its schedule's decisions.
        has: Whether the schedule can have such decisions, for a task of that workload.
    """

    definition: str
    decisions: type
    has: Callable[[Task, Any], bool] = lambda task, decisions: True

    def why_not(self, record: Record) -> str | None:
        """Why `record` does not apply any longer, or never did, or None."""
        if record.definition != self.definition:
            return "of another definition of the kernel"
        try:
            decisions = from_fields(self.decisions, dict(record.decisions), "decisions")
        except ValueError as error:
            return f"of another schedule ({error})"
        return None if self.has(record.task, decisions) else "of another schedule (its space has no such decisions)"


Stored = Item[Record]
"""A record and where it lies."""


@dataclass(frozen=True)
class Match:
    """The record that serves a task best.

    Attributes:
        decisions: The record's, as an object of their class.
    """

    record: Record
    decisions: Any
    path: Path
    line: int
    shipped: bool

    def provenance(self) -> dict[str, Any]:
        """What a manifest tells of it."""
        record = self.record
        assert record.latency is not None
        return {
            "record": record.identity,
            "from": "lascompile" if self.shipped else "user",
            "device": record.task.device,
            "activation_rate": record.task.activation_rate,
            "latency_s": record.latency.median_s,
            "when": record.when,
            "versions": vars(record.versions).copy(),
        }


def is_dynamic(workload: object) -> bool:
    """Whether the kernel's work depends on a count of rows, and so on the activation rate."""
    return bool(getattr(workload, "counted", False))


def find_best(task: Task, candidates: Sequence[Stored], known: Mapping[str, Known]) -> Match | None:
    """The best of `candidates`, whose workload, target, threads, TVM and algorithm fit, and which apply."""
    timed = eligible(candidates)
    own = [item for item in timed if item.value.task.device == task.device]
    near = _nearest(task, own or timed)
    if not near:
        return None
    newest_first = sorted(near, key=lambda item: item.value.when, reverse=True)
    best = min(newest_first, key=lambda item: (median_s(item), item.shipped))
    decisions = from_fields(known[best.value.algorithm].decisions, dict(best.value.decisions), "decisions")
    return Match(best.value, decisions, best.path, best.line, best.shipped)


def eligible(candidates: Sequence[Stored]) -> list[Stored]:
    """Those that have a latency after rules 2 and 3. What makes a task, but device and rate, has to be equal."""
    wrong = {schedule_of(item.value) for item in candidates if is_wrong(item.value)}
    return [
        item
        for item in last_measurements(candidates)
        if item.value.latency is not None and schedule_of(item.value) not in wrong
    ]


def last_measurements(candidates: Iterable[Stored]) -> Iterable[Stored]:
    """Of each device, rate and schedule the newest record; rule 2. What else makes a task has to be equal."""
    last: dict[object, Stored] = {}
    for item in sorted(candidates, key=lambda item: item.value.when):
        last[(load_of(item.value), schedule_of(item.value))] = item
    return last.values()


def _nearest(task: Task, timed: Sequence[Stored]) -> Sequence[Stored]:
    if not timed or not is_dynamic(task.workload):
        return timed
    rates = {item.value.task.activation_rate for item in timed}
    nearest = min(rates, key=lambda rate: (round(abs(rate - task.activation_rate) / _SAME_RATE), -rate))
    return [item for item in timed if abs(item.value.task.activation_rate - nearest) < _SAME_RATE]


def load_of(record: Record) -> tuple[str, int]:
    """The device and the activation rate, as one that rounding does not change."""
    return record.task.device, round(record.task.activation_rate / _SAME_RATE)


def schedule_of(record: Record) -> tuple[object, ...]:
    """The algorithm and its decisions."""
    # As text, since a decision may be a list.
    return record.algorithm, to_payload(dict(sorted(record.decisions.items())))


def is_wrong(record: Record) -> bool:
    """Whether its output was not the reference's."""
    return record.failure is not None and record.failure.reason == WRONG


def median_s(item: Stored) -> float:
    """Of a record that has a latency."""
    assert item.value.latency is not None
    return item.value.latency.median_s
