"""What `tune --dry-run` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from lascompile.report.tuning_plan import PlannedKernel, plan_table, planned_kernels
from lascompile.schedules.cpu.algorithms import ALGORITHMS, BF16X3, DIRECT, WINOGRAD2, WINOGRAD4
from lascompile.tune.progress import Progress, TaskProgress
from lascompile.tune.tasks import TuningTask
from lascompile.workload import ConvWorkload, WinogradWorkload
from tests.tune.tiny import task

LARGE = ConvWorkload(3136, 3136, 9, 1, 64, 64, gathers=True, counted=True, scatters=False)
STRIDED = replace(LARGE, input_rows=12544)
TILES = WinogradWorkload(4, 196, 3136, 3136, 64, 64, counted=True)
SMALL = ConvWorkload(49, 49, 1, 1, 64, 2, gathers=False, counted=False, scatters=False)


def planned(*tasks: TuningTask) -> list[PlannedKernel]:
    return planned_kernels(Progress([TaskProgress(one) for one in tasks], budget=100))


def lines(kernels: Sequence[PlannedKernel]) -> list[str]:
    console = Console(width=1000)
    with console.capture() as capture:
        console.print(plan_table(kernels))
    return [line.rstrip() for line in capture.get().splitlines()]


def winograd(name: str, **changes: Any) -> TuningTask:
    return replace(task(LARGE), workload=TILES, algorithm=ALGORITHMS[name], row_form=LARGE, is_default=False, **changes)


def test_the_largest_share_comes_first():
    kernels = planned(task(SMALL, calls=6), task(LARGE, calls=2), task(replace(LARGE, rows=784)))
    assert [kernel.name for kernel in kernels] == [
        "gather_conv3x3 64→64 ×3136",
        "gather_conv3x3 64→64 ×784",
        "conv1x1 64→2 ×49",
    ]
    shares = [kernel.share for kernel in kernels]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)


def test_what_is_the_same_is_one_row():
    """Forms, algorithms, rates, and shapes that look alike: what competes counts once, what adds up adds up."""
    tasks = [task(LARGE, calls=2), winograd(WINOGRAD4.name, calls=1), task(STRIDED), task(LARGE, calls=2).at(0.25)]
    [kernel] = planned(*tasks)
    assert (kernel.calls, kernel.tasks, kernel.algorithms) == (5, 4, (DIRECT.name, WINOGRAD4.name))
    assert kernel.share == 1


def test_the_cost_is_that_of_the_default_algorithm():
    alone, beside = planned(task(LARGE), task(SMALL)), planned(task(LARGE), winograd(WINOGRAD4.name), task(SMALL))
    assert [kernel.share for kernel in alone] == [kernel.share for kernel in beside]


def test_a_table_fits_100_columns():
    longest = replace(LARGE, taps=1, in_channels=512, out_channels=2048, rows=12544, scatters=True)
    both = [winograd(WINOGRAD2.name), winograd(WINOGRAD4.name), replace(task(LARGE), algorithm=ALGORITHMS[BF16X3.name])]
    printed = lines(planned(task(longest, calls=23), task(LARGE), *both))
    assert max(map(len, printed)) <= 100
    assert printed[0].split() == ["convolution", "calls", "share", "tasks", "trials", "algorithms"]
    assert any(line.endswith("bf16x3, direct, winograd2/4") for line in printed)


def test_what_takes_next_to_nothing_is_one_row():
    others = [task(replace(SMALL, out_channels=channels), calls=3) for channels in (2, 3)]
    large = task(replace(LARGE, counted=False), calls=3)
    printed = lines(planned(large, *others))
    assert len(printed) == 3
    assert printed[-1].split()[:4] == ["…", "and", "2", "more"] and printed[-1].split()[4] == "6"
    assert len(lines(planned(large, others[0]))) == 3
