from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lascompile.records import WRONG, Failure, Match, Record, Stored, Task
from lascompile.records.matching import find_best, schedule_of
from tests.records.samples import DENSE, GATHER, KNOWN, TASK, Decisions, record


def stored(item: Record, shipped: bool = False) -> Stored:
    return Stored(item, Path("trials.jsonl"), 1, item.identity.encode(), shipped)


def best(*records: Record, task: Task = TASK) -> Record | None:
    match = find_best(task, [stored(item) for item in records], KNOWN)
    return match.record if match else None


def wrong(tile: int, **changes) -> Record:
    return record(None, tile, failure=Failure(WRONG, "largest error 0.3"), **changes)


def test_the_lowest_median_wins():
    slow, fast = record(2e-3, tile=4), record(1e-3, tile=8)
    assert best(slow, fast) == best(fast, slow) == fast


def test_nothing_serves_where_there_is_nothing_or_all_failed():
    assert best() is None
    assert best(record(None)) is None


def test_the_match_has_the_decisions_of_the_schedule():
    match = find_best(TASK, [stored(record(1e-3, tile=6))], KNOWN)
    assert match is not None
    assert match.decisions == Decisions(tile=6)


def test_algorithms_compete():
    winograd = record(1e-3, algorithm="winograd", definition="w1")
    assert best(record(2e-3), winograd) == winograd
    direct = record(5e-4)
    assert best(direct, winograd) == direct


def test_the_last_measurement_of_the_same_decisions_counts():
    first = record(1e-3, tile=8, when="2026-01-01T00:00:00.000000+00:00")
    again = record(3e-3, tile=8, when="2026-01-02T00:00:00.000000+00:00")
    other = record(2e-3, tile=4)
    assert best(first, other) == first
    assert best(again, first, other) == other
    assert best(first, record(None, tile=8), other) == other  # it failed lately


def test_decisions_that_were_wrong_once_are_out_everywhere():
    fast, slow = record(1e-3, tile=8), record(2e-3, tile=4)
    assert best(fast, slow, wrong(8)) == slow
    assert best(wrong(8, when="2020"), fast, slow) == slow
    assert best(wrong(8, device="another", activation_rate=0.9), fast, slow) == slow
    assert best(wrong(8, algorithm="winograd"), fast, slow) == fast


def test_the_own_device_comes_first():
    own, faster = record(2e-3), record(1e-3, tile=4, device="another", activation_rate=0.5)
    assert best(own, faster) == own
    assert best(faster) == faster
    assert best(own, faster, task=replace(TASK, device="")) == faster
    assert best(record(None), faster) == faster


def test_the_nearest_rate_comes_before_the_lowest_latency():
    low, high = record(1e-3, activation_rate=0.1), record(9e-3, activation_rate=0.6)
    assert best(low, high) == high
    assert best(low, high, task=replace(TASK, activation_rate=0.2)) == low


def test_of_two_rates_equally_near_the_higher_one_counts():
    low, high = record(1e-3, activation_rate=0.4), record(2e-3, activation_rate=0.6)
    assert best(low, high) == best(high, low) == high


def test_rates_that_differ_by_rounding_are_the_same():
    one, other = record(2e-3, tile=4, activation_rate=0.1 + 0.2), record(1e-3, tile=8, activation_rate=0.3)
    assert best(one, other, task=replace(TASK, activation_rate=0.3)) == other


def test_the_rate_does_not_matter_to_a_kernel_that_is_not_dynamic():
    task = replace(TASK, workload=DENSE, activation_rate=1.0)
    near = record(2e-3, workload=DENSE, activation_rate=1.0, tile=4)
    far = record(1e-3, workload=DENSE, activation_rate=0.5)
    assert best(near, far, task=task) == far


def test_between_equals_the_user_s_record_wins_and_then_the_newest():
    older = record(1e-3, tile=4, when="2026-01-01T00:00:00.000000+00:00")
    newer = record(1e-3, tile=8, when="2026-01-02T00:00:00.000000+00:00")
    assert best(older, newer) == best(newer, older) == newer
    match = find_best(TASK, [stored(newer, shipped=True), stored(older)], KNOWN)
    assert match is not None
    assert (match.record, match.shipped) == (older, False)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.floats(1e-6, 1), st.integers(1, 9)), min_size=1))
def test_the_order_of_records_does_not_matter(cases):
    records = [
        record(latency, tile=tile, activation_rate=rate, when=f"{number:03d}")
        for number, (rate, latency, tile) in enumerate(cases)
    ]
    found = best(*records)
    assert found is not None
    assert best(*reversed(records)) == found
    rates = {item.task.activation_rate for item in records}
    assert found.task.activation_rate == min(rates, key=lambda rate: (abs(rate - 0.5), -rate))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"definition": "d0"}, "of another definition of the kernel"),
        ({"decisions": {"tile": 8, "unroll": 4}}, "of another schedule (decisions.unroll is not known)"),
        ({"decisions": {"inside": True}}, "of another schedule (decisions.tile is missing)"),
        ({"decisions": {"tile": "8"}}, "of another schedule (decisions.tile is '8', not int)"),
        ({"decisions": {"tile": 8}}, None),
        ({}, None),
    ],
)
def test_why_a_record_does_not_apply(change, why):
    assert KNOWN["direct"].why_not(record(**change)) == why


def test_provenance_is_what_a_manifest_tells():
    item = record(1e-3, when="2026-01-01T00:00:00.000000+00:00")
    match = Match(item, Decisions(8), Path("x"), 3, shipped=False)
    assert match.provenance() == {
        "record": item.identity,
        "from": "user",
        "device": "A CPU",
        "activation_rate": 0.5,
        "latency_s": 1e-3,
        "when": "2026-01-01T00:00:00.000000+00:00",
        "versions": {"lascompile": "0.1.0", "tvm": "0.27.0.post1", "llvm": "21"},
    }
    assert replace(match, shipped=True).provenance()["from"] == "lascompile"


def test_decisions_may_be_lists():
    heights = {"tile": [8, 4], "inside": False}
    assert schedule_of(record(decisions=heights)) == schedule_of(record(decisions=dict(reversed(heights.items()))))
    assert len({schedule_of(record(decisions=heights)), schedule_of(record())}) == 2


def test_a_gather_is_dynamic_and_a_dense_convolution_is_not():
    assert (GATHER.counted, DENSE.counted) == (True, False)
