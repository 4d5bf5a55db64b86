"""Masks that cover things, and the lists and tables that follow, against the kernels that make them in a network."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.kernels.mask_lists import define_compact, define_dilate, define_table
from lascompile.sites.activity import (
    Activity,
    Decided,
    Dilated,
    United,
    active_pixels,
    decide,
    group_active,
    row_list,
    row_table,
)
from lascompile.workload import ROW_SLACK, CompactWorkload, DilateWorkload, TableWorkload, WindowShape
from tests.kernels.calling import Kernel

WINDOW = WindowShape(1, (3, 3), (2, 2), (1, 1), (1, 1), (16, 16), (8, 8))


def patches(side: int, granularity: int, batch: int = 1) -> np.ndarray:
    """[N * side * side] the patch of each pixel."""
    coarse = -(-side // granularity)
    y, x = np.divmod(np.arange(side * side), side)
    image = y // granularity * coarse + x // granularity
    return np.concatenate([image + n * coarse * coarse for n in range(batch)])


def mask(side: int = 8, granularity: int = 1, groups: int = 1, batch: int = 1) -> Decided:
    index = np.stack([patches(side, granularity, batch)] * groups).astype(np.int32)
    return Decided("mask", (batch, side, side), index.tobytes())


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0), (0.25, 0.25), (0.5, 0.5), (1.0, 1)])
def test_rate_is_kept(rate, share):
    activity = Activity(rows=mask(32, 4))
    active = active_pixels(activity.rows, decide(activity, rate, seed=1))
    assert active.mean() == share


def test_one_patch_stays_on_and_one_off_where_the_rate_is_neither_0_nor_1():
    for granularity, expected in ((8, 64), (4, 16)):
        activity = Activity(rows=mask(8, granularity))
        assert active_pixels(activity.rows, decide(activity, 0.01, seed=0)).sum() == expected


def test_masks_cover_things():
    """White noise would change at half of all places."""
    activity = Activity(rows=mask(56))
    active = active_pixels(activity.rows, decide(activity, 0.5, seed=3)).reshape(56, 56)
    assert (active[1:] != active[:-1]).mean() < 0.25


def test_seeds_and_groups_differ_and_repeat():
    activity = Activity(rows=mask(16, groups=2))
    first, same, other = (decide(activity, 0.5, seed)["mask"] for seed in (1, 1, 2))
    assert (first == same).all() and (first != other).any() and (first[0] != first[1]).any()
    union = active_pixels(activity.rows, {"mask": first})
    assert (union == group_active(activity.rows, {"mask": first}).any(axis=0)).all() and union.mean() > 0.5


def test_granularity_of_the_largest_patch():
    small, large = mask(8, 2), Decided("other", (1, 8, 8), patches(8, 4).astype(np.int32).tobytes())
    assert Activity().granularity == 0
    assert Activity(rows=small).granularity == 2
    assert Activity(rows=United(small, large)).granularity == 4


@pytest.mark.parametrize("packed", [False, True])
def test_lists_and_tables_are_those_of_the_kernels(packed):
    rows = mask(8, 2)
    source = Dilated(WINDOW, rows)
    activity = Activity(rows, WINDOW, source if packed else None)
    decisions = decide(activity, 0.4, seed=5)
    active = active_pixels(rows, decisions)
    listed, count, _ = compacted(active)
    written = count + ROW_SLACK
    assert (row_list(active)[:written] == listed[:written]).all() and count == active.sum()

    flags = np.append(active, 0).astype(np.uint8)
    reached = Kernel(define_dilate(DilateWorkload(WINDOW)))({"active": flags, "reached": np.ones(257, np.uint8)})
    assert (active_pixels(source, decisions) == reached["reached"][:-1]).all()

    arrays: dict[str, np.ndarray] = {
        "list": listed,
        "count": np.array([count], np.int32),
        "position": compacted(active_pixels(source, decisions))[2],
        "table": np.zeros((64 + ROW_SLACK, 9), np.int32),
    }
    table = Kernel(define_table(TableWorkload(WINDOW, packed)))(arrays)["table"]
    assert (row_table(activity, active, decisions) == table[:count]).all()


def compacted(active: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """What `compact_mask` makes of it."""
    rows = len(active)
    arrays: dict[str, np.ndarray] = {
        "active": np.append(active, 0).astype(np.uint8),
        "list": np.zeros(rows + ROW_SLACK, np.int32),
        "count": np.zeros(1, np.int32),
        "position": np.zeros(rows + 1, np.int32),
    }
    after = Kernel(define_compact(CompactWorkload(rows)))(arrays)
    return after["list"], int(after["count"][0]), after["position"]
