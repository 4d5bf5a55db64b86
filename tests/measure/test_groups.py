"""Which cells are measured together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lascompile.measure.groups import make_groups
from tests.measure.stubs import cells
from tests.tune.tiny import DENSE, PACKED, SCATTER


@pytest.mark.parametrize("most", [20, 13, 5, 4])
def test_the_algorithms_of_one_rate_and_granularity_share_a_group(most):
    """Four algorithms at five rates under two masks, and without one: listed algorithm by algorithm, as tasks are."""
    template, dense = cells(Path("nowhere"), [0.5])[::2]
    algorithms, rates, sizes = "abcd", (0.1, 0.25, 0.5, 0.75, 1.0), ((4, 4), (2, 2))
    items = [
        replace(
            template,
            cell=replace(
                template.cell,
                algorithm=algorithm,
                granularity=size,
                task=replace(template.cell.task, activation_rate=rate),
            ),
        )
        for size in sizes
        for algorithm in algorithms
        for rate in rates
    ]
    items += [replace(dense, cell=replace(dense.cell, algorithm=algorithm)) for algorithm in algorithms[:3]]
    groups = make_groups(items, most)
    assert sorted(item.cell.identity for group in groups for item in group) == sorted(i.cell.identity for i in items)
    assert all(len(group) <= most for group in groups)
    assert len(groups) == {20: 3, 13: 4, 5: 11, 4: 11}[most]
    places = {}
    for number, group in enumerate(groups):
        for item in group:
            cell = item.cell
            places.setdefault((cell.granularity, cell.task.activation_rate), set()).add(number)
    assert len(places) == 11 and all(len(numbers) == 1 for numbers in places.values())


def test_more_algorithms_than_a_group_may_have_are_parted():
    [item] = cells(Path("nowhere"), [0.5])[:1]
    items = [replace(item, cell=replace(item.cell, algorithm=str(number))) for number in range(7)]
    assert [len(group) for group in make_groups(items, 3)] == [3, 3, 1]


def test_groups_keep_what_is_compared_together():
    items = cells(Path("nowhere"))
    assert [[item.job.workload for item in group] for group in make_groups(items, 4)] == [
        [PACKED, PACKED, PACKED, DENSE],
        [SCATTER, SCATTER, SCATTER],
    ]
    assert [len(group) for group in make_groups(items, 3)] == [2, 2, 3]
    assert [len(group) for group in make_groups(items)] == [7] and make_groups([]) == []
