"""Every point of the space of Winograd convolutions is a kernel that computes the right thing and touches no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest

from lascompile.schedules.cpu.winograd import WinogradDecisions, check_decisions
from lascompile.schedules.cpu.winograd_space import winograd_space
from lascompile.schedules.space import Space
from lascompile.workload import Epilogue, WinogradWorkload
from tests.kernels.calling import target_of
from tests.schedules.cpu.winograd_problems import check

ADD = Epilogue(before=(("relu",),), add=True)
TINY = WinogradWorkload(2, 3, 13, 11, 2, 32, counted=True)
SMALL = {
    "listed": TINY,
    "dense": replace(TINY, counted=False),
    "in place": replace(TINY, m=4, tiles=2, out_channels=16, in_place=True, epilogue=ADD),
    "odd channels": replace(TINY, in_channels=9, out_channels=7),
}
LARGE = (
    WinogradWorkload(4, 196, 3136, 3136, 64, 64, counted=True),
    WinogradWorkload(2, 784, 3136, 3136, 64, 64, counted=True),
    WinogradWorkload(2, 49, 196, 196, 256, 256, counted=True),
    WinogradWorkload(4, 4, 49, 49, 512, 512, counted=False),
    WinogradWorkload(2, 64, 256, 256, 3, 17, counted=False),
)
TARGETS = ("llvm -mcpu=skylake-avx512", "llvm -mcpu=haswell", "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78")


def check_at(workload: WinogradWorkload, decisions: WinogradDecisions) -> None:
    for count in (0, 1, workload.tiles) if workload.counted else (workload.tiles,):
        check(workload, decisions, count)


def covering(space: Space) -> Iterator[WinogradDecisions]:
    """Points in which each value of each field that is in any point stands at least once."""
    points = list(space)
    left = {(field.name, getattr(point, field.name)) for field in fields(WinogradDecisions) for point in points}
    while left:
        best = max(points, key=lambda point: len(left.intersection(vars(point).items())))
        left.difference_update(vars(best).items())
        yield best


@pytest.mark.parametrize("name", SMALL)
def test_every_value_of_every_field(name: str) -> None:
    for decisions in covering(winograd_space(SMALL[name], target_of("llvm"), 2)):
        check_at(SMALL[name], decisions)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_point(name: str) -> None:
    for decisions in winograd_space(SMALL[name], target_of("llvm"), 2):
        check_at(SMALL[name], decisions)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("workload", LARGE, ids=lambda workload: workload.key())
def test_points_fit_the_workload(workload: WinogradWorkload, target: str) -> None:
    """Some of the many: the schedule takes them, and a search that draws each field alone meets them often enough."""
    space = winograd_space(workload, target_of(target), 4)
    assert space.position(space.default) is not None
    rng = np.random.default_rng(0)
    drawn = [space.at(int(rng.integers(len(values))) for values in space.values.values()) for _ in range(2000)]
    allowed = [decisions for decisions in drawn if space.allows(decisions)]
    assert len(allowed) > 20
    for decisions in allowed:
        check_decisions(workload, decisions)
        assert decisions.held_tiles < 2 * max(workload.tiles, decisions.tile_heights[0])
    assert {decisions.transform_weights for decisions in allowed} == {False, True}
