"""Tasks that take no time, and stand-ins for what builds and measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lascompile.records import Failure, Latency
from lascompile.schedules.cpu.algorithms import ALGORITHMS, DIRECT
from lascompile.sites.activity import Activity, Decided
from lascompile.target import parse_target
from lascompile.tune.builder import Built
from lascompile.tune.runner import Outcome
from lascompile.tune.tasks import Setting, TuningTask
from lascompile.tune.trial import Job
from lascompile.workload import ConvWorkload, Epilogue

SIDE = 6
INDEX = np.arange(SIDE * SIDE, dtype=np.int32)
ACTIVITY = Activity(rows=Decided("mask", (1, SIDE, SIDE), INDEX.tobytes()))

PACKED = ConvWorkload(36, 36, 1, 1, 20, 32, gathers=False, counted=True, scatters=False)
DENSE = ConvWorkload(36, 36, 1, 1, 20, 32, gathers=False, counted=False, scatters=False)
SCATTER = ConvWorkload(
    36, 36, 1, 1, 16, 32, False, True, True, residual_listed=True, in_place=True, epilogue=Epilogue(add=True)
)


FIXED = "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512"
"""A target whose spaces are the same on every machine, for what builds and runs nothing."""


def setting(threads: int = 1, target: str = "llvm") -> Setting:
    return Setting(parse_target(target), threads, "a device", 0.5)


def task(workload: ConvWorkload = PACKED, calls: int = 1, threads: int = 1, target: str = "llvm") -> TuningTask:
    activity = ACTIVITY if workload.counted else Activity()
    return TuningTask(workload, ALGORITHMS[DIRECT.name], activity, calls, setting(threads, target))


def model_latency(decisions: Any) -> float:
    """A smooth function with one lowest point, as a stand-in for measuring."""
    return 1e-4 * (
        1
        + abs(decisions.tile_rows - 9) / 20
        + abs(decisions.width - 32) / 64
        + abs(decisions.unroll - 4) / 16
        + 0.2 * (not decisions.rows_inside)
        + abs(decisions.prefetch - 2) / 20
    )


class StubBuilder:
    """Says that everything was built, but what `fails` wants to fail."""

    def __init__(self, fails: Callable[[Any], bool] = lambda decisions: False) -> None:
        self.fails = fails

    def build(self, jobs: Sequence[Job]) -> list[Built]:
        failed = Failure("build", "no")
        return [Built(job, failure=failed) if self.fails(job.decisions) else Built(job, Path("x.so")) for job in jobs]


class StubRunner:
    """Takes the latency from a function; calls `after` behind each trial."""

    def __init__(
        self, latency: Callable[[Any], float] = model_latency, after: Callable[[], None] = lambda: None
    ) -> None:
        self.latency, self.after = latency, after

    def measure(self, jobs: Sequence[tuple[Job, Path]]) -> Iterator[tuple[int, Outcome]]:
        for position, (job, _) in enumerate(jobs):
            yield position, Outcome(Latency.of([self.latency(job.decisions)] * 3))
            self.after()

    def close(self) -> None:
        pass
