"""The spaces of the CPU's schedules: what they hold can be scheduled, and features tell points apart."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np
import pytest

from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.target import parse_target
from lascompile.workload import ConvWorkload, Epilogue, WinogradWorkload

AMX = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=sapphirerapids")
OLD = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell")
ARM = parse_target("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78")

WORKLOADS = {
    "gather": ConvWorkload(49, 49, 9, 1, 24, 40, gathers=True, counted=True, scatters=False),
    "scatter": ConvWorkload(
        23, 23, 1, 1, 16, 64, False, True, True, residual_listed=True, in_place=True, epilogue=Epilogue(add=True)
    ),
    "classifier": ConvWorkload(1, 1, 1, 1, 64, 10, gathers=False, counted=False, scatters=False),
    "image": ConvWorkload(64, 256, 49, 1, 3, 16, gathers=True, counted=False, scatters=False),
    "groups": ConvWorkload(16, 16, 9, 4, 16, 32, gathers=True, counted=True, scatters=False),
    "depthwise": ConvWorkload(16, 16, 9, 32, 32, 32, gathers=True, counted=True, scatters=False),
    "tiles": WinogradWorkload(2, 7, 28, 28, 6, 40, counted=True),
    "large tiles": WinogradWorkload(4, 4, 49, 49, 64, 32, counted=False, in_place=True, epilogue=Epilogue(add=True)),
}
CASES = [
    (algorithm, name, target, threads)
    for algorithm in ALGORITHMS.values()
    for name, workload in WORKLOADS.items()
    for target, threads in ((AMX, 2), (OLD, 6), (ARM, 1))
    if algorithm.features <= set(target.features) and algorithm.supports(workload)
]


@pytest.mark.parametrize(("algorithm", "name", "target", "threads"), CASES)
def test_points_can_be_scheduled_and_told_apart(algorithm, name, target, threads):
    workload = WORKLOADS[name]
    space = algorithm.space(workload, target, threads)
    points = list(space)
    assert space.default in points
    rng = np.random.default_rng(0)
    some = [space.default, *(points[index] for index in rng.integers(len(points), size=3))]
    features = [algorithm.describe(workload, point, target, 0.5) for point in some]
    assert len({len(numbers) for numbers in features}) == 1
    assert all(isfinite(number) for numbers in features for number in numbers)
    assert len(set(map(tuple, features))) == len(set(some))
    for point in some[:2]:
        algorithm.schedule(workload, point)


@pytest.mark.parametrize(("algorithm", "name", "target", "threads"), CASES)
@pytest.mark.parametrize("value", [0, -1, 10**6])
def test_impossible_values_are_no_points_and_no_errors(algorithm, name, target, threads, value):
    space = algorithm.space(WORKLOADS[name], target, threads)
    for field, values in space.values.items():
        if isinstance(values[0], bool):
            continue
        given = (value,) if isinstance(values[0], tuple) else value
        changed = replace(space.default, **{field: given})
        held = given in values
        assert space.allows(changed) <= held and (space.position(changed) is not None) <= held
