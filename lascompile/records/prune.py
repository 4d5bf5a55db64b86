"""Which records can go without another record coming to serve a task instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lascompile.records.matching import Stored, is_wrong, last_measurements, load_of, median_s, schedule_of
from lascompile.records.measured import installed_tvm
from lascompile.records.record import Record


@dataclass(frozen=True)
class Rules:
    """What is to be removed; a record goes if any of them says so.

    Attributes:
        failed: Failed trials, with older measurements of the same schedule, which would count again. Wrong ones stay:
            they keep a wrong schedule from ever being chosen.
        keep: All but the fastest so many of each task and algorithm, and with them what newer measurements replaced.
        outdated: Records of the installed TVM for which this is true: they no longer apply.
        other_tvm: Records of any other version of TVM.
        device: Only records of this device are removed.
    """

    failed: bool = False
    keep: int | None = None
    outdated: Callable[[Record], bool] | None = None
    other_tvm: bool = False
    device: str | None = None


def find_unwanted(items: Iterable[Stored], rules: Rules) -> list[Stored]:
    """Those of `items` that `rules` remove."""
    groups: dict[object, list[Stored]] = {}
    for item in items:
        record = item.value
        task = record.task
        key = (task.workload, task.target, task.threads, record.versions.tvm, record.algorithm, record.definition)
        groups.setdefault(key, []).append(item)
    found = (item for group in groups.values() for item in _unwanted(group, rules))
    return [item for item in found if rules.device in (None, item.value.task.device)]


def _unwanted(group: Sequence[Stored], rules: Rules) -> Sequence[Stored]:
    """Of records of equal workload, target, threads, TVM, algorithm and definition."""
    is_current = group[0].value.versions.tvm == installed_tvm()
    if rules.other_tvm and not is_current:
        return group
    if rules.outdated is not None and is_current:
        applies = [item for item in group if not rules.outdated(item.value)]
    else:
        applies = list(group)
    wanted = {item.payload for item in _wanted(applies, rules)}
    return [item for item in group if item.payload not in wanted]


def _wanted(group: Sequence[Stored], rules: Rules) -> Iterator[Stored]:
    yield from (item for item in group if is_wrong(item.value))
    last = list(last_measurements(group))
    wrong = {schedule_of(item.value) for item in group if is_wrong(item.value)}
    if rules.keep is not None:
        yield from _fastest([item for item in last if schedule_of(item.value) not in wrong], rules.keep)
        if not rules.failed:
            yield from (item for item in last if item.value.failure is not None)
    elif rules.failed:
        failed = {_load_and_schedule(item) for item in last if item.value.failure is not None}
        yield from (i for i in group if i.value.failure is None and _load_and_schedule(i) not in failed)
    else:
        yield from group


def _fastest(last: Iterable[Stored], count: int) -> Iterator[Stored]:
    """Of each device and rate."""
    loads: dict[object, list[Stored]] = {}
    for item in last:
        if item.value.latency is not None:
            loads.setdefault(load_of(item.value), []).append(item)
    for together in loads.values():
        together.sort(key=lambda item: item.value.when, reverse=True)
        yield from sorted(together, key=median_s)[:count]


def _load_and_schedule(item: Stored) -> tuple[object, ...]:
    return load_of(item.value), schedule_of(item.value)
