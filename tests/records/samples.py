"""Records for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lascompile.records import Failure, Known, Latency, Record, TargetKey, Task, Versions
from lascompile.records.measured import installed_tvm
from lascompile.workload import ConvWorkload

GATHER = ConvWorkload(3136, 3136, 9, 1, 64, 64, gathers=True, counted=True, scatters=False)
DENSE = ConvWorkload(3136, 3136, 1, 1, 64, 256, gathers=False, counted=False, scatters=False)
ZEN5 = TargetKey("llvm", "x86_64", "znver5", ("avx2", "avx512f", "fma"))
TASK = Task(GATHER, ZEN5, threads=2, device="A CPU", activation_rate=0.5)
VERSIONS = Versions("0.1.0", installed_tvm(), "21")


@dataclass(frozen=True)
class Decisions:
    """Those of a schedule that tests make up."""

    tile: int
    inside: bool = False


KNOWN = {"direct": Known("d1", Decisions), "winograd": Known("w1", Decisions)}


def record(median_s: float | None = 1e-3, tile: int = 8, **changes: Any) -> Record:
    """A trial of TASK; `changes` are of fields of the record or of the task. A failed one if it has no median."""
    of_task = {name: changes.pop(name) for name in list(changes) if name in vars(TASK)}
    base = Record(
        task=replace(TASK, **of_task),
        algorithm="direct",
        definition="d1",
        decisions={"tile": tile, "inside": False},
        versions=VERSIONS,
        latency=None if median_s is None else Latency(median_s, median_s * 0.9, median_s * 1.2, 20),
        failure=Failure("timeout", "no end after 10 s") if median_s is None else None,
    )
    return replace(base, **changes)
